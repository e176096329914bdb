"""What is on disk: whole files or none, names that follow from content, and a cache of what is costly to make.

The cache lives in ``$GENDISTILL_CACHE``, else in the user's cache folder, in a folder of this version: what other code made is
never taken for what this one would make. Deleting it loses time, never results.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gendistill.system.environment import version
from gendistill.types import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a system says when the disk, or the user's share of it, is full."""
STALE_S = 24 * 3600
"""Nobody writes a file of the cache for as long as this."""


def fingerprint(*things: object) -> str:
    """16 hexadecimal digits that follow from the content: tensors by their bytes, all else by its ``repr``."""
    hashed = hashlib.sha256()
    for thing in things:
        if isinstance(thing, Tensor):
            flat = thing.detach().cpu().contiguous()
            hashed.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
            hashed.update(flat.flatten().view(torch.uint8).numpy().data if flat.numel() else b"")
        elif isinstance(thing, np.ndarray):
            hashed.update(f"{thing.dtype}{thing.shape}".encode() + np.ascontiguousarray(thing).tobytes())
        elif isinstance(thing, bytes):
            hashed.update(thing)
        else:
            hashed.update(repr(thing).encode())
        hashed.update(b"\0")
    return hashed.hexdigest()[:16]


def fingerprint_state(module: torch.nn.Module) -> str:
    """Fingerprint of all parameters and buffers of a network."""
    return fingerprint(*(item for name, tensor in sorted(module.state_dict().items()) for item in (name, tensor)))


def fingerprint_file(path: Path) -> str:
    """Fingerprint of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def fingerprint_files(place: str) -> list[tuple[str, str]]:
    """Name and fingerprint of a file, or of every file in a folder; none where neither is there."""
    path = Path(place)
    found = sorted(path.glob("*")) if path.is_dir() else [path]
    return [(one.name, fingerprint_file(one)) for one in found if one.is_file()]


def cache_root() -> Path:
    """Where this version keeps costly things between runs."""
    given = os.environ.get("GENDISTILL_CACHE")
    place = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gendistill"
    return place / version()


@contextmanager
def out_of_space(path: Path):
    """Turn 'no space left' and 'quota exceeded' into an error that says where and how much was free."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        # Those of safetensors, written in Rust, have the number in their text alone.
        full = any(f"(os error {number})" in str(error) for number in FULL)
        if not full and getattr(error, "errno", None) not in FULL:
            raise
        free = shutil.disk_usage(path).free
        raise UserError(
            f"no room left on the disk of {path} ({free / 1e6:.0f} MB free, quotas aside); finished shards are kept, "
            "make room and run again with --resume"
        ) from error


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary neighbour of ``path``, then put it in place: after a kill it is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with out_of_space(path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, whole or not at all."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda part: save_file(ready, part))


def read_json(path: Path) -> Any:
    """What a file of JSON says.

    Raises:
        UserError: it is not there, or no JSON.
    """
    with readable(path):
        return json.loads(path.read_text(encoding="utf-8"))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        UserError: it is not there, or damaged.
    """
    with readable(path):
        return load_file(path)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into an error that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is missing: put back a copy, or make again what it belongs to") from None
    except (ValueError, SafetensorError) as error:  # those of JSON and of text that is none are values
        raise UserError(
            f"{path} is damaged ({error}): put back a copy, or remove what it belongs to and make it again"
        ) from None


def tensor_bytes(path: Path) -> int:
    """Bytes of the tensors in a safetensors file, without the header that names them."""
    with open(path, "rb") as file:
        return path.stat().st_size - 8 - int.from_bytes(file.read(8), "little")


def write_state(path: Path, variables: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write an optimisation as it is before ``step``, whole or not at all."""
    tensors = {"step": torch.tensor(step), **variables}
    for number, state in optimizer.state_dict()["state"].items():
        tensors.update(
            {f"state/{number}/{name}": torch.as_tensor(value) for name, value in state.items() if value is not None}
        )
    write_tensors(path, tensors)


def read_state(path: Path, variables: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
    """Put back what `write_state` wrote, bit by bit, if it is there; returns the step to go on from."""
    if not path.exists():
        return 0
    tensors = read_tensors(path)
    state: dict[int, dict[str, Tensor]] = {}
    with torch.no_grad():
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            if name in variables:
                variables[name].copy_(value)
            elif kind == "state":
                number, _, entry = rest.partition("/")
                state.setdefault(int(number), {})[entry] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(tensors["step"])


def as_tensor(texts: Sequence[str]) -> Tensor:
    """Texts as bytes, to be kept beside other tensors."""
    return torch.frombuffer(bytearray(json.dumps(list(texts)).encode()), dtype=torch.uint8)


def as_texts(tensor: Tensor) -> tuple[str, ...]:
    """The texts that `as_tensor` made bytes of."""
    return tuple(json.loads(tensor.numpy().tobytes()))


def clear_parts(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for part in folder.rglob(".*.part"):
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


@cache
def clear_stale_parts(folder: Path) -> None:
    """Remove half-written files from a folder of the cache, once a process: what is older than a day was left by a killed one."""
    for part in folder.glob(".*.part"):
        try:
            if time.time() - part.stat().st_mtime > STALE_S:
                part.unlink()
        except FileNotFoundError:  # another process was faster
            continue


@dataclass(frozen=True)
class Store:
    """A cache of tensors and folders, each under the hash of what made it."""

    root: Path

    def path(self, kind: str, key: Mapping[str, object]) -> Path:
        """Where the thing of this kind and key lives, whether or not it exists."""
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=repr).encode()).hexdigest()[:24]
        return self.root / kind / digest

    def tensors(
        self, kind: str, key: Mapping[str, object], make: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The tensors of this key, made now if they are not there."""
        path = self.path(kind, key).with_suffix(".safetensors")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):  # of several processes one makes it, the others wait and read
                if not path.exists():
                    clear_stale_parts(path.parent)
                    write_tensors(path, make())
        return read_tensors(path)

    def folder(self, kind: str, key: Mapping[str, object], make: Callable[[Path], None]) -> Path:
        """The folder of this key. ``make`` fills a working folder that survives a kill, so that it can resume there."""
        path = self.path(kind, key)
        if not path.exists():
            working = path.with_suffix(".working")
            working.mkdir(parents=True, exist_ok=True)
            with FileLock(str(working) + ".lock"):
                if not path.exists():
                    with out_of_space(working):
                        make(working)
                    write_json(working / "key.json", json.loads(json.dumps(key, default=repr)))
                    os.replace(working, path)
        return path
