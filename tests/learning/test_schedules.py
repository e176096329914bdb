"""Schedules of the learning rate, at places where the answer is known."""

from __future__ import annotations

import pytest

from gendistill.learning.schedules import ConstantRate, CosineDecay, RateSchedule, StepDecay, Warmup
from gendistill.types import UserError


@pytest.mark.parametrize(
    ("schedule", "done", "factor"),
    [
        (ConstantRate(), 0.99, 1.0),
        (CosineDecay(), 0.0, 1.0),
        (CosineDecay(), 0.5, 0.5),
        (CosineDecay(), 2 / 3, 0.25),
        (CosineDecay(stretch=2), 1.0, 0.5),
        (StepDecay(), 0.49, 1.0),
        (StepDecay(), 0.5, 0.1),
        (StepDecay((2 / 3, 5 / 6), by=0.2), 0.7, 0.2),
        (StepDecay((2 / 3, 5 / 6), by=0.2), 0.9, 0.04),
        (Warmup(share=0.1, start=0.01), 0.0, 0.01),
        (Warmup(share=0.1, start=0.0), 0.05, 0.5),
        (Warmup(CosineDecay(), share=0.1), 0.55, 0.5),
    ],
)
def test_factor(schedule: RateSchedule, done: float, factor: float) -> None:
    assert schedule.factor(done) == pytest.approx(factor)


@pytest.mark.parametrize(
    "wrong",
    [lambda: CosineDecay(0.5), lambda: StepDecay((1.0,)), lambda: StepDecay(by=2.0), lambda: Warmup(share=0.0)],
)
def test_what_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(UserError):
        wrong()
