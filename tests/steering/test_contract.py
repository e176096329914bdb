"""Every steering step that is found in the folder keeps the contract."""

from __future__ import annotations

import pytest

from gendistill.priors.base import lacks
from gendistill.recipe import Recipe
from gendistill.steering.base import Steering
from gendistill.steering.sample import Sample
from gendistill.testing import check_steering
from gendistill.toys import Toy, ToyData, ToyGan, toy_context
from gendistill.types import UserError
from tests.parts_under_test import example, subclasses


@pytest.mark.parametrize("part", subclasses(Steering), ids=lambda part: part.__name__)
def test_keeps_the_contract(part, tmp_path):
    step = example(part)
    missing = lacks(Toy.loads, step.needs)
    if missing and not lacks(ToyGan.loads, step.needs):
        check_steering(step, toy_context(tmp_path, prior=ToyGan()))
        return
    if missing:  # the toy prior cannot do what it needs: a recipe says so, and its own tests check it on a real one
        with pytest.raises(
            UserError, match=f"{part.__name__} needs a prior that .*{missing[-1].lower()}; Toy does not"
        ):
            Recipe(real=ToyData(), prior=Toy(), steering=(step, Sample()))
        return
    check_steering(step, toy_context(tmp_path))
