"""What a set was made from is known by the pictures, however they are kept, and not guessed where nobody says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.data.class_names import ClassNames
from gendistill.distilled import Distilled
from gendistill.evaluation.sets.made_from import MadeFrom, made_from
from gendistill.images import StoredImages, Subset
from gendistill.recipe import Recipe
from gendistill.running.distill import open_context
from gendistill.running.statement import provenance_of
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData, toy_context
from gendistill.types import RealData, UserError

TRAIN = ToyData().open().train
TURNED = Subset(TRAIN, torch.arange(len(TRAIN)).flip(0))
FEWER = Subset(TRAIN, torch.arange(len(TRAIN) - 1))
NAMES = ClassNames(tuple(f"={one}" for one in TRAIN.classes), size=8, channels=1)


@dataclass(frozen=True)
class Kept:
    """Real data that are these pictures, or cannot be opened any more."""

    train: StoredImages | Subset | None

    def open(self):
        if self.train is None:
            raise UserError("it is gone")
        return RealData("kept", self.train, None)


def of(source, told=None):
    """A set from these data, which says so; or says what is ``told``."""
    recipe = Recipe(real=source, prior=Toy(), steering=(Sample(steps=2),), ipc=1)
    said = (
        provenance_of(recipe, open_context(recipe, torch.device("cpu"), torch.float32))
        if told is None
        else {"real": told}
    )
    return replace(Distilled.of(Subset(TRAIN, torch.tensor([0]))), recipe=recipe, origin=said)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (of(ToyData()), MadeFrom.THESE),
        (replace(of(ToyData()), recipe="it held loaded objects"), MadeFrom.THESE),
        (of(Kept(TURNED)), MadeFrom.THESE),
        (of(Kept(FEWER)), MadeFrom.OTHERS),
        (of(ToyData(size=16)), MadeFrom.OTHERS),
        (replace(of(Kept(TURNED)), recipe="it held loaded objects"), MadeFrom.OTHERS),
        (of(Kept(None), {"fingerprint": "another"}), MadeFrom.OTHERS),
        (of(Kept(TURNED), {"fingerprint": "of pictures that were there before"}), MadeFrom.OTHERS),
        (of(NAMES), MadeFrom.NONE),
        (replace(of(NAMES), recipe="it held loaded objects"), MadeFrom.NONE),
        (of(ToyData(), {}), MadeFrom.UNKNOWN),
        (Distilled.of(TRAIN), MadeFrom.UNKNOWN),
    ],
)
def test_what_a_set_was_made_from(made, found, tmp_path):
    assert made_from(made, toy_context(tmp_path)) is found
