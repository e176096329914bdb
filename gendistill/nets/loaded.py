"""A classifier that was loaded elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from gendistill.context import Context
from gendistill.nets.class_order import check_once
from gendistill.nets.reference import Reference, looking, stated
from gendistill.system.store import fingerprint_state
from gendistill.types import Images, Pixels, UserError

PROBABILITIES = 1e-4
"""As near as answers that are none below zero sum to one, they are no logits."""


@dataclass(frozen=True, eq=False, repr=False)
class Loaded(Reference):
    """A network that was loaded elsewhere: an ``nn.Module`` from pixels in [0, 1] to logits over the data's classes.

    Two are equal where their weights are. The text of one shows their fingerprint, but cannot make it again.

    net  the module; it is copied, and stays as it is
    saw  the pictures it was trained on, for the card; empty where that is not known, and it cannot be weighed or calibrated
    """

    net: nn.Module
    saw: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights."""
        return fingerprint_state(self.net)

    @cached_property
    def checked(self) -> set[str]:
        """Fingerprints of the pictures whose class order it was found to share, by this process.

        Not kept in the store: a module may reorder its outputs by code, which the fingerprint of its weights does not see.
        """
        return set()

    def load(self, context: Context) -> nn.Module:
        """A copy of the module.

        Raises:
            UserError: it answers with no tensor, with another number of classes, in another order, or with probabilities.
        """
        net, classes = deepcopy(self.net).to(context.device).eval().requires_grad_(False), len(context.real.classes)
        with torch.no_grad():
            said = net(torch.zeros(1, *context.real.train.shape, device=context.device))
        found = tuple(said.shape) if isinstance(said, Tensor) else type(said).__name__
        if found != (1, classes):
            raise UserError(
                f"the given {type(net).__name__} answers one picture with {found}; logits over {classes} classes, a tensor of "
                f"shape {(1, classes)}, were expected: wrap it in a module that returns them"
            )
        between = bool((said >= 0).all()) and bool((said < 1).all())  # a table's 0 and 1 may be logits
        if between and abs(float(said.sum()) - 1) < PROBABILITIES:
            raise UserError(
                f"the given {type(net).__name__} answers with probabilities, and logits were expected, whose softmax these would "
                "be: leave its softmax out, or return their logarithm"
            )
        check_once(net, context, self.checked)
        return net

    def see(self, context: Context) -> Callable[[Pixels], Tensor]:
        """What a copy of the module sees, whatever it answers for."""
        return looking(deepcopy(self.net).to(context.device).eval().requires_grad_(False))

    def origin(self, licence: str) -> dict[str, str]:
        """Its text, and what it saw."""
        return {"name": repr(self), **({"saw": self.saw} if self.saw else {})}

    def unseen(self, context: Context) -> Images:
        """A tenth of the training pictures, where the user states what else it saw.

        Raises:
            UserError: that is not stated.
        """
        return stated(self.saw, f"the given {type(self.net).__name__}", context)

    def __repr__(self) -> str:
        return f"Loaded(<{type(self.net).__name__} {self.fingerprint}>{f', saw={self.saw!r}' if self.saw else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loaded) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))
