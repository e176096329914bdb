"""Every function that computes somewhere takes "auto" for the device, and takes it by default."""

from __future__ import annotations

import inspect

import pytest
import torch

import gendistill
from gendistill.data.digits import Digits
from gendistill.evaluation.protocols import SCREENING
from gendistill.priors.pixels import Pixels
from gendistill.priors.train import train_prior
from gendistill.priors.train_gan import train_gan
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.sample import Sample
from gendistill.system.devices import device_of
from gendistill.toys import Toy, ToyData
from gendistill.types import UserError

RECIPE = Recipe(real=ToyData(), prior=Toy(), steering=(Sample(steps=2),), ipc=1, block=1)
PUBLIC = [getattr(gendistill, name) for name in gendistill.__all__ if inspect.isfunction(getattr(gendistill, name))]
COMPUTING = [one for one in (*PUBLIC, train_prior, train_gan) if "device" in inspect.signature(one).parameters]


@pytest.fixture
def cpu_alone(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)


def test_names_are_picked_and_devices_are_taken_as_they_are(cpu_alone):
    assert device_of("auto") == device_of("cpu") == torch.device("cpu")
    assert device_of(torch.device("meta")) == torch.device("meta")
    with pytest.raises(UserError, match="there is no device 'cuda' here; there are cpu"):
        device_of("cuda")


def test_auto_is_the_default():
    names = {one.__name__ for one in COMPUTING}
    assert names >= {"distill", "evaluate", "finetune", "load", "plan", "rank", "relabel", "run"}
    assert {one.__name__: inspect.signature(one).parameters["device"].default for one in COMPUTING} == dict.fromkeys(
        names, "auto"
    )


@pytest.mark.parametrize("one", COMPUTING, ids=lambda one: one.__name__)
def test_a_device_that_is_not_there_is_refused_before_any_work(one, tmp_path):
    given = {
        "recipe": RECIPE, "protocol": SCREENING, "out": tmp_path / "out", "folder": tmp_path / "out", "path": tmp_path,
        "budget": 10, "distilled": gendistill.Distilled.of(Digits(size=8).open().train), "prior": Toy(), "real": Digits(),
        "images": Digits(size=8).open().train,
    }  # fmt: skip
    words = {name: value for name, value in given.items() if name in inspect.signature(one).parameters}
    with pytest.raises(UserError, match="there is no device 'abacus' here"):
        one(**words, device="abacus")
    assert not (tmp_path / "out").exists()


def test_a_set_is_the_same_by_any_name_of_its_device(cpu_alone, tmp_path):
    picked = distill(RECIPE, tmp_path / "set", device="auto")
    again = distill(RECIPE, tmp_path / "set", device="cpu")  # refused if it were another set
    assert picked.images.fingerprint == again.images.fingerprint
    assert Pixels().load(RECIPE.real.open(), device_of("auto"), torch.float32).device == torch.device("cpu")
