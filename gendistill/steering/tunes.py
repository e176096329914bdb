"""What steps share that train the prior further and make no picture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

from accelerate.utils import broadcast_object_list

from gendistill.capabilities import LoadedPrior
from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.objectives.base import Scope
from gendistill.priors.base import lacks
from gendistill.steering.base import Steering
from gendistill.system import ranks
from gendistill.types import UserError


class TunesPrior(Steering):
    """A step that trains the prior and hands it to those that follow; a frozen dataclass with the settings of the training.

    The tuned prior is made once, kept in the cache, and does not depend on the recipe's seed or IPC: to an objective, a batch is
    the set, its pictures of a class the slots.

    kind  what is kept, as the cache calls it
    """

    kind: ClassVar[str]
    mixed_precision: Any
    begins = True
    shapes = False
    looks_at_real = True

    @property
    def scope(self) -> Scope:
        """It works on no picture, whatever the objectives judge."""
        return "picture"

    def retold(self, prior: dict[str, str]) -> dict[str, str]:
        """Tuned here, and it saw the training pictures too; what it saw before stays unknown where it was."""
        told = {**prior, "name": f"{prior['name']}, fine-tuned here"}
        if prior.get("saw"):
            told["saw"] = " and ".join(dict.fromkeys([prior["saw"], "the training pictures"]))
        return told

    def tune(self, context: Context) -> LoadedPrior:
        """The tuned prior, from the cache if it is there; several processes train it together.

        Raises:
            UserError: this prior cannot be tuned, or not on this device.
            Diverged: a loss is not finite.
        """
        prior: Any = context.prior
        if context.dry:
            return prior
        missing = lacks(type(prior), self.needs)
        if missing:
            raise UserError(
                f"{type(self).__name__} needs a prior that {' and '.join(missing).lower()}; {type(prior).__name__} does not"
            )
        if self.mixed_precision == "fp16" and context.device.type == "cpu":
            raise UserError('mixed_precision="fp16" needs a GPU; on a CPU use "bf16" or "no"')
        free: Any = {"checkpointing_steps": 1, "checkpoints_total_limit": 1}  # no weight follows from these
        key = {
            "prior": prior.fingerprint,
            "data": context.real.train.fingerprint,
            "step": repr(replace(cast(Any, self), **free)),
            "device": context.device.type,
            **self.follows(prior),
        }
        return prior.reload(made_together(context, self.kind, key, lambda folder: self.train(context, folder)))

    def follows(self, prior: Any) -> Mapping[str, object]:
        """What else the weights follow from, by name. Raises `UserError` where it is not there."""
        return {}

    @abstractmethod
    def train(self, context: Context, folder: Path) -> None:
        """Train into a folder that the prior's ``reload`` opens; where it was interrupted, go on."""

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The draft, to be worked on with the tuned prior."""
        assert context.prior is not None
        return replace(draft, prior=context.prior)


def made_together(context: Context, kind: str, key: Mapping[str, object], make: Callable[[Path], None]) -> Path:
    """As `Store.folder`, by all processes of a run: the first holds the lock and says whether there is anything to make."""
    store, needed = context.store, False
    if ranks.count() == 1:
        return store.folder(kind, key, make)

    def with_others(working: Path) -> None:
        nonlocal needed
        needed = tell(True)
        make(working)

    ranks.wait()
    path = store.path(kind, key)
    if ranks.first():
        store.folder(kind, key, with_others)
        if not needed:
            tell(False)
    elif tell(False):
        make(path.with_suffix(".working"))
    ranks.wait()
    return path


def tell(answer: bool) -> bool:
    """The answer of the first process, in every one."""
    return cast(bool, broadcast_object_list([answer])[0])
