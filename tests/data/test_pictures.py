"""From what was found to (c, h, w) bytes: colours, squares, arrays, and what cannot be one."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

from gendistill.data.pictures import Frame, decode
from gendistill.types import UserError

from .conftest import encoded, picture


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("RGBA", 4), ("LA", 4), ("CMYK", 3), ("P", 3), ("I;16", 1)]
)
def test_a_picture_keeps_the_channels_it_has(mode, channels):
    assert Frame()(Image.new(mode, (5, 4)), "p").shape == (channels, 4, 5)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P"])
def test_a_picture_gets_the_channels_asked_for(mode, channels):
    assert Frame(channels=channels)(Image.new(mode, (5, 4)), "p").shape == (channels, 4, 5)


def test_bytes_are_those_of_the_picture():
    image = picture(0)
    framed = Frame()(decode(encoded(image)), "p")
    assert torch.equal(framed, torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1))


@pytest.mark.parametrize("size", [(31, 20), (20, 31), (16, 16), (17, 16), (6, 9)])
def test_squares_are_those_of_torchvision(size):
    image = picture(1, size)
    reference = v2.Compose([v2.Resize(16, v2.InterpolationMode.BICUBIC), v2.CenterCrop(16), v2.PILToTensor()])
    assert torch.equal(Frame(size=16)(image, "p"), reference(image))


def test_an_array_is_squared_like_a_picture():
    image = picture(2, (31, 20))
    array = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    assert torch.equal(Frame(size=16)(array, "p"), Frame(size=16)(image, "p"))


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(np.array([[0, 257 * 128, 65535]], dtype=np.uint16))
    assert Frame()(decode(encoded(deep)), "p").flatten().tolist() == [0, 128, 255]


def test_a_photograph_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    upright = picture(3, (12, 8))
    sideways = upright.rotate(90, expand=True)
    found = decode(encoded(sideways, exif=exif))
    assert torch.equal(Frame()(found, "p"), Frame()(upright, "p"))


def test_a_photograph_whose_tag_is_broken_stays_as_it_lies(monkeypatch):
    def broken(*given, **words):
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(ImageOps, "exif_transpose", broken)
    assert torch.equal(Frame()(decode(encoded(picture(3, (12, 8)))), "p"), Frame()(picture(3, (12, 8)), "p"))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((5, 4, 4), 200, np.uint8), 200),
        (np.full((5, 4, 4), 200, np.int64), 200),
        (np.full((5, 4, 4), 200, np.uint16), 200),
        (torch.full((5, 4, 4), 0.5), 128),
        (np.full((4, 4), 7, np.uint8), 7),
        (np.ones((2, 4, 4), bool), 255),
    ],
)
def test_arrays_of_any_channels_are_stored_in_8_bits(array, expected):
    framed = Frame()(array, "p")
    assert framed.dtype == torch.uint8 and framed.shape == (1 if array.ndim == 2 else array.shape[0], 4, 4)
    assert framed.unique().tolist() == [expected]


@pytest.mark.parametrize(
    ("frame", "found", "told"),
    [
        (Frame(), Image.new("F", (4, 4)), "32 bits"),
        (Frame(channels=5), Image.new("RGB", (4, 4)), "channels=5"),
        (Frame(channels=3), np.zeros((5, 4, 4), np.uint8), "5 channels"),
        (Frame(), np.zeros((8, 8, 3), np.uint8), "(channels, height, width)"),
        (Frame(), np.zeros((2, 3, 4, 4), np.uint8), "(channels, height, width)"),
        (Frame(), torch.full((3, 4, 4), -1.5), "normalisation"),
        (Frame(), torch.full((3, 4, 4), float("nan")), "normalisation"),
        (Frame(), np.full((3, 4, 4), 256), "0..255"),
    ],
)
def test_what_is_no_picture_is_told(frame, found, told):
    with pytest.raises(UserError, match="the picture") as error:
        frame(found, "the picture")
    assert told in str(error.value)


@pytest.mark.parametrize("settings", [{"size": 0}, {"channels": -1}])
def test_a_frame_of_nothing_is_refused(settings):
    with pytest.raises(UserError, match="makes no picture"):
        Frame(**settings)
