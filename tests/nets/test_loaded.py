"""A module of others answers with logits over the data's classes, or is told what to do."""

from __future__ import annotations

import pytest
import torch

from gendistill.nets.loaded import Loaded
from gendistill.toys import toy_context
from gendistill.types import UserError


class Answers(torch.nn.Module):
    """Says the same of every picture."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, pixels):
        return self.answer(len(pixels))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: torch.full((n, 3), 1 / 3), "probabilities, and logits were expected.*return their logarithm"),
        (lambda n: (torch.zeros(n, 3),), "with tuple; logits over 3 classes.*wrap it"),
        (lambda n: torch.zeros(n, 4), r"with \(1, 4\); logits over 3 classes"),
    ],
    ids=["probabilities", "a tuple", "four classes"],
)
def test_other_answers_are_refused(tmp_path, answer, message):
    with pytest.raises(UserError, match=message):
        Loaded(Answers(answer)).load(toy_context(tmp_path))


def test_logits_pass(tmp_path):
    assert Loaded(Answers(lambda n: torch.full((n, 3), -1.1))).load(toy_context(tmp_path)) is not None
