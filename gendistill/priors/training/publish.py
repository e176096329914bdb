"""Last stage: a folder that stock diffusers opens, with class names and a model card."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.pipelines.dit.pipeline_dit import DiTPipeline

from gendistill.priors.training.denoiser import noise_schedule
from gendistill.priors.training.settings import PriorTraining
from gendistill.store import write_text
from gendistill.types import Class

INDEX = "model_index.json"
"""Written last: a folder that has it is finished."""

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

Seed {seed}, data fingerprint `{fingerprint}`.

```
{settings}
```
"""


def publish(
    vae: AutoencoderKL,
    denoiser: DiTTransformer2DModel,
    scale: float,
    classes: tuple[Class, ...],
    rows: tuple[int, ...],
    folder: Path,
) -> None:
    """Write both networks and the scheduler as a ``DiTPipeline`` folder, whole or unfinished but never broken."""
    vae.register_to_config(scaling_factor=scale)
    pipe = DiTPipeline(transformer=denoiser, vae=vae, scheduler=noise_schedule())  # type: ignore[arg-type]
    pipe.register_to_config(
        id2label={str(row): c.name for row, c in sorted(zip(rows, classes, strict=True), key=lambda x: x[0])}
    )
    part = folder / ".pipeline.part"
    shutil.rmtree(part, ignore_errors=True)
    pipe.save_pretrained(str(part), safe_serialization=True)
    for child in sorted(part.iterdir(), key=lambda path: path.name == INDEX):
        target = folder / child.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(child, target)
    part.rmdir()


def write_card(
    folder: Path,
    settings: PriorTraining,
    classes: tuple[Class, ...],
    rows: tuple[int, ...],
    *,
    pictures: int,
    seed: int,
    fingerprint: str,
    data: str,
    licence: str,
) -> None:
    """Write ``README.md``, the model card."""
    shown = ", ".join(f"{row} {c}" for row, c in list(zip(rows, classes, strict=True))[:20])
    more = f" and {len(rows) - 20} more (`id2label` in `{INDEX}`)" if len(rows) > 20 else ""
    write_text(
        folder / "README.md",
        CARD.format(
            licence=licence,
            data=data,
            pictures=pictures,
            side=settings.resolution,
            row=rows[0],
            label=classes[0].name,
            rows=shown + more,
            seed=seed,
            fingerprint=fingerprint,
            settings=repr(settings).replace(", ", ",\n    "),
        ),
    )
