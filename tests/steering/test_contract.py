"""Every steering step that is found in the folder keeps the contract."""

from __future__ import annotations

import pytest

from gendistill.steering.base import Steering
from gendistill.testing import check_steering, toy_context
from tests.parts_under_test import example, subclasses


@pytest.mark.parametrize("part", subclasses(Steering), ids=lambda part: part.__name__)
def test_keeps_the_contract(part, tmp_path):
    check_steering(example(part), toy_context(tmp_path))
