"""8-bit pictures as files that people and programs open: exact PNG bytes, and grids to look at."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Numbers of channels that are pictures to everybody; other numbers are stored as arrays."""


def to_pil(stored: Tensor) -> Image.Image:
    """One picture, (c, h, w) uint8 with 1, 3 or 4 channels, as a PIL image with the same pixels."""
    array = stored.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def encode(picture: Image.Image, texts: Mapping[str, str] | None = None) -> bytes:
    """PNG bytes of a picture with text chunks by keyword, always the same for the same pixels and texts."""
    buffer, chunks = io.BytesIO(), PngInfo()
    for keyword, text in (texts or {}).items():
        chunks.add_text(keyword, text)
    picture.save(buffer, format="PNG", compress_level=6, pnginfo=chunks)
    return buffer.getvalue()


def png(stored: Tensor, texts: Mapping[str, str] | None = None) -> bytes:
    """Lossless PNG bytes of one picture, (c, h, w) uint8 with 1, 3 or 4 channels."""
    return encode(to_pil(stored), texts)


def viewable(stored: Tensor) -> Tensor:
    """The same pictures with a number of channels that can be shown: the first one or three of an unusual number."""
    channels = stored.shape[-3]
    return stored if channels in MODES else stored[..., : 3 if channels > 3 else 1, :, :]


def resize(picture: Image.Image, side: int) -> Image.Image:
    """A picture with a longer side near ``side``: grown in whole blocks of pixels, shrunk by a smooth filter."""
    width, height = picture.size
    longer = max(width, height)
    if longer > side:
        smaller = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
        return picture.resize(smaller, Image.Resampling.LANCZOS)
    times = max(1, side // longer)
    return picture.resize((width * times, height * times), Image.Resampling.NEAREST)


def sheet(rows: Sequence[tuple[str, Tensor]], side: int = 64, gap: int = 4) -> Image.Image:
    """A labelled grid, one class a row.

    Each row is a name and its pictures, (n, c, h, w) uint8.
    """
    font = ImageFont.load_default(size=15)
    tiles = [[resize(to_pil(one).convert("RGB"), side) for one in viewable(stored)] for _, stored in rows]
    width = max((tile.width for row in tiles for tile in row), default=side)
    height = max((tile.height for row in tiles for tile in row), default=side)
    names = [name if len(name) <= 22 else name[:21] + "…" for name, _ in rows]
    left = round(max((font.getlength(name) for name in names), default=0)) + 3 * gap
    columns = max((len(row) for row in tiles), default=0)
    size = (left + columns * (width + gap) + gap, len(rows) * (height + gap) + gap)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for y, (name, row) in enumerate(zip(names, tiles, strict=True)):
        top = gap + y * (height + gap)
        draw.text((2 * gap, top + height // 2), name, fill=(60, 60, 60), font=font, anchor="lm")
        for x, tile in enumerate(row):
            canvas.paste(tile, (left + x * (width + gap), top))
    return canvas
