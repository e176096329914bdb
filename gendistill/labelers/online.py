"""Teachers asked while the student learns: nothing is stored but the teachers (RDED, Sun et al., CVPR 2024), https://arxiv.org/abs/2312.03526."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from gendistill.context import Context
from gendistill.labelers.ensemble import Committee, Ensemble
from gendistill.labelers.relabel import learned
from gendistill.learning.label_losses import LabelLoss
from gendistill.learning.training import reader
from gendistill.nets.guessing import check_teacher
from gendistill.system.store import fingerprint
from gendistill.types import Images, LogProbs, Pixels, SoftLabels, UserError
from gendistill.views.base import Read
from gendistill.views.numbered import Views
from gendistill.work import Work


class OnlineLabels(SoftLabels):
    """What teachers say of any view, when it is asked for. Costs the bytes of the teachers."""

    kind = "online"

    def __init__(
        self,
        images: Images,
        views: Views,
        temperature: float,
        teachers: Callable[[], tuple[Ensemble, Context]],
        loss: LabelLoss | None = None,
        known: str = "",
    ) -> None:
        """``teachers`` says who is asked, and opens the real data they know; it is called when one of them is needed.

        ``known`` is a hash of who they are, where they were asked before.
        """
        self.views, self.temperature, self.loss = views, temperature, loss
        self._images, self._open, self._known = images, teachers, known

    @cached_property
    def _teachers(self) -> tuple[Ensemble, Context]:
        ensemble, context = self._open()
        if self._known not in ("", who(ensemble, context)):
            raise UserError(
                "the teachers of this set are others now than when it was made, a checkpoint was replaced or a repository changed: "
                "bring them back, label it anew, or use the hard labels, distilled.hard()"
            )
        return ensemble, context

    @cached_property
    def _committee(self) -> Committee:
        ensemble, context = self._teachers
        committee = ensemble.committee(context)
        for net, reference in zip(committee.nets, ensemble.teachers, strict=True):
            check_teacher(reference, context, net)
        return committee

    @property
    def _reader(self) -> Read:
        """Of these pictures. Of many sets with labels of one stage, the one that was asked last is in memory."""
        context, mine = self._teachers[1], self._images.fingerprint
        held = context.lasting("pictures of online labels", dict[str, Read])
        if mine not in held:
            held.clear()
            held[mine] = reader(self._images, context.device)
        return held[mine]

    @cached_property
    def bytes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the teachers."""
        return self._committee.bytes

    @cached_property
    def fingerprint(self) -> str:
        """Of the pictures, who the teachers are, and the views. Loads none of them."""
        ensemble, context = self._teachers
        asked = (*ensemble.identity(context), context.real.train.fingerprint, context.device.type)
        how = (self.temperature, *learned(self).values())
        return fingerprint("online", self._images.fingerprint, *asked, self.views, *how)

    def asking(self, ensemble: Ensemble, context: Context) -> OnlineLabels:
        """The same labels, by teachers that know the real pictures of a context, which is open."""
        bare = replace(context, prior=None)
        how = (self._images, self.views, self.temperature)
        return OnlineLabels(*how, lambda: (ensemble, bare), self.loss, self._known)

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """What the teachers say of these pictures in this view, on the teachers' device."""
        return self._committee(self.views.look(self._reader, positions, view, len(self._images)).pixels)

    def seen(self, pixels: Pixels, positions: Tensor, view: int) -> LogProbs:
        """The same, without making the view again."""
        return self._committee(pixels)

    def save(self, folder: Path) -> dict[str, object]:
        """Write nothing: the recipe loads the teachers again, and a hash tells whether they are the same."""
        told = {"kind": self.kind, "temperature": self.temperature, "views": repr(self.views), **learned(self)}
        return {**told, "teachers": self._known}


def who(ensemble: Ensemble, context: Context) -> str:
    """A hash of who the teachers are and how they are asked. Loads none of them."""
    return fingerprint(*ensemble.identity(context))


@dataclass(frozen=True)
class Online(Ensemble):
    """An ensemble that labels every view the student sees.

    teachers     references of classifiers, see `gendistill.nets.trained.load`
    average      what is averaged over teachers: there is no neutral choice, so there is no default
    temperature  of the student's loss with these labels
    weights      how much each teacher counts, see `Ensemble`
    softening    what each teacher's logits are divided by, see `Ensemble`
    loss         what a student minimises with these labels; None for what its training says
    views        what teachers and student look at
    """

    views: Views = Views()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_statistics:
            raise UserError(
                f"batch_statistics={self.batch_statistics}: Online() answers for whatever batch a student asks, so that its labels "
                "would follow from who else is in it; use RelabelViews(), whose batches are fixed"
            )

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """Labels that are made when they are asked for."""
        bare = replace(context, prior=None)  # these labels may live long after it
        return OnlineLabels(images, self.views, self.temperature, lambda: (self, bare), self.loss, who(self, context))

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """The training of teachers; their passes are the student's."""
        return self.passes(images, context, 0)
