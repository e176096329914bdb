"""What a trained GAN leaves: the generator, the discriminator beside it for those who train on, and a model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gendistill.priors.discriminator import FOLDER
from gendistill.priors.training.gan import Game
from gendistill.priors.training.gan_settings import GanTraining
from gendistill.priors.training.publish import listed, put, spelled
from gendistill.system.store import write_text
from gendistill.types import Images

INDEX = "config.json"
"""Written last: a folder that has it is finished."""

CARD = """---
license: {licence}
library_name: diffusers
pipeline_tag: unconditional-image-generation
tags: [dataset-distillation, class-conditional, gan]
---

# A class-conditional GAN of {data}

A style-based generator (averaged weights) and a projection discriminator, trained from random weights on
{pictures:,} pictures of {data} at {side} x {side}, with gendistill's `train-prior --family gan`.

```python
import torch
from gendistill.priors.style_generator import StyleGenerator

generator = StyleGenerator.from_pretrained("THIS_FOLDER")
pixels = generator(torch.randn(1, generator.config.noise_size), torch.tensor([0]))  # {label}, in [0, 1], not clamped
```

Label rows: {rows}.

## Training

Seed {seed}, data fingerprint `{fingerprint}`. The settings, with what the rule filled in:

```python
{settings}
```
"""


def publish(game: Game, folder: Path) -> None:
    """Write both networks, of the discriminator the last weights, not averaged: whole, or without the `INDEX`."""
    nets: Any = game

    def write(part: Path) -> None:
        nets.discriminator.save_pretrained(str(part / FOLDER), safe_serialization=True)
        nets.generator.save_pretrained(str(part), safe_serialization=True)

    put(write, folder, INDEX)


def write_card(folder: Path, settings: GanTraining, images: Images, *, seed: int, data: str, licence: str) -> None:
    """Write ``README.md``, the model card; ``data`` is what the pictures are called."""
    write_text(
        folder / "README.md",
        CARD.format(
            licence=json.dumps(licence, ensure_ascii=False),
            data=data,
            pictures=len(images),
            side=settings.resolution,
            label=images.classes[0].name,
            rows=spelled({str(row): c.name for row, c in enumerate(images.classes)}, INDEX),
            seed=seed,
            fingerprint=images.fingerprint,
            settings=listed(settings),
        ),
    )
