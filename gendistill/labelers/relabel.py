"""One soft label per picture: teachers trained on real pictures say what every finished picture is, as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gendistill.context import Context
from gendistill.labelers.codecs.base import Codec, Rows, size
from gendistill.labelers.codecs.floats import Single
from gendistill.labelers.ensemble import Ensemble, blockwise
from gendistill.learning.label_losses import LabelLoss
from gendistill.system.store import fingerprint, fingerprint_file, write_tensors
from gendistill.types import Images, LogProbs, SoftLabels
from gendistill.work import Work

EXACT = Single()
FILE = "labels.safetensors"


class StaticLabels(SoftLabels):
    """One vector of log-probabilities per picture, the same in every view."""

    kind = "soft"

    def __init__(
        self, rows: Rows, classes: int, temperature: float, codec: Codec = EXACT, loss: LabelLoss | None = None
    ) -> None:
        """``rows`` as the codec makes them of (N, k) log-probabilities; ``temperature`` is for the student's loss."""
        self.rows, self.codec, self.temperature, self.loss = rows, codec, temperature, loss
        self.log_probs = codec.decode(rows, classes)
        self.bytes = size(rows)

    @classmethod
    def of(
        cls, log_probs: LogProbs, temperature: float, codec: Codec = EXACT, loss: LabelLoss | None = None
    ) -> StaticLabels:
        """What is left of log-probabilities (N, k) at temperature 1 once the codec has kept them."""
        return cls(codec.encode(log_probs), log_probs.shape[1], temperature, codec, loss)

    @property
    def fingerprint(self) -> str:
        """Of every number, and how it is learned."""
        return fingerprint(self.log_probs, self.temperature, *learned(self).values())

    def at(self, positions: Tensor, view: int = 0) -> LogProbs:
        """Log-probabilities of the pictures at these positions."""
        return self.log_probs[positions]

    def save(self, folder: Path) -> dict[str, object]:
        """Write ``labels.safetensors``."""
        write_tensors(folder / FILE, self.rows)
        told = {"kind": self.kind, "temperature": self.temperature, "codec": repr(self.codec), **learned(self)}
        return {**told, "count": len(self.log_probs), **written(folder, [FILE])}


@dataclass(frozen=True)
class Relabel(Ensemble):
    """Soft labels by an ensemble.

    teachers          references of classifiers, see `gendistill.nets.trained.load`
    average           what is averaged over teachers: there is no neutral choice, so there is no default
    temperature       of the student's loss with these labels
    weights           how much each teacher counts, see `Ensemble`
    softening         what each teacher's logits are divided by, see `Ensemble`
    batch_statistics  pictures in a batch whose mean and variance the teachers' batch norms go by (BSSL); 0 for the learned ones
    loss              what a student minimises with these labels; None for what its training says
    codec             how they are kept
    """

    codec: Codec = EXACT

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """One label per picture."""
        committee = self.committee(context)
        blocks = self.blocks(images, context.device)
        said = blockwise(images, (committee(images.pixels(part, context.device)) for part in blocks), blocks)
        return StaticLabels.of(said, self.temperature, self.codec, self.loss)

    def bytes(self, classes: int) -> int:
        """One label."""
        return self.codec.bytes(classes)

    def work(self, images: Images, context: Context) -> Iterable[Work]:
        """One pass of every teacher."""
        return self.passes(images, context)


def written(folder: Path, files: Sequence[str]) -> dict[str, object]:
    """What must be told of the files of labels: their names, and a hash of each, so that those of another set are known."""
    return {"files": list(files), "prints": [fingerprint_file(folder / file) for file in files]}


def learned(soft: SoftLabels) -> dict[str, object]:
    """What must be told of the loss that labels bring, where they bring one."""
    return {"loss": repr(soft.loss)} if soft.loss is not None else {}
