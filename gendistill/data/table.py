"""Pictures and labels in the columns of a `datasets.Dataset`: Parquet, the hub and loaded objects come to this."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from datasets import Array2D, Array3D, ClassLabel, Dataset, Features, Image, LargeList, List, Value

from gendistill.data.messages import listed, nearest
from gendistill.data.pictures import Picture, decode
from gendistill.data.reading import Index, Raw
from gendistill.types import UserError
from gendistill.wordnet import as_class

BLOCK, GATHERED = 10_000, 64
"""Rows whose sizes, and whose bytes, are looked at together."""


def find_columns(features: Features, image: str | None, label: str | None, where: str) -> tuple[str, str]:
    """Names of the columns of pictures and labels: as given, else the first Image and the first ClassLabel.

    Where no column is an Image, the first one of encoded bytes (a struct of bytes and path) or of arrays will do.
    """
    for field, name in (("image_column", image), ("label_column", label)):
        if name is not None and name not in features:
            raise UserError(f"{where} has no column {name!r} for {field}: {nearest(name, features)}")
    if image is None:
        kinds = (_is_image, _is_struct, _is_array)
        image = next((name for kind in kinds for name, f in features.items() if kind(f)), None)
    if label is None:
        label = next((name for name, f in features.items() if isinstance(f, ClassLabel)), None)
    for field, name, fits, what in (
        ("image_column", image, _is_picture, "pictures: images, encoded bytes or arrays"),
        ("label_column", label, _is_label, "class labels: ClassLabel, integers or text"),
    ):
        if name is None or not fits(features[name]):
            found = "no column holds" if name is None else f"column {name!r} does not hold"
            raise UserError(f"{where}: {found} {what}; name one with {field}=.... There is {_described(features)}")
    assert image is not None and label is not None
    return image, label


def index_table(dataset: Dataset, image: str | None, label: str | None, where: str) -> Index:
    """The labelled pictures of a data set. A transform set on it is not applied."""
    image, label = find_columns(dataset.features, image, label, where)
    values = _table(dataset.select_columns([label]).with_format("arrow"), slice(None)).column(label).to_pylist()
    feature = dataset.features[label]
    if isinstance(feature, ClassLabel):
        names, values = feature.names, [-1 if value is None else value for value in values]
    else:
        names = sorted({value for value in values if value is not None})
        place = {name: i for i, name in enumerate(names)}
        values = [place.get(value, -1) for value in values]
    labels = torch.tensor(values, dtype=torch.long)
    unlabelled = int((labels < 0).sum())
    if unlabelled:
        raise UserError(
            f"{where}: {unlabelled} of {len(labels)} rows have no label in column {label!r}; take a split "
            "that is labelled"
        )
    return Index(_column(dataset, image, where), tuple(as_class(str(name)) for name in names), labels, where)


def _column(dataset: Dataset, name: str, where: str) -> Column:
    rows, encoded = dataset.select_columns([name]), not _is_array(dataset.features[name])
    if _is_image(dataset.features[name]):
        rows = rows.cast_column(name, Image(decode=False))  # we decode ourselves, the same for all sources
    return Column(rows.with_format("arrow" if encoded else "numpy"), name, encoded, where)


class Column(Raw):
    """The pictures in a column: encoded images, or arrays (c, h, w)."""

    def __init__(self, rows: Dataset, column: str, encoded: bool, where: str) -> None:
        """``rows`` has the column alone, and answers in Arrow where it is ``encoded``, else in NumPy."""
        self._rows, self._column, self._encoded, self._where = rows, column, encoded, where

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, position: int) -> str:
        """The row, and the file it came from if that is known."""
        path = self._values([position])[0].get("path") if self._encoded else None
        return f"row {position} of {self._where}" + (f" ({path})" if path else "")

    def read(self, position: int) -> Picture:
        """The picture in this row."""
        if self._encoded:
            return decode(_content(self._values([position])[0]))
        return self._rows[position][self._column]

    def sizes(self) -> list[int]:
        """Bytes of the encoded pictures, or of the arrays, which are all alike."""
        if not self._encoded:
            return [self._rows[0][self._column].nbytes] * len(self)
        return [size for start in range(0, len(self), BLOCK) for size in self._lengths(start)]

    def contents(self, positions: Sequence[int]) -> Iterator[bytes]:
        """The encoded pictures, or the bytes of the arrays."""
        for start in range(0, len(positions), GATHERED):
            block = list(positions[start : start + GATHERED])
            if self._encoded:
                yield from map(_content, self._values(block))
            else:
                yield from (np.ascontiguousarray(array).tobytes() for array in self._rows[block][self._column])

    def take(self, positions: Sequence[int]) -> Raw:
        """The rows at these positions."""
        return Column(self._rows.select(positions), self._column, self._encoded, self._where)

    def _values(self, positions: list[int]) -> list[Mapping[str, Any]]:
        """The bytes of encoded pictures, or the paths of their files."""
        values = _table(self._rows, positions).column(0).to_pylist()
        return [value if isinstance(value, dict) else {"bytes": value, "path": None} for value in values]

    def _lengths(self, start: int) -> list[int]:
        """Bytes of the encoded pictures of one block of rows, without reading them."""
        table = _table(self._rows, slice(start, start + BLOCK))
        if pa.types.is_struct(table.column(0).type):
            table = table.flatten().select([f"{self._column}.bytes"])
        lengths = pc.call_function("binary_length", [table.column(0)]).to_pylist()
        return [
            Path(self._values([start + i])[0]["path"]).stat().st_size if length is None else length
            for i, length in enumerate(lengths)
        ]


def _content(value: Mapping[str, Any]) -> bytes:
    if value["bytes"] is not None:
        return value["bytes"]
    if value["path"] is None:
        raise OSError("the row is empty")
    return Path(value["path"]).read_bytes()


def _table(rows: Dataset, key: list[int] | slice) -> pa.Table:
    """Rows of a data set that answers in Arrow."""
    return cast(pa.Table, rows[key])


def _is_image(feature: object) -> bool:
    return isinstance(feature, Image)


def _is_struct(feature: object) -> bool:
    return isinstance(feature, dict) and set(feature) == {"bytes", "path"}


def _is_array(feature: object) -> bool:
    inner = feature.feature if isinstance(feature, List | LargeList) else None
    return isinstance(feature, Array2D | Array3D) or isinstance(inner, List | LargeList)


def _is_picture(feature: object) -> bool:
    encoded = isinstance(feature, Value) and feature.dtype in ("binary", "large_binary")
    return encoded or _is_image(feature) or _is_struct(feature) or _is_array(feature)


def _is_label(feature: object) -> bool:
    plain = isinstance(feature, Value) and re.match(r"u?int|bool|string|large_string", feature.dtype)
    return bool(plain) or isinstance(feature, ClassLabel)


def _described(features: Features) -> str:
    return listed(f"{name!r} ({f if isinstance(f, dict) else type(f).__name__})" for name, f in features.items())
