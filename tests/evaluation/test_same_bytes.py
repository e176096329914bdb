"""A set whose labels cost more than its pictures stands beside as many random real pictures as its bytes hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gendistill.evaluation.evaluate import evaluate
from gendistill.evaluation.page import page
from gendistill.evaluation.protocol import Protocol
from gendistill.evaluation.report import Row
from gendistill.evaluation.same_bytes import more_for_the_bytes
from gendistill.experiments.plan_bytes import drawn_for_the_bytes
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData, toy_context
from tests.parts_under_test import TEACHER

PROTOCOL = Protocol(
    name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=2, batch=8), students=2,
    full=Training(epochs=1, batch=8),
)  # fmt: skip
VIEWS = RelabelViews((TEACHER,), "logits", count=40)
RECIPE = Recipe(real=ToyData(), prior=Toy(), ipc=2, block=2, labeler=VIEWS, steering=(Sample(steps=3),))


def by_ipc(report) -> dict[tuple, Row]:
    """The rows of random real pictures."""
    return {(row.ipc, row.labels): row for row in report.rows if row.set == "random_real"}


def test_what_the_bytes_hold_has_a_row(tmp_path):
    made = distill(RECIPE, tmp_path / "set")
    report = evaluate(made, PROTOCOL)
    (mine,) = (row for row in report.rows if (row.set, row.labels) == ("distilled", "views"))
    found = by_ipc(report)
    ((count, kind),) = found.keys() - {(2, "hard"), (2, "views")}
    assert kind == "hard" and count >= 3 and found[count, kind].n == 2
    (planned,) = drawn_for_the_bytes(RECIPE, PROTOCOL, toy_context(tmp_path))
    assert abs(planned - count) <= 1
    # PNG takes a few bytes more or less for one picture than for another.
    assert found[count, kind].bytes == pytest.approx(mine.bytes, rel=0.25)
    assert any(note.startswith(f"IPC {count} is what the") and "labels of views" in note for note in report.notes)
    assert f"IPC {count}" in page(made, report, path=tmp_path / "report.html").read_text()


def test_labels_of_the_protocol_count_and_hard_ones_do_not(tmp_path):
    made = distill(replace(RECIPE, labeler=Hard()), tmp_path / "set")
    assert set(by_ipc(evaluate(made, PROTOCOL))) == {(2, "hard")}
    crossed = by_ipc(evaluate(made, replace(PROTOCOL, labelers=(Hard(), VIEWS))))
    assert {kind for ipc, kind in crossed if ipc > 2} == {"hard"} and {kind for ipc, kind in crossed if ipc == 2} == {
        "hard", "views",
    }  # fmt: skip


@pytest.mark.parametrize("labeler", [replace(VIEWS, count=400), Online((TEACHER,), "logits")])
def test_neither_all_pictures_nor_the_weight_of_teachers_is_a_budget(labeler, tmp_path):
    made = distill(replace(RECIPE, labeler=labeler), tmp_path / "set")
    assert {ipc for ipc, _ in by_ipc(evaluate(made, PROTOCOL))} == {2}


def test_no_row_of_random_real_pictures_says_nothing(tmp_path):
    assert not list(more_for_the_bytes([], [], toy_context(tmp_path)))
