"""A device that is not the CPU, played on one: its tensors refuse to meet those of the CPU, as a GPU's do.

    with another_device() as device: ...

It is called "meta", the one name that torch lets be taken; its tensors hold real numbers, in tensors of the CPU behind them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import accelerate
import torch
import torch.utils.checkpoint
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

AWAY, CPU = torch.device("meta"), torch.device("cpu")
aten = torch.ops.aten
MOVES = (aten._to_copy.default, aten.copy_.default)
"""What brings numbers from one device to another."""
INDEXES = (
    aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
)  # fmt: skip
"""What takes its indices from the CPU as well."""


class Away(torch.Tensor):
    """A tensor of the other device; ``held`` is where its numbers are."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Away:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, layout=held.layout, device=AWAY,
            requires_grad=held.requires_grad,
        )  # fmt: skip
        made.held = held
        return made

    def __repr__(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return f"Away({self.held!r})"

    def tolist(self) -> list:
        """Numbers of the interpreter, which any device gives."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, as by a GPU."""
        raise TypeError("a tensor of another device has no numpy array: take it to the CPU first")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with Apart():
            return func(*args, **(kwargs or {}))


class Apart(TorchDispatchMode):
    """While it is on, tensors of the two devices do not meet."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        flat, _ = tree_flatten((args, kwargs))
        ours = [one for one in flat if isinstance(one, Away)]
        asked = kwargs.get("device")
        asked = None if asked is None else torch.device(asked)
        if not ours and asked != AWAY:
            return func(*args, **kwargs)
        check(func, args, kwargs, flat, asked)
        there = bool(ours) if asked is None else asked == AWAY
        if func is aten.copy_.default:
            there = isinstance(args[0], Away)
        inner_args, inner_kwargs = tree_map_only(Away, lambda one: one.held, (args, kwargs))
        if asked is not None:
            inner_kwargs["device"] = CPU
        if func is aten._to_copy.default:
            inner_kwargs.pop("non_blocking", None)
        out = func(*inner_args, **inner_kwargs)
        if not there:
            return out
        out = tree_map_only(torch.Tensor, Away, out)
        return out if func in MOVES[:1] else return_and_correct_aliasing(func, args, kwargs, out)


def check(func: Any, args: Any, kwargs: dict[str, Any], flat: list[Any], asked: torch.device | None) -> None:
    """Raise what a GPU would raise of an operation on tensors of both devices, or on a stream of the other."""
    stream = kwargs.get("generator")
    there = asked == AWAY or any(isinstance(one, Away) for one in flat)
    if stream is not None and there and stream.device != AWAY:
        raise RuntimeError(f"{func}: a generator of the CPU draws no numbers on another device")
    if func in MOVES:
        return
    own = [one for one in flat if isinstance(one, torch.Tensor)]
    if func in INDEXES:
        if isinstance(args[0], Away):
            own = [args[0], *(one for one in args[2:3] if isinstance(one, torch.Tensor))]  # not the indices
    strangers = [one for one in own if not isinstance(one, Away) and one.ndim]
    if strangers and any(isinstance(one, Away) for one in own):
        shapes = ", ".join(f"{'there' if isinstance(one, Away) else 'cpu'} {tuple(one.shape)}" for one in own)
        raise RuntimeError(f"{func}: tensors of two devices meet: {shapes}")


@contextlib.contextmanager
def another_device() -> Iterator[torch.device]:
    """The other device, while this lasts."""

    def no_autocast(device_type: str, *rest: Any, **named: Any) -> Any:
        return contextlib.nullcontext() if device_type == AWAY.type else autocast(device_type, *rest, **named)

    def taken_there(make: Any) -> Any:
        """What torch makes of numbers of the interpreter comes past no mode."""
        return lambda data, *rest, device=None, **named: (
            make(data, *rest, **named) if device is None else make(data, *rest, **named).to(device)
        )

    autocast, fused = torch.autocast, [*_foreach_utils._get_fused_kernels_supported_devices(), AWAY.type]
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch("torch.autocast", no_autocast))
        patches.enter_context(mock.patch("torch.utils.checkpoint._infer_device_type", lambda *_: "cpu"))
        for where in ("torch.optim.optimizer", "torch.utils._foreach_utils"):
            patches.enter_context(mock.patch(f"{where}._get_fused_kernels_supported_devices", lambda: fused))
        patches.enter_context(mock.patch.object(accelerate.Accelerator, "device", AWAY))
        # Diffusers means by "meta" that there are no numbers yet.
        patches.enter_context(mock.patch("diffusers.models.modeling_utils._LOW_CPU_MEM_USAGE_DEFAULT", False))
        # A module that moves keeps its parameters, which an optimiser may hold already.
        patches.enter_context(mock.patch("torch.__future__._swap_module_params_on_conversion", True))
        for name in ("tensor", "as_tensor"):
            patches.enter_context(mock.patch(f"torch.{name}", taken_there(getattr(torch, name))))
        patches.enter_context(Apart())
        yield AWAY
