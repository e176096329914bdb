"""What a run runs on: versions, devices, cores, memory, and what is missing."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch", "torchvision", "diffusers", "transformers", "accelerate", "datasets", "huggingface_hub", "timm",
    "open_clip_torch", "peft", "safetensors", "scikit-learn", "numpy", "pillow", "pyarrow",
)  # fmt: skip
MALLOC_OPTIONS = ((-4, 0), (-1, 2**31 - 1), (-2, 64 << 20))
"""glibc's M_MMAP_MAX: no piece of its own from the system; M_TRIM_THRESHOLD and M_TOP_PAD: return late, take much."""
MATCH = "pip install --upgrade torch torchvision   (both together, from one index, so that they match)"


def version() -> str:
    """The version of this package; "unknown" in a clone that was not installed."""
    try:
        return importlib.metadata.version("gendistill")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Version of Python, of this package and of the libraries results depend on; those not installed are left out."""
    found = {"python": platform.python_version(), "gendistill": version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def pick_device(name: str = "auto") -> str:
    """The device to work on: the one named, or for "auto" a CUDA device, else Apple's, else the CPU.

    Raises:
        UserError: no such device here.
    """
    import torch

    from gendistill.types import UserError

    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there[:0] = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    share = os.environ.get("LOCAL_RANK")
    if name in ("auto", "cuda") and share and there[0] == "cuda":
        return f"cuda:{share}"  # of several processes, each has a device of its own
    if name == "auto":
        return there[0]
    if name not in there:
        raise UserError(f"there is no device {name!r} here; there are {', '.join(there)}, and auto takes {there[0]}")
    return name


def cores() -> int:
    """Processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Main memory this process may use: the machine's, or less where a container limits it; None if unknown."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    limit = Path("/sys/fs/cgroup/memory.max")
    given = limit.read_text().strip() if limit.is_file() else "max"
    return min(total, int(given)) if given.isdigit() else total


def missing() -> list[str]:
    """What this package requires and this installation lacks, one line each with what would mend it."""
    try:
        required = importlib.metadata.requires("gendistill") or []
    except importlib.metadata.PackageNotFoundError:
        return ["gendistill itself is not installed: pip install -e ."]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in required if "extra ==" not in line]
    lines = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed: pip install {name}")
    trouble = torchvision_trouble()
    return [*lines, trouble] if trouble else lines


def torchvision_trouble() -> str | None:
    """Why torchvision cannot be imported, and the remedy; None if it can.

    A torchvision built for another torch makes transformers and diffusers impossible to import, with an error that
    does not say so.
    """
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        found = ", ".join(f"{name} {versions().get(name, 'absent')}" for name in ("torch", "torchvision"))
        return f"torchvision does not fit torch ({found}): {str(error).splitlines()[0]}\n{MATCH}"
    return None


def import_trouble(error: BaseException) -> str | None:
    """What is wrong with the installation if that is what an error came from, and the remedy; else None."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    if any("torchvision" in str(one) for one in chain):
        return torchvision_trouble()
    for one in chain:
        if isinstance(one, ModuleNotFoundError) and one.name and one.name.partition(".")[0] != "gendistill":
            name = one.name.partition(".")[0]
            return f"{name} is not installed here ({sys.executable}); `gendistill env` lists all that is missing"
    return None


def describe() -> str:
    """Everything a bug report needs, as text."""
    from gendistill.system.store import cache_root

    lines = [f"{name:<16} {found}" for name, found in versions().items()]
    lines += ["", f"{'platform':<16} {platform.platform()}", f"{'executable':<16} {sys.executable}"]
    lines += [f"{'cores':<16} {cores()}", f"{'memory':<16} {_gigabytes(memory_bytes())}"]
    lines += [f"{'devices':<16} {found}" for found in _devices()]
    cache = cache_root()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    lines += [f"{'cache':<16} {cache} ({_gigabytes(shutil.disk_usage(there).free)} free)"]
    lines += [f"{name:<16} {os.environ[name]}" for name in ("HF_HOME", "HF_HUB_OFFLINE") if name in os.environ]
    absent = missing()
    return "\n".join(
        [*lines, "", "missing" if absent else f"{'missing':<16} nothing", *(f"  {line}" for line in absent)]
    )


def _devices() -> list[str]:
    import torch

    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.append("mps")
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(i)
        found.append(f"cuda:{i} {about.name}, {_gigabytes(about.total_memory)}")
    return [*found, f"auto takes {pick_device()}"]


def _gigabytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e9:.1f} GB"


def keep_memory() -> None:
    """Keep freed memory for the next step instead of giving every large piece back at once.

    By default glibc takes each large tensor from the system and returns it when it is freed, and the system fills it with
    zeros anew: on a CPU that is up to 40 % of a training step. `release_memory` gives back what was kept. Changes no result;
    nothing to do on other systems or with other allocators.
    """
    if (set_option := _of_libc("mallopt")) is not None:
        for option, value in MALLOC_OPTIONS:
            set_option(option, value)


def release_memory() -> None:
    """Give freed memory back to the system, where the C library keeps it otherwise.

    glibc keeps what one class took for the next; pieces that do not fit add up, and a run over many classes would seem to
    grow. Costs some milliseconds; nothing to do on other systems.
    """
    if (trim := _of_libc("malloc_trim")) is not None:
        trim(0)


def _of_libc(name: str) -> Any:
    """A function of glibc; None on other systems and with other allocators."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
