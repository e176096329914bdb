"""Checkpoints of a training are the training: from the initial weights to the trained network, kept in the store."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill import seeds
from gendistill.learning.training import Training
from gendistill.nets import trained
from gendistill.nets.base import build
from gendistill.nets.trained import Student, checkpoint, load, passes, shape_of
from gendistill.toys import toy_context
from tests.parts_under_test import TEACHER

REFERENCE = replace(TEACHER, training=Training(epochs=2, batch=8, augment=None))


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_checkpoints_go_from_the_first_weights_to_the_trained_network(tmp_path):
    context = toy_context(tmp_path)
    first = build(REFERENCE.net, shape_of(context), seeds.number(0, "teacher"), torch.device("cpu"))
    assert passes(REFERENCE, context) == 2
    assert same(checkpoint(REFERENCE, 0, context), first)
    assert same(checkpoint(REFERENCE, 2, context), load(REFERENCE, context))
    assert not same(checkpoint(REFERENCE, 1, context), checkpoint(REFERENCE, 2, context))


def test_a_training_is_followed_once(tmp_path, monkeypatch):
    checkpoint(REFERENCE, 1, toy_context(tmp_path))
    monkeypatch.setattr(trained, "train", lambda *args, **kwargs: pytest.fail("trained again"))
    checkpoint(REFERENCE, 2, toy_context(tmp_path))


def test_a_plan_trains_and_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "train", lambda *args, **kwargs: pytest.fail("trained"))
    context = replace(toy_context(tmp_path), dry=True)
    student = Student(TEACHER.net, TEACHER.training)
    checkpoint(REFERENCE, 1, context)
    for made in (context.made, None):
        load(student, replace(context, made=made))
        (work,) = trained.work(student, replace(context, made=made))
        assert work.what == "student" and not work.shared
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_student_learns_from_what_was_made(tmp_path):
    context = toy_context(tmp_path)
    student = Student(TEACHER.net, Training(epochs=30, batch=8, lr=0.05, augment=None))
    made = context.made
    assert made is not None
    with torch.no_grad():
        said = load(student, context)(made.pixels(torch.arange(len(made)))).argmax(1)
    assert torch.equal(said, made.labels)
