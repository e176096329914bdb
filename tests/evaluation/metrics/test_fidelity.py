"""Closed forms of the five figures, and what each of them is blind to."""

from __future__ import annotations

import pytest
import torch
from scipy.linalg import sqrtm

from gendistill import seeds
from gendistill.evaluation.metrics import fidelity as module
from gendistill.evaluation.metrics.features import features_of
from gendistill.evaluation.metrics.fidelity import fidelity, frechet, neighbourhoods
from gendistill.images import StoredImages
from gendistill.nets.base import Shape, build
from gendistill.nets.convnet import ConvNet
from gendistill.types import Class, UserError


def cloud(*key, count=40, d=5):
    return torch.randn(count, d, generator=seeds.stream(*key), dtype=torch.float64)


def pictures(values):
    """One pixel of as many channels as there are numbers."""
    stored = torch.tensor(values, dtype=torch.uint8)[:, :, None, None]
    return StoredImages([Class("a")], torch.zeros(len(stored)), stored)


def in_bytes(pixels):
    return 255 * pixels.flatten(1)


def corners(x, y, a, b):
    return torch.tensor([[x + s * a, y + t * b] for s in (-1, 1) for t in (-1, 1)], dtype=torch.float64)


def test_frechet_of_normals_with_known_moments():
    # Variances 4/3 (1, 4) and 4/3 (4, 1), means (0, 0) and (3, 4): 25 + 4/3 (1 - 2)^2 + 4/3 (2 - 1)^2.
    assert frechet(corners(0, 0, 1, 2), corners(3, 4, 2, 1)) == pytest.approx(25 + 8 / 3)


def test_frechet_is_the_published_formula_where_covariances_do_not_commute():
    ours, theirs = cloud("ours"), cloud("theirs") @ cloud("mix", count=5) + 1
    a, b = torch.cov(ours.T), torch.cov(theirs.T)
    root = torch.from_numpy(sqrtm((a @ b).numpy()).real)
    wanted = (ours.mean(0) - theirs.mean(0)).square().sum() + torch.trace(a + b - 2 * root)
    assert frechet(ours, theirs) == pytest.approx(float(wanted))
    assert frechet(theirs, ours) == pytest.approx(float(wanted))


def test_frechet_of_few_pictures_in_many_dimensions_is_that_in_the_few_dimensions_they_fill():
    ours, theirs = cloud("few", count=8), cloud("more", count=30) * 2
    turn = torch.linalg.qr(cloud("turn", count=300, d=300)).Q[:5]
    assert frechet(ours @ turn, theirs @ turn) == pytest.approx(frechet(ours, theirs))
    assert frechet(ours @ turn, ours @ turn + 1) == pytest.approx(300)
    assert frechet(ours @ turn, ours @ turn) == pytest.approx(0, abs=1e-9)


def test_neighbourhoods_of_points_on_a_line():
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0], [50.0]])  # radii for k = 1: 1, 1, 1, 8, 40
    ours = torch.tensor([[0.5], [3.0], [100.0], [101.0]])  # radii 2.5, 2.5, 1, 1
    # 0.5 is in the balls of 0 and 1; 3 in that of 10 and on the surface of that of 2; the others in none.
    # 0, 1 and 2 are in balls of ours.
    assert neighbourhoods(ours, real, 1) == pytest.approx((2 / 4, 3 / 5, 4 / 4, 4 / 5))


def test_neighbourhoods_are_the_published_formulas():
    k, ours, real = 3, cloud("ours"), cloud("real", count=60) * 1.5

    def radius(points):
        return torch.stack([(points - one).norm(dim=1).sort().values[k] for one in points])

    apart = torch.stack([(ours - one).norm(dim=1) for one in real])  # (real, ours)
    inside, reached = apart <= radius(real)[:, None], apart <= radius(ours)[None]
    wanted = [inside.any(0), reached.any(1), inside.sum(0) / k, inside.any(1)]
    assert neighbourhoods(ours, real, k) == pytest.approx([float(one.double().mean()) for one in wanted])


def test_precision_is_blind_to_what_is_missing_and_coverage_is_not():
    real = torch.cat([cloud("left", d=2), cloud("right", d=2) + 100])
    precision, recall, _, coverage = neighbourhoods(real[:20] + 1e-3, real, 3)
    assert precision == 1 and recall <= 0.5 and coverage <= 0.5


def test_one_far_picture_spoils_recall_but_not_coverage():
    real, ours = cloud("real", count=200), cloud("ours", count=6) + 4
    alone, spoiled = neighbourhoods(ours, real, 2), neighbourhoods(torch.cat([ours, ours[:1] - 1000]), real, 2)
    assert alone[1] < 1 and spoiled[1] == 1
    assert spoiled[3] == alone[3]


def test_blocks_change_nothing(monkeypatch):
    ours, real = cloud("ours").float(), cloud("real", count=60).float()
    whole = frechet(ours, real), *neighbourhoods(ours, real, 2)
    monkeypatch.setattr(module, "ENTRIES", 16)
    assert (frechet(ours, real), *neighbourhoods(ours, real, 2)) == pytest.approx(whole)


def test_a_set_of_real_pictures_is_found_among_them():
    real = pictures([[i * i % 251, 7 * i % 256] for i in range(60)])
    found = fidelity(pictures(real.stored(range(0, 60, 3)).flatten(1).tolist()), real, in_bytes, k=2)
    assert (found.precision, found.pictures, found.real, found.k) == (1, 20, 60, 2)
    assert fidelity(real, real, in_bytes, k=2).frechet == pytest.approx(0, abs=1e-6)
    assert fidelity(real, real, in_bytes, k=2, most=10).real == 10


def test_features_of_any_classifier_will_do():
    made = StoredImages(
        [Class("a")], torch.zeros(8), torch.randint(256, (8, 1, 8, 8), generator=seeds.stream("x")).byte()
    )
    net = build(ConvNet(depth=1, width=4), Shape(1, 8, 2, (0.5,), (0.5,)), 0, torch.device("cpu")).eval()
    assert fidelity(made, made, features_of(net), k=1).coverage == 1


@pytest.mark.parametrize(
    "ours, see, k, words",
    [
        (pictures([[1, 2]] * 3), in_bytes, 3, "k=3 neighbours of each picture need at least 4 pictures, the set has 3"),
        (pictures([[1, 2]] * 3), in_bytes, 0, "at least one neighbour"),
        (pictures([[1]] * 9), in_bytes, 3, "1 channels are compared with real ones of 2"),
        (pictures([[1, 2]] * 9), lambda pixels: pixels.flatten(1).log().log(), 3, "not all finite"),
        (pictures([[1, 2]] * 9), lambda pixels: pixels, 3, r"gave \(9, 2, 1, 1\) for 9"),
    ],
)
def test_what_cannot_be_compared_is_said(ours, see, k, words):
    with pytest.raises(UserError, match=words):
        fidelity(ours, pictures([[1, i] for i in range(9)]), see, k=k)
