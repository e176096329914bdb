"""Whose a training's output folder is: nobody's, this training's, finished or interrupted, or another's."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from gendistill.priors.training import checkpoints
from gendistill.priors.training.loop import launch
from gendistill.system.store import clear_parts, write_json
from gendistill.types import Images, UserError

log = logging.getLogger("gendistill")
NOTE = "training.json"
FREE = ("checkpointing_steps", "checkpoints_total_limit")
"""Settings that do not change the weights: they may differ when a training is resumed."""


def begin(
    folder: Path,
    settings: Any,
    images: Images,
    *,
    seed: int,
    device: torch.device,
    resume_from_checkpoint: str | None,
    index: str,
    more: Mapping[str, object] | None = None,
    free: Sequence[str] = FREE,
) -> tuple[Accelerator, Path | None] | None:
    """Take ``folder`` for a training: what runs it and the checkpoint to go on from. None where it is finished.

    settings  complete, of any family
    index     the file that is written last: a folder that has it is finished
    more      what else the weights follow from, by name
    free      settings they do not follow from

    Raises:
        UserError: the folder belongs to another training, or to one that was interrupted and not asked to resume.
    """
    if settings.mixed_precision == "fp16" and device.type == "cpu":
        raise UserError('mixed_precision="fp16" needs a GPU; on a CPU use "bf16" or "no"')
    identity = {
        "data": images.fingerprint,
        "seed": seed,
        **(more or {}),
        "settings": {name: value for name, value in vars(settings).items() if name not in free},
    }
    identity = json.loads(json.dumps(identity, default=repr))
    if not claim(folder, identity, resume_from_checkpoint, index):
        return None
    resume = checkpoints.chosen(folder, resume_from_checkpoint)
    accelerator = launch(device, settings.mixed_precision, 1)
    if accelerator.is_main_process:
        clear_parts(folder)
        write_json(folder / NOTE, identity)
    accelerator.wait_for_everyone()
    return accelerator, resume


def claim(folder: Path, identity: dict, resume_from_checkpoint: str | None, index: str) -> bool:
    """Whether there is anything left to do in ``folder`` for this training.

    Raises:
        UserError: the folder belongs to another training, or to an interrupted one that was not asked to resume.
    """
    note = folder / NOTE
    if not note.exists():
        if (folder / index).exists():
            raise UserError(f"{folder} holds a prior that was not trained here; choose another output folder")
        folder.mkdir(parents=True, exist_ok=True)
        return True
    before = json.loads(note.read_text())
    if before != identity:
        told = [
            f"{key}: {old!r}, now {identity[key]!r}"
            for key, old in before.items()
            if key != "settings" and old != identity[key]
        ]
        asked = identity["settings"]
        told += [
            f"{key}: {old!r}, now {asked.get(key)!r}"
            for key, old in before["settings"].items()
            if old != asked.get(key)
        ]
        raise UserError(
            f"{folder} belongs to a training with other settings ({'; '.join(told)}); choose another output folder"
        )
    if (folder / index).exists():
        shutil.rmtree(folder / "autoencoder", ignore_errors=True)  # left where the process ended just then
        log.info("the prior in %s is finished", folder)
        return False
    begun = list(checkpoints.found(folder).values())
    if resume_from_checkpoint is None and (begun or (folder / "autoencoder").exists()):
        names = ", ".join(path.name for path in begun) or "the autoencoder's stage"
        raise UserError(
            f'{folder} holds an interrupted training ({names}); resume it with resume_from_checkpoint="latest", '
            "or choose another output folder"
        )
    return True
