"""Every corruption against its published code or moments, and what all have in common."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from gendistill import pictures, seeds
from gendistill.evaluation.metrics.attacks import streams_of
from gendistill.evaluation.metrics.corruptions import CORRUPTIONS, SEVERITIES
from gendistill.types import UserError

STORED = torch.randint(256, (4, 3, 32, 32), generator=seeds.stream("stored")).byte()
PIXELS = STORED.float() / 255
BY_NAME = {one.name: one for one in CORRUPTIONS}


def after(name, severity=3, pixels=PIXELS):
    return BY_NAME[name](pixels, severity, streams_of(0, name, torch.arange(len(pixels))))


def grey(value, side=32, count=4):
    return torch.full((count, 3, side, side), value)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=str)
def test_stronger_each_time_and_8_bit_and_the_same_again(corruption):
    smooth = torch.nn.functional.avg_pool2d(PIXELS, 5, 1, 2)
    apart = [float((after(corruption.name, s, smooth) - smooth).square().mean()) for s in SEVERITIES]
    assert apart == sorted(apart) and apart[0] > 0 and apart[-1] > 1.2 * apart[0]
    found = after(corruption.name)
    torch.testing.assert_close(found * 255, (found * 255).round())
    assert torch.equal(found, after(corruption.name))
    alone = corruption(PIXELS[2:3], 3, streams_of(0, corruption.name, torch.tensor([2])))
    assert torch.equal(alone, found[2:3]), "batch mates change a picture"
    assert after(corruption.name, pixels=PIXELS[:, :1]).shape == (4, 1, 32, 32)


def test_noises_have_the_published_moments():
    changed = after("gaussian noise", 5, grey(0.5))
    assert float(changed.std()) == pytest.approx(0.1, rel=0.03)
    changed = after("shot noise", 5, grey(0.5))
    assert float(changed.mean()) == pytest.approx(0.5, rel=0.01)
    assert float(changed.std()) == pytest.approx((0.5 / 50) ** 0.5, rel=0.03), "Poisson: variance x / photons"
    changed = after("impulse noise", 5, grey(0.5))
    assert float((changed == 0).float().mean()) == pytest.approx(0.035, rel=0.15)
    assert float((changed == 1).float().mean()) == pytest.approx(0.035, rel=0.15)


def test_blur_is_scipys():
    wanted = gaussian_filter(PIXELS.double().numpy(), (0, 0, 1, 1), mode="nearest", truncate=4)
    torch.testing.assert_close(after("blur", 5).double(), torch.from_numpy(wanted), atol=0.5001 / 255, rtol=0)


def test_brightness_is_that_of_hsv():
    changed = after("brightness", 5)[0].flatten(1).T
    for before, now in zip(PIXELS[0].flatten(1).T[:50].tolist(), changed[:50].tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*before)
        assert now == pytest.approx(colorsys.hsv_to_rgb(h, s, min(v + 0.3, 1)), abs=0.5001 / 255)
    assert torch.equal(after("brightness", 5, grey(0.0)), (grey(0.3) * 255).round() / 255)


def test_contrast_is_the_published_formula():
    mean = PIXELS.mean((2, 3), keepdim=True)
    torch.testing.assert_close(after("contrast", 5), (PIXELS - mean) * 0.15 + mean, atol=0.5001 / 255, rtol=0)


def test_pixelate_and_jpeg_are_pillows(tmp_path):
    picture = pictures.to_pil(STORED[0])
    small = picture.resize((int(32 * 0.65), int(32 * 0.65)), Image.Resampling.BOX)
    wanted = np.asarray(small.resize((32, 32), Image.Resampling.BOX))
    assert np.array_equal((after("pixelate", 5)[0] * 255).round().permute(1, 2, 0).numpy(), wanted)
    picture.save(tmp_path / "picture.jpg", quality=40)
    with Image.open(tmp_path / "picture.jpg") as read:
        assert np.array_equal((after("jpeg", 5)[0] * 255).round().permute(1, 2, 0).numpy(), np.asarray(read))


@pytest.mark.parametrize("side, strength", [(8, 0.15), (32, 0.15), (64, 0.05), (96, 0.05), (224, 0.05)])
def test_strengths_are_those_of_the_published_set_nearest_in_size(side, strength):
    pixels = torch.zeros(1, 1, side, side)
    pixels[..., : side // 2] = 1
    changed = after("contrast", 5, pixels)
    assert float(changed.max() - changed.min()) == pytest.approx(strength, abs=1 / 255)


def test_what_cannot_be_corrupted_is_said():
    with pytest.raises(UserError, match="severity=6"):
        after("blur", 6)
    with pytest.raises(UserError, match="2 channels"):
        after("jpeg", pixels=PIXELS[:, :2])
