"""What a protocol says of a set of some size, and that the protocols of the field say what their authors do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gendistill.config.overrides import alter, read_value
from gendistill.config.parts import named_values
from gendistill.evaluation import protocols, timm_protocols
from gendistill.evaluation.baselines import baselines
from gendistill.evaluation.protocol import Protocol, When, said
from gendistill.labelers.hard import Hard
from gendistill.learning.schedules import ConstantRate, StepDecay
from gendistill.learning.training import Training
from gendistill.nets.alexnet import AlexNet
from gendistill.nets.convnet import ConvNet
from gendistill.nets.resnet import ResNet
from gendistill.nets.vgg import VGG
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData
from gendistill.types import UserError

CASES = (
    When(most_ipc=50, epochs=20, batch=5), When(most_ipc=10, epochs=30), When(least_classes=100, lr=0.5),
    When(student=ResNet(), schedule=ConstantRate()),
)  # fmt: skip
PROTOCOL = Protocol(name="cases", also=(ResNet(),), training=Training(epochs=10, batch=64), cases=CASES)
RECIPE = Recipe(real=ToyData(), prior=Toy(), steering=(Sample(),), ipc=2)
VALUES = {name: value for name, value in named_values().items() if isinstance(value, Protocol)}


def test_all_cases_that_hold_count_the_later_over_the_earlier():
    def told(ipc, classes=10):
        found = PROTOCOL.training_for(ipc, classes)
        return found.epochs, found.batch, found.lr

    assert told(51) == (10, 64, 0.01) and told(50) == (20, 5, 0.01) == told(11)
    assert told(10) == (30, 5, 0.01) == told(1) and told(10, 100) == (30, 5, 0.5)


def test_a_case_of_one_student_is_of_that_one_alone():
    first, second = PROTOCOL.each
    assert first.nets == (ConvNet(),) and second.nets == (ResNet(),)
    assert first.training_for(100, 10) == PROTOCOL.training
    assert second.training_for(100, 10) == replace(PROTOCOL.training, schedule=ConstantRate())


def test_it_is_a_value_that_text_can_change():
    assert alter(PROTOCOL, "cases.1.epochs", 40).training_for(1, 10).epochs == 40
    plain = alter(PROTOCOL, "cases", read_value("()"))
    assert plain.training_for(1, 10) == PROTOCOL.training
    assert read_value(repr(PROTOCOL)) == PROTOCOL


def test_what_says_nothing_is_refused():
    with pytest.raises(UserError, match="changes nothing"):
        When(most_ipc=10)
    with pytest.raises(UserError, match="ConvNet-3 is a student of this protocol twice"):
        replace(PROTOCOL, also=(ConvNet(),))
    with pytest.raises(UserError, match="sets=0"):
        replace(PROTOCOL, sets=0)


@pytest.mark.parametrize(("name", "value"), VALUES.items())
def test_every_protocol_of_the_field_names_its_source_and_prints_as_code(name, value):
    assert value.source.startswith("https://") or name in ("SCREENING", "DIGITS", "RESNET")
    assert read_value(repr(value)) == value
    if value.labelers:
        assert Hard() in value.labelers, "what soft labels bring is seen beside hard ones"


def test_screening_sets_chosen_real_pictures_beside_random_ones():
    for value in (protocols.SCREENING, protocols.RESNET):
        assert {"random_real", "herding", "k_centre"} <= baselines(RECIPE, value.coresets).keys()
    herding, _ = protocols.SCREENING.coresets
    (teacher,) = herding.teachers
    seen = (protocols.SCREENING.student, protocols.SCREENING.full)
    assert (teacher.net, teacher.training) == seen, "it costs no more than the row of all real pictures"
    assert alter(protocols.SCREENING, "coresets", read_value("()")).coresets == ()


def test_no_two_protocols_share_a_name():
    """Results know a protocol by its name alone."""
    assert sorted({one.name for one in VALUES.values()}) == sorted(one.name for one in VALUES.values())


@pytest.mark.parametrize(
    ("ipc", "classes", "epochs"),
    [(1, 10, 3000), (10, 10, 2000), (50, 10, 1500), (100, 10, 1000), (500, 10, 500), (501, 10, 300),
     (1, 100, 2000), (10, 100, 1300), (50, 100, 1000), (100, 100, 600), (500, 100, 300), (501, 100, 200),
     (10, 1000, 2000), (50, 1000, 1500)],
)  # fmt: skip
def test_minimax_trains_as_long_as_its_authors(ipc, classes, epochs):
    """Two thirds, in hundreds, at 100 classes and at no other number; other rates and batches above it."""
    for protocol in (protocols.MINIMAX, protocols.IGD):
        assert protocol.training_for(ipc, classes).epochs == epochs
    found = protocols.MINIMAX.training_for(ipc, classes)
    wanted = (0.01, 5e-4, 64) if classes <= 100 else (0.1, 1e-4, 128)
    assert (found.lr, found.weight_decay, found.batch) == wanted
    assert protocols.IGD.training_for(ipc, classes).lr == 1e-3


@pytest.mark.parametrize(
    ("ipc", "classes", "batch"),
    [(1, 10, 10), (10, 10, 50), (50, 10, 100), (10, 100, 100), (50, 100, 200), (1, 200, 100), (10, 200, 100), (50, 200, 100),
     (1, 1000, 20), (10, 1000, 100), (50, 1000, 200)],
)  # fmt: skip
def test_rded_takes_the_batches_of_its_authors(ipc, classes, batch):
    assert protocols.RDED.training_for(ipc, classes).batch == batch
    assert protocols.RD3.training_for(ipc, classes).batch == 50


def test_rates_of_protocols_of_several_networks():
    rates = {type(one.student): one.training_for(10, 10).lr for one in timm_protocols.GLAD.each}
    assert rates[VGG] == 1e-4 and rates[AlexNet] == rates[ResNet] == 1e-3 and len(rates) == 4
    by_name = {str(one.student): one.training_for(10, 1000).lr for one in timm_protocols.RDED_CROSS.each}
    assert by_name["efficientnet_b0"] == 2e-3 and by_name["mobilenetv2_100"] == 2.5e-3
    assert by_name["ResNet-50"] == 1e-3 and by_name["swinv2_cr_tiny_224"] == 1e-4


def test_where_a_rate_ends():
    """RDED's at half, SRe2L's at nothing, Minimax's at a twenty-fifth, GLaD's rises for half the time."""
    ends = {one.name: one.training.schedule.factor(1 - 1e-9) for one in VALUES.values()}
    assert ends["RDED"] == ends["RD3"] == pytest.approx(0.5) and ends["SRe2L"] == pytest.approx(0)
    assert ends["Minimax"] == pytest.approx(0.04)
    rise = timm_protocols.GLAD.training.schedule
    assert rise.factor(0) < 1e-6 and rise.factor(0.25) == pytest.approx(0.5) and rise.factor(0.5) == 1


def test_what_is_said_goes_before_the_cases():
    few, wide = When(most_ipc=10, epochs=2000, batch=64), When(least_classes=100, epochs=200)
    protocol = Protocol(name="by size", cases=(few, wide))
    said_so = said(alter(protocol, "training.epochs", 300), ["training.epochs"])
    assert {said_so.training_for(ipc, classes).epochs for ipc in (1, 50) for classes in (2, 1000)} == {300}
    assert said_so.training_for(1, 2).batch == 64, "of which nobody spoke"
    assert said_so.cases == (When(most_ipc=10, batch=64),), "a case that says nothing more is gone"
    assert said(protocol, ["students", "training.momentum"]) == protocol
    assert said(protocol, ["training"]).cases == ()
    assert said(protocol, ["training.epochs", "cases"]) == protocol, "the cases are what was said"
    rated = Protocol(name="by size", cases=(When(most_ipc=10, schedule=StepDecay()),))
    assert said(rated, ["training.schedule.by"]).cases == ()
