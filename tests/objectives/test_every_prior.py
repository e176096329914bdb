"""The same objectives, unchanged, steer every kind of prior: each lowers its own loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gendistill.draft import Draft, Synthetic
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed
from gendistill.objectives.base import Objective
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.objectives.kernel_mmd import KernelMMD
from gendistill.objectives.margin import Margin
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.picture_pull import PicturePull
from gendistill.priors.base import Prior
from gendistill.priors.pixels import Pixels
from gendistill.priors.small_gan import SmallGan
from gendistill.priors.text_to_image import TextToImage
from gendistill.steering.optimize import Optimize
from gendistill.toys import Toy, ToyGan, toy_context, toy_draft
from tests.parts_under_test import TEACHER
from tests.priors.tiny_pipelines import tiny


class FreshGan(SmallGan):
    """A style generator as it is before training: a hierarchy of real layers."""

    def load(self, data, device, dtype):
        return self.sketch(data, device, dtype)


NET = ConvNet(depth=2, width=8)
LOOKS = Fixed((TEACHER,))
OBJECTIVES: tuple[Objective, ...] = (
    CrossEntropy((TEACHER,)),
    Margin((TEACHER,)),
    MeanFeatures(LOOKS, augment=None),
    KernelMMD(LOOKS, augment=None),
    GradientMatching(NET, outer=10),
    PicturePull(LOOKS),
)
PRIORS: dict[str, Callable[[], Prior]] = {
    "diffusion": Toy,
    "text to image": lambda: TextToImage(tiny("stable_diffusion", channels=1)),
    "pixels": Pixels,
    "generator": ToyGan,
    "style generator": lambda: FreshGan(block_out_channels=(8, 8), noise_size=8, style_size=16),
}
"""One of every kind; what a kind costs to make, it costs when its test runs."""


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: type(one).__name__)
def test_steers(objective, prior, tmp_path):
    context = toy_context(tmp_path, prior=PRIORS[prior]())
    draft, loss = toy_draft(context), objective.bind(context)

    def value(draft: Draft) -> float:
        latents = {name: part.clone().requires_grad_() for name, part in draft.latents.items()}
        synthetic = Synthetic(draft.prior, latents, draft.ids, draft.labels, conditions=draft.conditions)
        return float(loss(synthetic).sum().detach())

    moved = Optimize((objective,), steps=30, lr=0.02)(draft, context)
    assert value(moved) < 0.9 * value(draft)
    assert torch.isfinite(torch.cat([part.flatten() for part in moved.latents.values()])).all()
    assert moved.latents.keys() == draft.latents.keys() and moved == replace(draft, latents=moved.latents)
