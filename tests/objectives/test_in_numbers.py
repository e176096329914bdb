"""Objectives that look through networks, on numbers that were worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn as nn

from gendistill.draft import Synthetic
from gendistill.nets.sampling import Fixed
from gendistill.nets.zero_shot import ZeroShotClassifier
from gendistill.objectives import denoising, learnability, zero_shot
from gendistill.objectives.batch_norm import BatchNorm
from gendistill.objectives.characteristic_function import CharacteristicFunction
from gendistill.objectives.denoiser_kernel import DenoiserKernel
from gendistill.objectives.denoising import Denoising
from gendistill.objectives.influence import Influence
from gendistill.objectives.inversion_matching import InversionMatching
from gendistill.objectives.learnability import Learnability
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.picture_pull import PicturePull
from gendistill.objectives.zero_shot import ZeroShot
from gendistill.priors.schedule import Schedule
from gendistill.toys import ToyPrior, toy_context
from gendistill.types import LATENT, Estimate, Level


def rows(*pictures):
    """Pictures of one row and one channel."""
    return torch.tensor(pictures).unsqueeze(1).unsqueeze(1)


class Scripted(ToyPrior):
    """Its clean estimate is what a test says, its features are the latents, and pictures are latents."""

    def __init__(self, estimate=None):
        super().__init__(3)
        self.estimate = estimate

    def denoise(self, x, level, conditions):
        return Estimate(self.estimate)

    def features(self, x, level, conditions, layers):
        return x.flatten(1)

    def decode(self, latents):
        return latents[LATENT]


@pytest.fixture
def context(tmp_path):
    return toy_context(tmp_path, classes=(0,), ipc=1)


def look(context, pictures, prior=None, **more):
    """These pictures, which are their own latents, as those of class 0."""
    ids = torch.tensor([(0, slot, 0) for slot in range(len(pictures))])
    prior = prior or Scripted()
    return Synthetic(prior, {LATENT: pictures}, ids, ids[:, 0], decode=lambda latents: latents[LATENT], **more)


def found(objective, context, pictures, **more):
    return objective.bind(context)(look(context, pictures, **more))


class Normed(nn.Module):
    """Batch normalisation of x, which knows mean 1/2 and variance 1/4, and of 2 x + 1, which knows 2 and 1."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
        for layer, mean, var in ((self.first, 0.5, 0.25), (self.second, 2.0, 1.0)):
            layer.running_mean.fill_(mean)
            layer.running_var.fill_(var)

    def forward(self, pixels):
        self.first(pixels), self.second(2 * pixels + 1)
        return torch.zeros(len(pixels), 3)


def test_batch_norm(context):
    """0, 1, 1, 1 have mean 3/4 and variance 3/16, 1, 3, 3, 3 have 5/2 and 3/4: two times 10 (1/4 + 1/16) + 1/2 + 1/4."""
    pictures = rows([0.0, 1.0], [1.0, 1.0])
    assert found(BatchNorm((Normed().eval(),)), context, pictures).tolist() == pytest.approx([7.75])


def test_mean_features():
    """Means (1, 3) and (2, 1) are a squared distance of 1 + 4 apart."""
    real, made = torch.tensor([[0.0, 2.0], [2.0, 4.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 3.0]])
    assert float(MeanFeatures().distance(real, made, ())) == 5.0


def test_characteristic_function():
    """At pi / 2, 0 and 1 give (1 + i) / 2 and 1 gives i: amplitudes 0.7071 and 1, their product less the real part 0.2071."""
    real, made, frequency = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [1.0]]), torch.tensor([[math.pi / 2]])
    for alpha, beta, wanted in ((1.0, 0.0, 0.292893), (0.0, 1.0, 0.643594), (0.5, 0.5, 0.5), (0.3, 0.7, 0.561859)):
        value = CharacteristicFunction(alpha=alpha, beta=beta).at(frequency, real, made)
        assert float(value) == pytest.approx(wanted, abs=1e-5)


def test_denoiser_kernel(context, monkeypatch):
    """(3, 4) is 5 from (0, 0) and 4 from (3, 0)."""
    real = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    monkeypatch.setattr(DenoiserKernel, "real", lambda self, *given: real)
    assert found(DenoiserKernel(), context, rows([3.0, 4.0])).tolist() == [4.5]


