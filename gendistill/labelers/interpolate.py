"""One soft label per picture, mixed as the pictures are: INFER (Zhang et al., ICLR 2025), https://arxiv.org/abs/2408.06927.

log p = log_softmax( share * z_i + (1 - share) * z_j ),   z what teachers say of the single pictures, share of picture i in the mix

Log-probabilities are logits less a number of each picture, which the softmax does not see.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gendistill.context import Context
from gendistill.labelers.codecs.top_k import TopK
from gendistill.labelers.relabel import Relabel, StaticLabels
from gendistill.system.store import fingerprint
from gendistill.types import Images, LogProbs, SoftLabels, UserError
from gendistill.views.mixup import MixUp
from gendistill.views.numbered import Views


class InterpolatedLabels(SoftLabels):
    """Labels of mixed views that follow from those of the single pictures."""

    kind = "soft"

    def __init__(self, static: StaticLabels, views: Views, images: Images) -> None:
        """``static`` are labels of the pictures as they are."""
        self.static, self.views, self.temperature, self.bytes = static, views, static.temperature, static.bytes
        self.loss = static.loss
        self._count, self._size = len(images), images.shape[1:]

    @property
    def fingerprint(self) -> str:
        """Of the labels and the views."""
        return fingerprint(self.static.fingerprint, self.views)

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """Logits of both pictures by their shares of the view."""
        partners, share = self.views.mixing(positions, view, self._count, self._size)
        return self.static.at(partners).lerp(self.static.at(positions), share.unsqueeze(1)).log_softmax(1)

    def save(self, folder: Path) -> dict[str, object]:
        """Write the labels of the pictures as they are."""
        return {**self.static.save(folder), "views": repr(self.views)}


@dataclass(frozen=True)
class Interpolate(Relabel):
    """Soft labels by an ensemble of the pictures as they are, for views that mix two.

    teachers          references of classifiers, see `gendistill.nets.trained.load`
    average           what is averaged over teachers: there is no neutral choice, so there is no default
    temperature       of the student's loss with these labels
    weights           how much each teacher counts, see `Ensemble`
    softening         what each teacher's logits are divided by, see `Ensemble`
    batch_statistics  pictures in a batch whose mean and variance the teachers' batch norms go by (BSSL); 0 for the learned ones
    loss              what a student minimises with these labels; None for what its training says
    codec             how they are kept
    views             what the student looks at
    """

    views: Views = Views(mix=MixUp())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.views.mix is None:
            raise UserError(
                "Interpolate labels views that mix two pictures: give views with a mix, or use Relabel(...)"
            )
        if isinstance(self.codec, TopK) and not self.codec.spread:
            raise UserError(
                f"codec={self.codec!r} drops classes, and two labels may have none in common: give spread=True, or another codec"
            )

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """Labels of the pictures, to be mixed."""
        static = super().__call__(images, context)
        assert isinstance(static, StaticLabels)
        return InterpolatedLabels(static, self.views, images)
