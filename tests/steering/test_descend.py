"""Down a hierarchy: every space is passed in order, the best of all is kept, and a kill changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed, Fresh
from gendistill.objectives.base import Objective
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.steering import descend, optimize, push
from gendistill.steering.descend import Descend
from gendistill.steering.generate import Generate
from gendistill.steering.optimize import Optimize
from gendistill.steering.push import Push
from gendistill.steering.sample import Sample
from gendistill.toys import ToyGan, toy_context, toy_draft
from gendistill.types import Diverged, UserError
from tests.interruption import stopping
from tests.parts_under_test import TEACHER

SEEN = MeanFeatures(Fresh(ConvNet(depth=2, width=8)), augment=None)
JUDGE = MeanFeatures(Fixed((TEACHER,)), augment=None)


@dataclass(frozen=True)
class Listed(Objective):
    """Gives the scores it was told, one list after the other; the pictures play no part but for the gradient."""

    scores: tuple[tuple[float, ...], ...] = ()
    weight: float = 1.0
    scope: str = "picture"

    def bind(self, context):
        left = iter(self.scores)

        def loss(synthetic):
            groups = {"picture": len(synthetic.labels), "class": len(context.classes), "set": 1}[self.scope]
            return 0.0 * synthetic.pixels.sum() + torch.tensor(next(left)).expand(groups)

        return loss


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, prior=ToyGan())


@pytest.fixture
def draft(context):
    return Generate()(replace(toy_draft(context), latents={}), context)


def walk(draft, context, step):
    """What is left in every space, pushed to the last, by hand."""
    left = []
    for number, space in enumerate(("z", "w+", "f16")):
        draft = step(Push(space)(draft, context), replace(context, place=context.place + 1000 * (number + 1)))
        left.append(Push()(draft, context).latents)
    return left


@pytest.mark.parametrize(
    ("scope", "scores", "wins"),
    [
        ("picture", ((3.0, 1.0, 2.0, 5.0), (2.0, 2.0, 2.0, 4.0), (1.0, 3.0, 9.0, 4.0)), (2, 0, 0, 1)),
        ("class", ((3.0, 1.0), (2.0, 2.0), (2.0, 0.0)), (1, 1, 2, 2)),
        ("set", ((3.0,), (1.0,), (2.0,)), (1, 1, 1, 1)),
    ],
)
def test_the_best_of_the_way_is_kept(scope, scores, wins, draft, context):
    step = Optimize((SEEN,), steps=2, lr=0.1)
    found = Descend(step, Listed(scores, scope=scope))(draft, context)
    left = walk(draft, context, step)
    for name, value in found.latents.items():
        wanted = torch.stack([left[space][name][row] for row, space in enumerate(wins)])
        torch.testing.assert_close(value, wanted, atol=0, rtol=0)
    assert not torch.equal(left[0]["f16"], left[1]["f16"]), "the spaces left the same pictures: nothing was chosen"


def test_spaces_draw_numbers_of_their_own(draft, context):
    seen = []

    @dataclass(frozen=True)
    class Watch(Objective):
        weight: float = 1.0

        def bind(self, context):
            seen.append(context.place)
            return lambda synthetic: synthetic.pixels.flatten(1).sum(1)

    Descend(Optimize((Watch(),), steps=1), Listed(((1.0,),) * 3, scope="set"))(draft, context)
    assert len(set(seen)) == 3


def test_it_ends_no_worse_than_any_space(draft, context):
    step, loss = Optimize((SEEN,), steps=4, lr=0.2), JUDGE.bind(context)
    found = Descend(step, JUDGE)(draft, context)

    def value(latents):
        return Descend(step, JUDGE)._scores(replace(draft, latents=latents), loss, context)

    best = torch.stack([value(latents) for latents in walk(draft, context, step)]).amin(0)
    torch.testing.assert_close(value(found.latents), best)


def test_spaces_may_be_named_and_must_go_forward(draft, context):
    step = Optimize((SEEN,), steps=1)
    assert set(Descend(step, JUDGE, spaces=("w+",))(draft, context).latents) == {"f16", "w+"}
    with pytest.raises(UserError, match="one way"):
        Descend(step, JUDGE, spaces=("f16", "w+"))(draft, context)
    with pytest.raises(UserError, match="'f9' is no space"):
        Descend(step, JUDGE, spaces=("f9",))(draft, context)


def test_what_cannot_work_is_refused(context):
    step = Optimize((SEEN,), steps=1)
    with pytest.raises(UserError, match="at least one space"):
        Descend(step, spaces=())
    with pytest.raises(UserError, match="without a sampler"):
        Descend(replace(step, through=Sample()))
    with pytest.raises(UserError, match="put Generate"):
        Descend(step)(replace(toy_draft(context), latents={}), context)
    with pytest.raises(Diverged):
        Descend(Optimize((SEEN,), steps=3, lr=1e38, optimizer="SGD"))(toy_draft(context), context)


def test_a_killed_walk_ends_with_the_same_bits(draft, context, monkeypatch):
    monkeypatch.setattr(optimize, "SAVE_EVERY_S", -1.0)
    step = Descend(Optimize((SEEN,), steps=3, lr=0.1), JUDGE)
    whole = step(draft, context)
    killed = replace(context, resume=context.store.root / "0-descend-class-0.safetensors")
    with pytest.raises(KeyboardInterrupt):
        step(draft, replace(killed, progress=stopping(5)))
    assert sorted(path.name for path in context.store.root.glob("0-descend-class-0*")) == [
        "0-descend-class-0-w+.safetensors", "0-descend-class-0-z.safetensors",
    ]  # fmt: skip
    resumed = step(draft, killed)
    for name, value in whole.latents.items():
        assert torch.equal(resumed.latents[name], value)


def test_the_last_space_is_entered_by_a_block_at_a_time(draft, context, monkeypatch):
    entered = []
    step = type(draft.prior).step
    monkeypatch.setattr(
        type(draft.prior),
        "step",
        lambda self, latents, index: (
            entered.append((index, len(latents[self.spaces[index]]))) or step(self, latents, index)
        ),
    )
    for module in (descend, push):
        monkeypatch.setattr(module, "together", lambda shape: 1)
    found = Descend(Optimize((SEEN,), steps=1, chunk=1), JUDGE, spaces=("z",))(draft, context)
    assert len(found.latents["f16"]) == 4 and {count for index, count in entered if index == 1} == {1}
