"""One small example of every part that is found by walking the folders; a new part needs no entry anywhere."""

from __future__ import annotations

import dataclasses
import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from gendistill.config import parts
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained
from gendistill.nets.zero_shot import Clip
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.steering.optimize import Optimize

SMALL: dict[str, Any] = {
    "epochs": 2,
    "least_steps": 0,
    "batch": 8,
    "steps": 6,
    "width": 8,
    "students": 1,
    "sets": 1,
    "count": 3,
}
"""Fields that mean size are called the same everywhere, so that tests can shrink any recipe by name."""
CAPS: dict[str, float] = {"weight": 10.0, "cfg": 4.0, "tiles": 1}
"""Strengths that are made for latents of thousands of numbers, and mosaics for large pictures."""
RATE = 0.01
"""Of training: at a published 0.1 a handful of steps leave a deep network so sure of itself that no gradient is left."""
TEACHER = Trained(
    net=ConvNet(depth=2, width=8),
    training=Training(epochs=1, least_steps=60, batch=8, optimizer="Adam", weight_decay=0, augment=None),
)
"""Knows toy pictures and digits well enough to label them: one that guesses is refused."""
QUICK = dataclasses.replace(TEACHER, training=dataclasses.replace(TEACHER.training, least_steps=0))
"""As that one, of one epoch: enough where nothing is labelled."""
WANTED = (CrossEntropy((TEACHER,)),)
REQUIRED: dict[str, Any] = {
    "objectives": WANTED, "teachers": (TEACHER,), "average": "logits", "optimize": Optimize(WANTED),
    "labeler": RelabelViews((TEACHER,), "logits"),
}  # fmt: skip


def subclasses(base: type) -> list[type]:
    """Every concrete part of this role, by name."""
    found = [part for part in parts.parts().values() if issubclass(part, base) and not inspect.isabstract(part)]
    return sorted(found, key=lambda part: part.__name__)


def example(part: type) -> Any:
    """A small instance: defaults, with what is required filled by the field's name."""
    given = {
        f.name: REQUIRED[f.name]
        for f in dataclasses.fields(part)
        if f.default in (dataclasses.MISSING, ()) and f.name in REQUIRED
    }
    return shrink(part(**given))


def shrink(value: Any) -> Any:
    """The same settings with every size made small, and networks shallow enough for 8 px."""
    if isinstance(value, tuple):
        return tuple(shrink(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = {}
    for f in dataclasses.fields(value):
        now = getattr(value, f.name)
        if f.name in SMALL and isinstance(now, int):
            changed[f.name] = min(now, SMALL[f.name])
        elif f.name == "model" and isinstance(value, Clip):
            changed[f.name] = tiny_clip()
        elif f.name in CAPS and isinstance(now, int | float):
            changed[f.name] = min(now, CAPS[f.name])
        elif f.name == "lr" and isinstance(value, Training):
            changed[f.name] = min(now, RATE)
        elif f.name == "stem":
            changed[f.name] = "small"
        elif f.name == "depth":
            changed[f.name] = min(now, 2) if isinstance(value, ConvNet) else now
        else:
            changed[f.name] = shrink(now)
    return dataclasses.replace(value, **changed)


@cache
def tiny_clip() -> torch.nn.Module:
    """An untrained CLIP for 16 px, with the vocabulary of the real ones."""
    from open_clip import CLIP, CLIPTextCfg, CLIPVisionCfg

    with torch.random.fork_rng():
        torch.manual_seed(0)
        vision = CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=8, image_size=16)
        return CLIP(16, vision, CLIPTextCfg(context_length=16, width=32, heads=2, layers=1))


def save_clip(folder: Path) -> str:
    """Write the tiny CLIP as a folder that open_clip opens, and return its path."""
    vision = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 16}
    text = {"context_length": 16, "width": 32, "heads": 2, "layers": 1}
    config = {"model_cfg": {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(tiny_clip().state_dict(), folder / "open_clip_model.safetensors")
    return str(folder)
