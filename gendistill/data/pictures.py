"""From a picture as it was found to 8-bit (c, h, w): open, colours, square, bytes. All sources share it."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from gendistill.types import UserError

Picture: TypeAlias = Image.Image | np.ndarray | Tensor
"""A decoded picture: of PIL, or an array (c, h, w) or (h, w) with 0..255 as integers or [0, 1] as floats."""

Framed: TypeAlias = UInt8[Tensor, "c h w"]

UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError)
"""What PIL and NumPy raise for a file that is not, or not wholly, what it should be."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
NATURAL = {"1": "L", "L": "L", "P": "RGB", "PA": "RGBA", "LA": "RGBA", "La": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}


def decode(encoded: bytes) -> Image.Image:
    """The whole picture of these encoded bytes, turned upright as its EXIF tag says. Raises one of `UNREADABLE`."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
            with suppress(
                struct.error, TypeError, KeyError, ValueError
            ):  # a broken tag says nothing of how the picture lies
                ImageOps.exif_transpose(image, in_place=True)
            return image
    except UnidentifiedImageError:
        raise OSError("not an image of a kind that Pillow knows") from None


def read_file(path: Path) -> Picture:
    """The picture of an image file, or the array of a ``.npy`` file. Raises one of `UNREADABLE`."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    return decode(path.read_bytes())


@dataclass
class Frame:
    """What every picture of a data set is brought to.

    size      side of the square, in pixels: the shorter side is resized to it (bicubic, antialiased), then the
              middle is cut out; None keeps pictures as they are
    channels  1 grey, 3 RGB, 4 RGBA, converted as PIL does (to RGB, transparency is dropped); None keeps what a
              picture has. Other counts belong to arrays, whose channels cannot be converted
    """

    size: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("channels", self.channels)):
            if value is not None and value < 1:
                raise UserError(f"{name}={value} makes no picture: a positive number, or None to keep what there is")

    def __call__(self, picture: Picture, name: str) -> Framed:
        """The picture in this frame. ``name`` is what an error calls it."""
        if isinstance(picture, Image.Image):
            return self._of_image(picture, name)
        return self._of_array(torch.as_tensor(picture), name)

    def _of_image(self, image: Image.Image, name: str) -> Framed:
        if self.channels is not None and self.channels not in MODES:
            raise UserError(
                f"{name} is a {image.mode} picture, which cannot have channels={self.channels}: 1 is grey, "
                "3 RGB, 4 RGBA; other counts are for arrays"
            )
        image = _eight_bit(image, name)
        image = image.convert(MODES[self.channels] if self.channels else _natural(image))
        if self.size is not None:
            image = _squared(image, self.size)
        pixels = np.asarray(image).reshape(image.height, image.width, -1)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())

    def _of_array(self, array: Tensor, name: str) -> Framed:
        array = array.unsqueeze(0) if array.ndim == 2 else array
        if array.ndim != 3 or (array.shape[2] in MODES and min(array.shape[:2]) > max(MODES)):
            raise UserError(f"{name} has shape {tuple(array.shape)}, but arrays are (channels, height, width)")
        if self.channels not in (None, array.shape[0]):
            raise UserError(
                f"{name} is an array of {array.shape[0]} channels, which cannot be converted to "
                f"channels={self.channels}: leave channels out"
            )
        stored = _to_bytes(array, name)
        if self.size is None:
            return stored
        planes = [_squared(Image.fromarray(plane), self.size) for plane in stored.numpy()]  # each as a grey picture
        return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))


def _eight_bit(image: Image.Image, name: str) -> Image.Image:
    """Sixteen bits are scaled to eight (PIL would clip them); other depths have no scale of their own."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.float32) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(f"{name} has 32 bits per pixel and no known range: save it with 8 or 16, or as an array")
    return image


def _natural(image: Image.Image) -> str:
    if image.mode == "P" and "transparency" in image.info:
        return "RGBA"
    return NATURAL.get(image.mode, "RGB")


def _squared(image: Image.Image, size: int) -> Image.Image:
    short = min(image.size)
    if short != size:
        width, height = (max(size, int(size * side / short)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image if image.size == (size, size) else image.crop((left, top, left + size, top + size))


def _to_bytes(array: Tensor, name: str) -> Framed:
    """Integers are taken as they are and floats as [0, 1]; anything outside is a mistake, not clipped."""
    array = array.detach().cpu()
    if array.dtype == torch.uint8:
        return array.clone()
    if array.dtype == torch.bool:
        return array.to(torch.uint8) * 255
    if not array.is_floating_point():
        array = array.long()  # of unsigned integers of more bits torch knows no least and largest
    top = 1.0 if array.is_floating_point() else 255
    low, high = (array.min().item(), array.max().item()) if array.numel() else (0, 0)
    if not (low >= 0 and high <= top):  # also catches NaN
        raise UserError(
            f"{name} has values from {low:.4g} to {high:.4g}; a picture has 0..255 as integers or "
            "[0, 1] as floats, before any normalisation"
        )
    return (array * 255).round().to(torch.uint8) if array.is_floating_point() else array.to(torch.uint8)
