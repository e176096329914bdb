"""Every objective that is found in the folder keeps the contract."""

from __future__ import annotations

import pytest

from gendistill.objectives.base import Objective
from gendistill.testing import check_objective
from gendistill.toys import toy_context
from tests.parts_under_test import example, subclasses


@pytest.mark.parametrize("part", subclasses(Objective), ids=lambda part: part.__name__)
def test_keeps_the_contract(part, tmp_path):
    check_objective(example(part), toy_context(tmp_path))
