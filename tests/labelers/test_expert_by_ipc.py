"""The epoch of an expert is chosen on training pictures that no student saw, and follows the IPC."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.labelers import expert_by_ipc
from gendistill.labelers.expert_by_ipc import ExpertByIPC, best_epoch, epochs, scores
from gendistill.labelers.relabel import Relabel
from gendistill.learning.training import Training
from gendistill.nets import trained
from gendistill.nets.expert import Expert
from gendistill.toys import toy_context
from gendistill.types import UserError
from tests.parts_under_test import TEACHER

WHOLE = replace(TEACHER, training=Training(epochs=20, batch=12, lr=0.05, augment=None))
CHOICE = ExpertByIPC(
    WHOLE, (0, 20), TEACHER.net, Training(epochs=60, batch=12, lr=0.05, augment=None), students=1, fraction=0.25
)


def unopened():
    pytest.fail("the test pictures were opened")


@pytest.fixture
def context(tmp_path):
    made = toy_context(tmp_path)
    return replace(made, real=replace(made.real, test=unopened))


def test_an_expert_that_knows_nothing_is_not_chosen(context):
    found = scores(CHOICE, 2, context)
    assert set(found) == {0, 20} and found[20] > found[0] + 20
    assert best_epoch(CHOICE, 2, context) == 20 and CHOICE.chosen(context) == Expert(WHOLE, 20)
    images = context.real.train
    said, wanted = (Relabel((one,), "logits")(images, context).log_probs for one in (CHOICE, Expert(WHOLE, 20)))
    assert torch.equal(said, wanted)


def test_students_learn_from_ipc_pictures_and_are_judged_on_others(context, monkeypatch):
    learned, judged = [], []
    monkeypatch.setattr(expert_by_ipc, "train", lambda net, images, *args, **kwargs: learned.append(images))
    monkeypatch.setattr(expert_by_ipc, "accuracy", lambda net, images, device: float(judged.append(images) or 50))
    settings = replace(CHOICE, students=2)
    assert scores(settings, 3, context) == {0: 50, 20: 50}

    def rows(images):
        return {one.numpy().tobytes() for one in images.stored(range(len(images)))}

    everything = rows(context.real.train)
    assert len({images.fingerprint for images in judged}) == 1 and len(learned) == 4
    for images in learned:
        assert torch.equal(torch.bincount(images.labels), torch.tensor([3, 3, 3]))
        assert not rows(images) & rows(judged[0]) and rows(images) | rows(judged[0]) <= everything
    assert [one.fingerprint for one in learned[:2]] == [one.fingerprint for one in learned[2:]]
    assert learned[0].fingerprint != learned[1].fingerprint


def test_of_equals_the_earliest_is_chosen_and_another_ipc_may_choose_otherwise(context, monkeypatch):
    by_ipc = {1: {2: 40.0, 5: 40.0, 9: 30.0}, 2: {2: 40.0, 5: 41.0, 9: 45.0}}
    monkeypatch.setattr(expert_by_ipc, "scores", lambda settings, ipc, context: by_ipc[ipc])
    assert [best_epoch(CHOICE, ipc, context) for ipc in (1, 2)] == [2, 9]
    assert len({CHOICE.identity(replace(context, ipc=ipc)) for ipc in (1, 2)}) == 2


def test_a_choice_is_made_once(context, monkeypatch):
    first = scores(CHOICE, 1, context)
    for module in (trained, expert_by_ipc):
        monkeypatch.setattr(module, "train", lambda *args, **kwargs: pytest.fail("trained again"))
    assert scores(replace(CHOICE, candidates=(20, 0)), 1, context) == first


def test_unnamed_candidates_are_spread_over_the_training(context):
    spread = ExpertByIPC(replace(WHOLE, training=Training(epochs=30)))
    assert epochs(spread, context) == (1, 2, 4, 8, 15, 30)
    assert epochs(CHOICE, context) == (0, 20)


def test_a_plan_counts_all_trainings_and_trains_nothing(context, monkeypatch):
    for module in (trained, expert_by_ipc):
        monkeypatch.setattr(module, "train", lambda *args, **kwargs: pytest.fail("trained"))
    dry = replace(context, dry=True)
    trained.load(CHOICE, dry)
    expert, student = trained.work(replace(CHOICE, students=3), dry)
    assert (expert.what, student.what) == ("teacher", "student") and student.calls == 2 * 3 * 60


def test_it_is_weighed_by_what_its_training_held_out(context):
    held = replace(WHOLE, held_out=0.2)
    assert replace(CHOICE, trained=held).unseen(context).fingerprint == held.unseen(context).fingerprint
    with pytest.raises(UserError, match="held_out=0.1"):
        CHOICE.unseen(context)


def test_numbers_out_of_range_are_refused(context):
    with pytest.raises(UserError, match="fraction in"):
        ExpertByIPC(fraction=1.0)
    with pytest.raises(UserError, match="0 or more"):
        ExpertByIPC(candidates=(-1,))
    with pytest.raises(UserError, match="ends after 20"):
        scores(replace(CHOICE, candidates=(21,)), 1, context)
