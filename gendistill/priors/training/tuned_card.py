"""The model card of a prior that was trained further: what it is of, and the lines that use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gendistill.capabilities import Prompted
from gendistill.provenance import HUB_LICENCES, UNKNOWN
from gendistill.types import RealData

CARD = """---
{head}
---

# {title}

{what} Trained with gendistill on {pictures:,} pictures of {data} (licence: {licence}), fingerprint `{fingerprint}`.
The licence is that of the prior it was made from, {base}: {base_licence}.

```python
from diffusers import {kind}

pipe = {kind}.from_pretrained("{source}")
{load}image = pipe({call}).images[0]  # {name}
```
{asked}{shown}
## Training
{command}
```python
{made}
```
"""


def card(
    prior: Any,
    origin: Mapping[str, str],
    data: RealData,
    made: str,
    *,
    adapter: bool = False,
    command: str | None = None,
    shown: str | None = None,
) -> str:
    """The text of ``README.md`` for a loaded prior that was tuned on ``data``.

    origin   name, source and licence of the prior it was tuned from, each where it is known
    made     the settings, as code
    adapter  the folder holds the changes alone, to be loaded on top of that prior
    command  what was typed to make it
    shown    a picture in the folder, by its path there
    """
    words, kind = isinstance(prior, Prompted), prior.pipeline.__name__
    base, source, licence = origin["name"], origin.get("source"), origin.get("licence", UNKNOWN)
    hub = source is not None and not Path(source).is_dir()
    if not hub:
        base = Path(base).name
    relation = {"base_model": base, "base_model_relation": "adapter" if adapter else "finetune"}
    tags = ["text-to-image"] if words else ["class-conditional", "latent-diffusion"]
    head = {
        "license": licence if licence in HUB_LICENCES else "other",
        **(relation if hub else {}),
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image" if words else "unconditional-image-generation",
        "tags": ["diffusers", "dataset-distillation", *tags, *(["lora"] if adapter else [])],
    }
    first = torch.tensor([0])
    if words:
        call = json.dumps(prior.prompts(first)[0], ensure_ascii=False)
    else:
        call = f"class_labels=[{int(prior.condition(first).values['class'])}]"
    return CARD.format(
        head="\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()),
        title=f"LoRA for {base}, of {data.name}" if adapter else f"A diffusion prior, fine-tuned on {data.name}",
        what=f"Low-rank changes for a `{kind}`."
        if adapter
        else f"A stock `{kind}` whose denoiser was trained further.",
        pictures=len(data.train),
        data=data.name,
        licence=data.licence,
        fingerprint=data.train.fingerprint,
        base=f"[{base}](https://huggingface.co/{base})" if hub else f"`{base}`",
        base_licence=licence,
        kind="DiffusionPipeline" if words else kind,
        source=base if adapter else "THIS_FOLDER",
        load='pipe.load_lora_weights("THIS_FOLDER")\n' if adapter else "",
        call=call,
        name=data.classes[0].name,
        asked=f"\nWhat was said for each class: `{prior.texts}`.\n" if words else "",
        shown=f"\n![What it draws]({shown})\n" if shown else "",
        command=f"\n```sh\n{command}\n```\n" if command else "",
        made=made,
    )
