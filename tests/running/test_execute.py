"""Between stages a draft lies in files: all of it comes back, and what can be asked for again is not kept."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from gendistill.nets import zero_shot
from gendistill.nets.zero_shot import Clip
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.steering.base import Steering
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.select_confident import SelectConfident
from gendistill.system.store import read_tensors
from gendistill.toys import Toy, ToyData
from tests.parts_under_test import tiny_clip
from tests.priors.tiny_pipelines import tiny

REAL = ToyData(classes=2, per_class=4, channels=3)
SEEN = {}


@dataclass(frozen=True)
class Watch(Steering):
    """Remembers what passes."""

    name: str = ""
    scope: str = "picture"

    def __call__(self, draft, context):
        SEEN.setdefault(self.name, []).append(draft)
        return draft

    def work(self, draft, context):
        return ()


def words():
    prompts = Prompts(("{name}", "a {name}"), negative="a toy")
    return TextToImage(tiny("stable_diffusion"), prompts=prompts)


def passed(prior, folder, *more):
    """The drafts of both classes before the files and after, and the tensors in these."""
    SEEN.clear()
    steering = (Sample(steps=2, cfg=2.0), *more, Watch("before"), Watch("after", scope="class"))
    distill(Recipe(real=REAL, prior=prior, steering=steering, ipc=3, block=2), folder)
    files = [path for path in (folder / "shards").glob("0-*/*")]
    before = {index: [d for d in SEEN["before"] if int(d.labels[0]) == index] for index in (0, 1)}
    return before, SEEN["after"], [read_tensors(path) for path in files]


def check_same(before, after):
    assert len(after) == 2
    for found in after:
        parts = before[int(found.labels[0])]
        prompts = [text for part in parts for text in part.prompts or ()]
        assert list(found.prompts or ()) == prompts[: len(found)]
        for kind in ("values", "null"):
            names = getattr(found.conditions, kind)
            assert names
            for name, value in names.items():
                whole = torch.cat([getattr(part.conditions, kind)[name] for part in parts])
                assert torch.equal(value, whole[: len(found)]), "every bit"


@pytest.mark.parametrize("prior", [words, Toy])
def test_what_prompts_and_labels_ask_for_is_not_kept_and_comes_back(prior, tmp_path):
    before, after, files = passed(prior(), tmp_path / "set")
    check_same(before, after)
    assert len(files) == 4 and not [name for held in files for name in held if name.startswith(("condition", "null"))]


def test_conditions_that_a_step_learned_are_kept(tmp_path):
    learn = Optimize((ModePull(),), variables=("condition",), through=Sample(steps=4, strength=0.5), steps=2)
    before, after, files = passed(Toy(), tmp_path / "set", learn)
    check_same(before, after)
    assert after[0].conditions.values["class"].is_floating_point()
    assert all("condition/class" in held and "null/class" in held for held in files)


@pytest.mark.usefixtures("guessing")
def test_what_no_class_changes_is_loaded_once_a_stage(tmp_path, monkeypatch):
    loaded, embedded = [], []
    build, encode = zero_shot.zero_shot, type(tiny_clip()).encode_text
    monkeypatch.setattr(zero_shot, "zero_shot", lambda *given: loaded.append(given[0]) or build(*given))
    monkeypatch.setattr(
        type(tiny_clip()), "encode_text", lambda self, *more, **how: embedded.append(1) or encode(self, *more, **how)
    )
    judges = Clip(tiny_clip()), Clip(tiny_clip(), templates=("{}",))
    steering = (Sample(steps=2, oversample=2), SelectConfident(judges), Sample(steps=2, strength=0.5))
    distill(Recipe(real=ToyData(classes=3), prior=Toy(), steering=steering, ipc=2), tmp_path / "set")
    assert len(loaded) == 2 + 2, "once to see that they know the classes, once for the stage"
    assert len(embedded) == 3 * len(loaded)
