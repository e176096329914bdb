"""Equal settings print alike, as their text gives them back; what a field does not offer is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

import pytest

from gendistill.anchors.modes import Modes
from gendistill.config.overrides import read_value
from gendistill.config.settled import settled
from gendistill.data.digits import Digits
from gendistill.evaluation.protocols import Protocol
from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained
from gendistill.objectives.diversity import Diversity
from gendistill.priors.small_diffusion import SmallDiffusion
from gendistill.priors.training.sizes import check_names
from gendistill.recipe import Recipe
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.types import UserError
from gendistill.views.crop import RandomResizedCrop
from gendistill.views.numbered import Views

LOOSE = Relabel(
    (Trained(ConvNet(depth=2), Training(lr=1, weight_decay=0, augment=Views((RandomResizedCrop((1, 1)),)))), Trained()),
    "logits", temperature=4, weights=(1, 3),
)  # fmt: skip


RECIPE = Recipe(
    real=Digits(),
    prior=SmallDiffusion(),
    steering=(
        Start(Modes()),
        Sample(cfg=2, strength=1),
        Optimize((Diversity(weight=1),), lr=(1, 2), variables=("latent", "condition"), through=Sample(cfg=3)),
    ),
    labeler=LOOSE,
)
PROTOCOL = Protocol(name="p", student=ConvNet(), training=Training(lr=1, betas=(0, 1)), labelers=(LOOSE,))


@pytest.mark.parametrize("value", [RECIPE, PROTOCOL])
def test_whole_numbers_print_as_the_text_gives_them_back(value):
    again = read_value(repr(value))
    assert again == value and repr(again) == repr(value)


def test_what_is_settled_stays_the_same_object():
    assert settled(RECIPE.labeler) is RECIPE.labeler is not LOOSE and RECIPE.labeler == LOOSE
    assert settled(3) == 3 and settled(True, float) is True and type(settled(3, int | float)) is int


@dataclass(frozen=True)
class Choosing:
    """Settings of which nobody checks the types when they are made; parts of the package have theirs checked in tests."""

    way: Literal["logits", "probs"] | None = "logits"
    depth: Literal[11, 13] = 11
    size: Literal["own"] | int = "own"
    share: float = 0.5
    inner: tuple[object, ...] = ()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (Choosing(way="prbs"), r"Choosing.way must be 'logits' or 'probs' or None, not 'prbs'; did you mean 'probs'"),
        (Choosing(depth=12), r"Choosing.depth must be 11 or 13, not 12$"),
        (Choosing(inner=([Choosing(), Choosing(depth=1)],)), "Choosing.depth"),
        (Choosing(share=math.nan), r"Choosing\(share=nan\): give finite numbers"),
        (Choosing(inner=(1.0, (math.inf,))), "finite"),
    ],
)
def test_what_a_field_does_not_take_is_refused(given, told):
    with pytest.raises(UserError, match=told):
        settled(given)


def test_what_it_takes_passes():
    assert settled(Choosing(way=None, size=3, inner=[Choosing(share=1)])) == Choosing(
        None, 11, 3, 0.5, (Choosing(share=1.0),)
    )


def test_tuning_takes_the_precisions_there_are():
    with pytest.raises(UserError, match="mixed_precision='fp8' is none of no, bf16, fp16"):
        check_names(SimpleNamespace(lr_scheduler="cosine", mixed_precision="fp8"))
