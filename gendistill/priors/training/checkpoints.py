"""Checkpoints ``checkpoint-<global_step>``: whole or absent, however the process ends, and only the newest are kept."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator

from gendistill.system.store import out_of_space
from gendistill.types import UserError

NAME = re.compile(r"checkpoint-(\d+)")


def found(folder: Path) -> dict[int, Path]:
    """The checkpoints in ``folder`` by their step, ascending."""
    if not folder.is_dir():
        return {}
    named = [(match, path) for path in folder.iterdir() if (match := NAME.fullmatch(path.name))]
    return dict(sorted((int(match[1]), path) for match, path in named))


def step_of(path: Path) -> int:
    """Optimiser steps done when the checkpoint was written."""
    match = NAME.fullmatch(path.name)
    if match is None:
        raise UserError(f"a checkpoint is a folder called checkpoint-<step>, not {path.name!r}")
    return int(match[1])


def chosen(folder: Path, resume_from_checkpoint: str | None) -> Path | None:
    """The checkpoint that "latest", a name or a path stands for; None where there is nothing to resume.

    Raises:
        UserError: a checkpoint was named that is not there; lists those that are.
    """
    there = found(folder)
    if resume_from_checkpoint is None:
        return None
    if resume_from_checkpoint == "latest":
        return there[max(there)] if there else None
    for path in (Path(resume_from_checkpoint), folder / resume_from_checkpoint):
        if path.is_dir() and NAME.fullmatch(path.name):
            return path
    names = ", ".join(path.name for path in there.values()) or "no checkpoint"
    raise UserError(f'no checkpoint at {resume_from_checkpoint!r}; {folder} has {names}. "latest" takes the newest')


def write_folder(folder: Path, write: Callable[[Path], object], accelerator: Accelerator) -> None:
    """Let every process ``write`` into a temporary neighbour of ``folder``, then put it in place."""
    part = folder.with_name(f".{folder.name}.part")
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    accelerator.wait_for_everyone()
    with out_of_space(folder.parent):
        write(part)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        for file in part.rglob("*"):
            if file.is_file():
                with open(file, "rb+") as opened:
                    os.fsync(opened.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    accelerator.wait_for_everyone()


def save(accelerator: Accelerator, folder: Path, step: int, total_limit: int | None) -> None:
    """Write the state after ``step`` optimiser steps, then drop the oldest beyond ``total_limit``."""
    write_folder(folder / f"checkpoint-{step}", lambda part: accelerator.save_state(str(part)), accelerator)
    drop(accelerator, folder, total_limit)


def drop(accelerator: Accelerator, folder: Path, total_limit: int | None) -> None:
    """Drop the oldest checkpoints beyond ``total_limit``."""
    if accelerator.is_main_process and total_limit is not None:
        for old in list(found(folder).values())[:-total_limit]:
            shutil.rmtree(old)
