"""Reading a pickle without running it: tensors and plain containers are made, known objects become inert, all else is refused.

A pickle is a program: it names functions and calls them. Here none of the functions it names is ever looked up. A few names
stand for functions of this file, which make tensors, numbers and containers; objects of a few packages of networks become
`Inert`, which keeps what they were made from; any other name ends the reading.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._utils import _rebuild_tensor

from gendistill.types import UserError

PACKAGES = frozenset(
    "torch torchvision timm numpy dill functools dnnlib torch_utils training pg_modules feature_networks".split()
)
"""Whose objects may stand in the file. None of them is imported for it, and none of their functions is called."""
NAMES = frozenset(("builtins.getattr", "builtins.setattr"))
"""What dill writes for functions it stores with their code, as in the authors' discriminator. They stay inert as well."""


class Inert:
    """An object of the file as data: what it would have been called with, and its state. It does nothing.

    origin  module and name, as the file says
    args    what it would have been made from
    state   its attributes
    """

    origin = ""

    args: tuple[Any, ...]
    state: Mapping[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Inert:
        """Keep what it is called with. There is no ``__init__``: a pickle may give an object its state and never call it."""
        made = super().__new__(cls)
        made.args, made.state = (*args, *kwargs.values()), {}
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        """What a call of it would have made, inert as well."""
        return type(self)(self, *args, **kwargs)

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, Mapping) else {"state": state}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.state = {**self.state, key: value}

    def append(self, value: Any) -> None:
        """An entry of a list, which nobody asks for."""

    def __repr__(self) -> str:
        return f"<{self.origin}, inert>"


def read(path: Path) -> Any:
    """What a pickle holds, with `Inert` for the objects in it.

    Raises:
        UserError: it names something that no network needs, or is broken.
    """
    with open(path, "rb") as file:
        try:
            return _Reader(file, path).load()
        except UserError:
            raise
        except Exception as error:  # whatever a broken or hostile file leads to
            raise UserError(
                f"{path} cannot be read as a pickle of a network ({error}); nothing in it was run"
            ) from error


def tensors(module: Any, prefix: str = "") -> dict[str, Tensor]:
    """The parameters and buffers of an inert module and of those in it, by name."""
    found = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in module.state.get(kind, {}).items():
            if isinstance(value, Tensor):
                found[prefix + name] = value.detach()
    for name, inner in module.state.get("_modules", {}).items():
        if isinstance(inner, Inert):
            found |= tensors(inner, f"{prefix}{name}.")
    return found


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, path: Path):
        super().__init__(file)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        """Never the thing of this name: a function of ours, an inert stand-in, or an error."""
        origin = f"{module}.{name}"
        if origin in MADE:
            return MADE[origin]
        if module.partition(".")[0] in PACKAGES or origin in NAMES:
            return type(name.rpartition(".")[2], (Inert,), {"origin": origin})
        raise UserError(
            f"{self.path} asks for {origin}, for which a pickle of a network has no use: it was refused, and nothing in it was run"
        )


def _storage(raw: bytes) -> Any:
    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return _rebuild_tensor(storage, offset, size, stride).clone()


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _persistent(meta: Mapping[str, Any]) -> Inert:
    """An object stored with the source of its class, which stays text."""
    made = type(str(meta["class_name"]), (Inert,), {"origin": str(meta["class_name"])})()
    made.__setstate__(meta["state"])
    return made


def _number(kind: Inert, raw: bytes) -> Any:
    name, state = kind.args[0], kind.state.get("state", (None, "<"))
    if name not in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"):
        raise pickle.UnpicklingError(f"a number of type {name!r}")
    return np.frombuffer(raw, np.dtype(f"{'>' if state[1] == '>' else '<'}{name}"))[0].item()


def _bytes(text: str, codec: str = "latin1") -> bytes:
    if codec != "latin1":
        raise pickle.UnpicklingError(f"bytes as {codec!r}")
    return text.encode("latin1")


def _new(kind: type, *_: Any) -> Any:
    if not issubclass(kind, Inert):
        raise pickle.UnpicklingError(f"an object of {kind}")
    return kind()


MADE: Mapping[str, Callable[..., Any]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.storage._load_from_bytes": _storage,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
    "dnnlib.util.EasyDict": dict,
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
    "__builtin__.set": set,
    "builtins.frozenset": frozenset,
    "_codecs.encode": _bytes,
    "copyreg._reconstructor": _new,
    "copy_reg._reconstructor": _new,
}
"""What a name in the file stands for: functions of this file, and containers of Python."""
