"""Pictures are pulled to the real ones of their slots: the published distance, and inversion of any generator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gendistill.anchors.real_pictures import of_slots
from gendistill.draft import Synthetic
from gendistill.nets import ensemble
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed, Fresh
from gendistill.objectives.picture_pull import PicturePull
from gendistill.steering.generate import Generate
from gendistill.steering.optimize import Optimize
from gendistill.toys import ToyGan, toy_context, toy_draft
from gendistill.types import LATENT, UserError
from tests.parts_under_test import TEACHER


def seen(draft):
    return Synthetic(draft.prior, draft.latents, draft.ids, draft.labels)


def test_the_published_distance(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    real = torch.cat([of_slots(context, index, torch.tensor([0, 1])) for index in (0, 1)]).float() / 255
    made = draft.prior.decode(draft.latents)
    (net,) = ensemble.load((TEACHER,), context)
    far = (made - real).square().sum((1, 2, 3))
    deep = (net.features(made) - net.features(real)).square().sum(1)  # pyright: ignore
    networks = Fixed((TEACHER,))
    for pixels, features in ((1.0, 1.0), (0.5, 0.0), (0.0, 2.0)):
        loss = PicturePull(networks, pixels=pixels, features=features).bind(context)
        torch.testing.assert_close(loss(seen(draft)), pixels * far + features * deep)


def test_a_real_picture_of_its_slot_is_where_it_wants_to_be(tmp_path):
    context = toy_context(tmp_path)
    draft = toy_draft(context)
    real = torch.cat([of_slots(context, index, torch.tensor([0, 1])) for index in (0, 1)])
    at_home = replace(draft, latents={LATENT: context.encode(real)})
    loss = PicturePull(Fixed((TEACHER,))).bind(context)(seen(at_home))
    assert loss.max() < 0.01  # the toy's pictures are 2x2 blocks, but for rounding to 8 bits
    turned = replace(at_home, latents={LATENT: at_home.latents[LATENT].flip(0)})
    assert PicturePull(Fixed((TEACHER,))).bind(context)(seen(turned)).min() > 0.1


def test_it_inverts_a_generator(tmp_path):
    context = toy_context(tmp_path, prior=ToyGan())
    draft = Generate()(replace(toy_draft(context), latents={}), context)
    objective = PicturePull(features=0.0)
    found = Optimize((objective,), steps=200, lr=0.1, variables=("latent/z",))(draft, context)
    real = torch.cat([of_slots(context, index, torch.tensor([0, 1])) for index in (0, 1)]).float() / 255
    torch.testing.assert_close(draft.prior.decode(found.latents), real, atol=0.01, rtol=0)
    assert torch.equal(found.latents["class"], draft.latents["class"])


def test_weights_that_want_nothing_are_refused():
    with pytest.raises(UserError, match="one of them above"):
        PicturePull(pixels=0.0, features=0.0)
    with pytest.raises(UserError, match="at least 0"):
        PicturePull(pixels=-1.0)


def test_networks_by_which_pictures_judge_each_other_are_refused(tmp_path):
    context = toy_context(tmp_path)
    normed = ConvNet(depth=2, width=8, norm="batch")
    with pytest.raises(UserError, match="judges each picture alone"):
        PicturePull(Fresh(normed)).bind(context)(seen(toy_draft(context)))
    trained = PicturePull(Fixed((replace(TEACHER, net=normed),))).bind(context)(seen(toy_draft(context)))
    assert bool(torch.isfinite(trained).all()), "trained ones have statistics of their own"