def test_denoising(context, monkeypatch):
    """From (1, 0.5) and noise (2, -1) at 0.8 and 0.6 come (2, -0.2), and an estimate of (1, -1) finds noise (2, 1) in it."""
    clean, level = rows([1.0, 0.5]), Level(torch.tensor([0.8]), torch.tensor([0.6]), torch.tensor([0.3]))
    noise = rows([2.0, -1.0])
    monkeypatch.setattr(denoising, "noised", lambda *given: (0.8 * clean + 0.6 * noise, level, noise))
    value = found(Denoising(infinity=0.5), context, clean, prior=Scripted(rows([1.0, -1.0])))
    assert value.tolist() == pytest.approx([(0 + 4) / 2 + 0.5 * 2])


def test_influence(context, monkeypatch):
    """An untrained linear network's gradients lie along pictures: (3, 4) has a cosine of 3/5 with (1, 0) and of 4/5 with (0, 1)."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    nn.init.zeros_(net[1].weight)
    wanted = torch.tensor([[-0.5, 0.0, 0.5, 0.0], [0.0, -0.5, 0.0, 0.5]])
    monkeypatch.setattr(Influence, "_net", lambda self, epoch, context: net)
    monkeypatch.setattr(Influence, "_wanted", lambda self, index, context: ([0, 1], wanted))
    assert found(Influence(), context, rows([3.0, 4.0])).tolist() == pytest.approx([1 - (0.6 + 0.8) / 2])


def test_learnability(context, monkeypatch):
    """A student that knows nothing of two classes is at log 2; half of a reference's log 4/3, which says 3/4, is taken off."""

    def saying(*logits):
        return lambda pixels: torch.tensor([logits]).expand(len(pixels), -1)

    monkeypatch.setattr(learnability.trained, "load", lambda reference, context: saying(0.0, 0.0))
    monkeypatch.setattr(learnability.ensemble, "load", lambda nets, context: [saying(math.log(3), 0.0)])
    assert context.made is not None
    assert found(Learnability(), context, rows([0.5, 0.5])).tolist() == pytest.approx(
        [0.5 * math.log(4 / 3) - math.log(2)]
    )


def test_inversion_matching(context):
    """A flow of ten steps goes from 0.5, 0.5 to 0.6, 0.4: the step is at (1.6, 1), the inversion at (-0.4, 3)."""
    prior = Scripted(rows([1.0, 3.0]))
    prior.schedule = Schedule("FlowMatchEulerDiscreteScheduler", {"num_train_timesteps": 10})
    more = {"x": rows([3.0, 0.0]), "level": prior.schedule.level(5)}
    value = found(InversionMatching(), context, rows([0.0, 3.0]), prior=prior, **more)
    assert value.tolist() == pytest.approx([1 - (3 - 0.64) / math.sqrt((1.6**2 + 1) * (0.4**2 + 9))], abs=1e-5)


class Sums(nn.Module):
    """Its feature is the sum of a picture."""

    def features(self, pixels):
        return pixels.flatten(1).sum(1, keepdim=True)

    def layers(self, pixels):
        return [self.features(pixels)]


def test_picture_pull(context, monkeypatch):
    """(0.5, 0.5) and (0.2, 1.0) are 0.09 + 0.25 apart, their sums 0.2: twice the one and ten times the square of the other."""
    real = rows([51, 255]).to(torch.uint8)
    monkeypatch.setattr(PicturePull, "_wanted", lambda self, context, ids: real)
    monkeypatch.setattr(Fixed, "draw", lambda self, context, *key: [Sums()])
    value = found(PicturePull(pixels=2.0, features=10.0), context, rows([0.5, 0.5]))
    assert value.tolist() == pytest.approx([2 * 0.34 + 10 * 0.04])


class Clip(nn.Module):
    """Embeds every picture along (3, 4), and multiplies cosines by 10."""

    def __init__(self):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10)))

    def encode_image(self, pixels, normalize):
        assert normalize
        return torch.tensor([[0.6, 0.8]]).expand(len(pixels), -1)


def test_zero_shot(context, monkeypatch):
    """Cosines of 3/5 and 4/5 with the prompts are logits of 6 and 8: for the first class log(1 + e^2)."""
    sizes = {"size": 2, "mean": (0.0,) * 3, "std": (1.0,) * 3, "interpolation": "bicubic"}
    net = ZeroShotClassifier(Clip(), torch.eye(2), sizes)
    monkeypatch.setattr(zero_shot.trained, "load", lambda model, context: net)
    value = found(ZeroShot(), context, torch.rand(1, 3, 2, 2))
    assert value.tolist() == pytest.approx([math.log(1 + math.e**2)], abs=1e-5)
