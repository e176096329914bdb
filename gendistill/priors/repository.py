"""The files of a checkpoint that is not diffusers', in a folder or in a repository of the hub, found by the end of their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gendistill.types import RealData, UserError

CONFIG = "config.json"


def file(folder: Path, ending: str) -> Path:
    """The one file of a folder whose name ends so: publishers put the checkpoint's name in front."""
    exact = folder / ending
    found = [exact] if exact.is_file() else sorted(folder.glob(f"*{ending}"))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise UserError(f"one file called {ending} or *{ending} was expected in {folder}; there are: {listed}")
    return found[0]


def config(folder: Path) -> dict[str, Any]:
    """The configuration of a checkpoint. Reads no weights."""
    path = file(folder, CONFIG)
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise UserError(f"{path} holds {type(read).__name__}, not the settings of a network")
    return read


def check_pictures(whose: str, makes: tuple[int, int, int], data: RealData) -> None:
    """Raise `UserError` if a generator's pictures, (c, h, w), are not shaped like those of the data."""
    (channels, side, _), (there, height, width) = makes, data.train.shape
    if there != channels:
        raise UserError(f"{whose} makes {channels} channels, the data has {there}; set channels={channels} in `real`")
    if (height, width) != makes[1:]:
        raise UserError(
            f"{whose} makes {side} x {side} pictures, the data is {height} x {width}; set size={side} in `real`"
        )


def fill(net: nn.Module, state: Mapping[str, Tensor], whose: str) -> None:
    """Give a network its weights: every tensor must be used, and every weight found.

    Raises:
        UserError: one is missing, left over, or of another shape.
    """
    wanted = net.state_dict()
    problems = {
        "missing": [name for name in wanted if name not in state],
        "left over": [name for name in state if name not in wanted],
        "of another shape": [
            f"{name} {tuple(state[name].shape)}, not {tuple(value.shape)}"
            for name, value in wanted.items()
            if name in state and state[name].shape != value.shape
        ],
    }
    said = [f"{len(names)} {kind} ({', '.join(names[:3])} ...)" for kind, names in problems.items() if names]
    if said:
        raise UserError(
            f"the weights of {whose} do not fit its config: {'; '.join(said)}; "
            "is the checkpoint complete and its config.json its own?"
        )
    net.load_state_dict(dict(state))
