"""A recipe is a value: what was given loosely compares and hashes, and what cannot be written down later is refused at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from gendistill.recipe import Recipe
from gendistill.steering.base import Steering
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData
from gendistill.types import UserError

RECIPE = Recipe(real=ToyData(), prior=Toy(), steering=(Sample(steps=2),))


@dataclass(frozen=True)
class Inner:
    """Settings below a step; annotations of the package's own are checked in tests, those of its users are not."""

    window: object = ()


@dataclass(frozen=True)
class Loose(Steering):
    """A step that holds what it was given."""

    parts: object = ()
    loaded: object = None

    def __call__(self, draft, context):
        return draft

    def work(self, draft, context):
        return ()


@dataclass
class Loaded:
    """An object of another library."""

    sizes: list

    __hash__ = object.__hash__


def test_lists_are_tuples_wherever_they_stand():
    loaded = Loaded([1])

    def asked(kind):
        return replace(RECIPE, steering=(*RECIPE.steering, Loose(kind([Inner(kind([0.2, kind([0.8])]))]), loaded)))

    loose, strict = asked(list), asked(tuple)
    assert loose == strict and hash(loose) == hash(strict) and repr(loose) == repr(strict)
    assert loose.steering[1].loaded is loaded and loaded.sizes == [1], "what is not ours is left alone"
    assert replace(strict).steering[1] is strict.steering[1], "what is strict stays what it is"


def test_numbers_that_are_none_are_refused_wherever_they_stand():
    def asked(number):
        return replace(RECIPE, steering=(*RECIPE.steering, Loose((Inner(((0.2, number),)),), Loaded([number]))))

    assert asked(0.5).steering[1].parts
    for number in (float("nan"), float("inf")):
        with pytest.raises(UserError, match=rf"Inner\(window=\(\(0.2, {number}\),\)\): give finite numbers"):
            asked(number)


def test_seeds_fit_the_rows_of_a_data_set():
    for seed in (-(2**62), 2**62):
        assert replace(RECIPE, seed=seed).seed == seed
    for seed in (2**63, -(2**62) - 1):
        with pytest.raises(UserError, match=r"from -2\*\*62 to 2\*\*62"):
            replace(RECIPE, seed=seed)
