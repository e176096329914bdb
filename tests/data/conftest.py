"""Small pictures on disk: everything here is made in a temporary folder, and nothing is fetched."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Image.Image:
    """A picture of noise, (width, height), that follows from its seed."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands), dtype=np.uint8)
    return Image.fromarray(noise.squeeze(-1) if bands == 1 else noise)


def encoded(image: Image.Image, **saved) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **saved)
    return buffer.getvalue()


def make_folder(root: Path, classes: Sequence[str], each: int = 3, seed: int = 0, **made) -> Path:
    """A folder of PNG files, ``each`` per class."""
    for index, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(each):
            picture(seed + 100 * index + i, **made).save(root / name / f"{i}.png")
    return root


def make_table(classes: Sequence[str], each: int = 3, seed: int = 0, **made) -> datasets.Dataset:
    """A table of an Image and a ClassLabel column, its classes in turn."""
    rows = [(index, seed + 100 * index + i) for i in range(each) for index in range(len(classes))]
    return datasets.Dataset.from_dict(
        {
            "id": [str(s) for _, s in rows],
            "image": [{"bytes": encoded(picture(s, **made)), "path": None} for _, s in rows],
            "label": [index for index, _ in rows],
        },
        features=datasets.Features(
            id=datasets.Value("string"), image=datasets.Image(), label=datasets.ClassLabel(names=list(classes))
        ),
    )


def make_parquet(root: Path, sides: Mapping[str, datasets.Dataset]) -> Path:
    """A folder as it is downloaded from the hub: ``data/<split>-00000-of-00001.parquet``."""
    (root / "data").mkdir(parents=True)
    for split, table in sides.items():
        table.to_parquet(root / "data" / f"{split}-00000-of-00001.parquet")
    return root
