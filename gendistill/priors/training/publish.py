"""Last stage: a folder that stock diffusers opens, with class names and a model card."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.pipelines.dit.pipeline_dit import DiTPipeline

from gendistill.priors.training.denoiser import noise_schedule
from gendistill.priors.training.rows import id2label, label_rows
from gendistill.priors.training.settings import PriorTraining
from gendistill.system.store import write_text
from gendistill.types import Images

INDEX = "model_index.json"
"""Written last: a folder that has it is finished."""
NAMED = 20
"""Classes that the card lists by name."""

CARD = """---
license: {licence}
library_name: diffusers
pipeline_tag: unconditional-image-generation
tags: [diffusers, dataset-distillation, class-conditional, latent-diffusion]
---

# A class-conditional latent diffusion prior of {data}

`AutoencoderKL` and `DiTTransformer2DModel` (velocity prediction, cosine schedule, averaged weights), trained from
random weights on {pictures:,} pictures of {data} at {side} x {side}, with gendistill's `train-prior`.

```python
from diffusers import DiTPipeline

pipe = DiTPipeline.from_pretrained("THIS_FOLDER")
image = pipe(class_labels=[{row}], guidance_scale=2.0, num_inference_steps=25).images[0]  # {label}
```

Label rows: {rows}. Row 1000 asks for no class.

## Training

Seed {seed}, data fingerprint `{fingerprint}`. The settings, with what the rule filled in:

```python
{settings}
```
"""


def publish(
    vae: AutoencoderKL, denoiser: DiTTransformer2DModel, scale: float, names: dict[str, str], folder: Path
) -> None:
    """Write both networks and the scheduler as a ``DiTPipeline`` folder: whole, or without its `INDEX`."""
    vae.register_to_config(scaling_factor=scale)
    parts: Any = {"transformer": denoiser, "vae": vae, "scheduler": noise_schedule()}
    pipe = DiTPipeline(**parts)
    pipe.register_to_config(id2label=names)
    put(lambda part: pipe.save_pretrained(str(part), safe_serialization=True), folder, INDEX)


def put(write: Callable[[Path], object], folder: Path, index: str) -> None:
    """Let ``write`` fill a temporary folder, and move what it wrote into ``folder``, the file ``index`` last."""
    part = folder / ".prior.part"
    shutil.rmtree(part, ignore_errors=True)
    write(part)
    for child in sorted(part.iterdir(), key=lambda path: path.name == index):
        target = folder / child.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(child, target)
    part.rmdir()


def write_card(folder: Path, settings: PriorTraining, images: Images, *, seed: int, data: str, licence: str) -> None:
    """Write ``README.md``, the model card; ``data`` is what the pictures are called."""
    names, rows = id2label(images.classes), label_rows(images.classes)
    write_text(
        folder / "README.md",
        CARD.format(
            licence=json.dumps(licence, ensure_ascii=False),
            data=data,
            pictures=len(images),
            side=settings.resolution,
            row=rows[0],
            label=images.classes[0].name,
            rows=spelled(names, INDEX),
            seed=seed,
            fingerprint=images.fingerprint,
            settings=listed(settings),
        ),
    )


def spelled(names: Mapping[str, str], index: str) -> str:
    """Label rows with their names, the first of them; all are in the file ``index``."""
    more = f" and {len(names) - NAMED} more (`id2label` in `{index}`)" if len(names) > NAMED else ""
    return ", ".join(f"{row} {name}" for row, name in list(names.items())[:NAMED]) + more


def listed(settings: object) -> str:
    """The settings as Python, one to a line."""
    rows = "".join(f"    {name}={value!r},\n" for name, value in vars(settings).items())
    return f"{type(settings).__name__}(\n{rows})"
