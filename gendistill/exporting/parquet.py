"""A distilled set as Parquet files that ``datasets.load_dataset`` reads with no code of ours.

One row a picture, one class after the other. The same set gives the same bytes. Memory holds the pictures of one row
group at a time, never the set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Array3D, ClassLabel, Features, Image, List, Value
from torch import Tensor

from gendistill.labelers.relabel import EXACT, StaticLabels
from gendistill.pictures import MODES, png
from gendistill.types import Class

if TYPE_CHECKING:
    from gendistill.distilled import Distilled

GROUP_ROWS = 256
FILE_BYTES = 400_000_000
# Stated, not left to the defaults of the installed version, so that the same set gives the same bytes.
HOW = {
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": ["label", "class_id"],
    "write_statistics": ["label", "rank"],
    "data_page_version": "1.0",
    "version": "2.6",
}


@dataclass(frozen=True)
class Written:
    """What was written: how much, and where the bytes are.

    rows, files  numbers of pictures and of files
    memory       bytes of the rows once loaded
    disk         bytes of the files
    columns      bytes on disk by column, as the files' own index counts them
    """

    rows: int
    files: int
    memory: int
    disk: int
    columns: dict[str, int]


def unique_names(classes: Sequence[Class]) -> list[str]:
    """The names of the classes, told apart by WordNet id or index where two share one (ImageNet has two cranes)."""
    names = [c.name for c in classes]
    return [
        f"{c.name} ({c.wnid or f'class {index}'})" if names.count(c.name) > 1 else c.name
        for index, c in enumerate(classes)
    ]


def spell_id(row: Sequence[int]) -> str:
    """A picture's id for readers: class, slot and candidate as "00003-00007-00000"."""
    return "-".join(f"{part:05d}" for part in row)


def texts_of(distilled: Distilled, position: int) -> dict[str, str]:
    """Text chunks of a picture's PNG by keyword; none for a picture that was not asked for in words.

    ``parameters`` is laid out as programs for text-to-image expect it: the prompt, the negative prompt, and a line of
    "name: value" pairs, values with punctuation in quotes. A picture is drawn from its ``Seed`` and its ``Id``.
    """
    if distilled.prompts is None:
        return {}
    told = dict(distilled.origin.get("settings", {}))
    negative, versions = told.pop("Negative prompt", ""), distilled.origin.get("versions", {})
    _, height, width = distilled.images.shape
    told |= {"Size": f"{width}x{height}", "Id": spell_id(distilled.ids[position].tolist())}
    lines = [distilled.prompts[position], *([f"Negative prompt: {negative}"] if negative else ())]
    lines.append(", ".join(f"{name}: {quoted(str(value))}" for name, value in told.items()))
    made_with = ", ".join(f"{package} {version}" for package, version in versions.items())
    return {"parameters": "\n".join(lines), **({"Software": made_with} if made_with else {})}


def quoted(text: str) -> str:
    """The text as it is, or in quotes where a comma or colon in it would end it."""
    return json.dumps(text, ensure_ascii=False) if set(text) & set(',:"\n') else text


def has_soft(distilled: Distilled) -> bool:
    """Whether rows hold soft labels: one exact vector for each picture, the same in every epoch, that bring no loss of theirs."""
    soft = distilled.soft
    return isinstance(soft, StaticLabels) and soft.codec == EXACT and soft.loss is None


def has_files(distilled: Distilled) -> bool:
    """Whether soft labels have files of their own.

    A column would pair those of views with pictures they do not describe, hold what alternating ones are in one epoch, and cost
    more than few bits do.
    """
    return distilled.soft.kind != "hard" and not has_soft(distilled)


def features_of(distilled: Distilled) -> Features:
    """The columns. Pictures with a number of channels that no image file has are arrays."""
    c, h, w = distilled.images.shape
    columns = {
        "image": Image() if c in MODES else Array3D((c, h, w), "uint8"),
        "label": ClassLabel(names=unique_names(distilled.classes)),
        "log_probs": List(Value("float32"), length=len(distilled.classes)),
        "id": Value("string"),
        "class_id": Value("string"),
        "rank": Value("int32"),
        "weight": Value("float32"),
        "seed": Value("int64"),
        "position": Value("int32"),
        "prompt": Value("string"),
    }
    if not has_soft(distilled):
        del columns["log_probs"]
    if not has_files(distilled):
        del columns["position"]
    if distilled.prompts is None:
        del columns["prompt"]
    return Features(columns)


def groups(distilled: Distilled) -> Iterator[tuple[int, int, Tensor]]:
    """What becomes a row group: class, rank of its first picture, positions. Never two classes in one group."""
    for index in range(len(distilled.classes)):
        first = 0
        for positions in distilled.images.where(index).split(GROUP_ROWS):
            if len(positions):
                yield index, first, positions
                first += len(positions)


def nested(stored: Tensor, kind: pa.ExtensionType) -> pa.Array:
    """Pictures as the array type of `datasets`, (n, c, h, w) uint8."""
    n, c, h, w = stored.shape
    array = pa.array(stored.contiguous().numpy().reshape(-1))
    for count, length in ((n * c * h, w), (n * c, h), (n, c)):
        array = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * length), array)
    return pa.ExtensionArray.from_storage(kind, array)


def log_probabilities(distilled: Distilled, positions: Tensor) -> pa.Array:
    """Soft labels of some pictures at temperature 1, one list of k numbers each."""
    values = distilled.soft.at(positions).detach().float().cpu()
    wrong = (values.double().exp().sum(-1) - 1).abs().nan_to_num(1.0) > 1e-3
    if values.shape != (len(positions), len(distilled.classes)) or wrong.any():
        raise ValueError(
            f"soft labels of shape {tuple(values.shape)} are not log-probabilities over {len(distilled.classes)} "
            f"classes: {int(wrong.sum())} of {len(positions)} pictures do not sum to 1"
        )
    return pa.FixedSizeListArray.from_arrays(pa.array(values.numpy().reshape(-1)), values.shape[1])


def rows_of(distilled: Distilled, index: int, first: int, positions: Tensor, schema: pa.Schema) -> pa.Table:
    """One row group as a table."""
    stored, n = distilled.images.stored(positions), len(positions)
    ids = [spell_id(row) for row in distilled.ids[positions].tolist()]
    kind = schema.field("image").type
    if isinstance(kind, pa.ExtensionType):
        image = nested(stored, kind)
    else:
        rows = zip(stored, ids, positions.tolist(), strict=True)
        files = [{"bytes": png(one, texts_of(distilled, at)), "path": f"{name}.png"} for one, name, at in rows]
        image = pa.array(files, type=kind)
    recipe, seed = distilled.recipe, distilled.origin.get("settings", {}).get("Seed")
    if recipe is not None and not isinstance(recipe, str):  # text where it held loaded objects
        seed = recipe.seed
    columns = {
        "image": image,
        "label": pa.array([index] * n, pa.int64()),
        "id": pa.array(ids, pa.string()),
        "class_id": pa.array([distilled.classes[index].wnid or ""] * n, pa.string()),
        "rank": pa.array(range(first, first + n), pa.int32()),
        "weight": pa.array(distilled.weight[positions].float().numpy(), pa.float32()),
        "seed": pa.array([seed] * n, pa.int64()),
    }
    if has_soft(distilled):
        columns["log_probs"] = log_probabilities(distilled, positions)
    if has_files(distilled):
        columns["position"] = pa.array(positions.numpy(), pa.int32())
    if distilled.prompts is not None:
        columns["prompt"] = pa.array([distilled.prompts[at] for at in positions.tolist()], pa.string())
    return pa.table([columns[name] for name in schema.names], schema=schema)


def write_parquet(distilled: Distilled, folder: Path, file_bytes: int = FILE_BYTES) -> Written:
    """Write ``train-00000-of-0000N.parquet`` into an empty folder; a new file starts after about ``file_bytes``."""
    schema = features_of(distilled).arrow_schema
    told = {"labels": distilled.soft.kind, "temperature": float(distilled.soft.temperature)}
    schema = schema.with_metadata({**(schema.metadata or {}), b"gendistill": json.dumps(told).encode()})
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    memory = 0
    with ExitStack() as stack:
        file = writer = None
        for group in groups(distilled):
            if file is None or writer is None or file.tell() >= file_bytes:
                stack.close()
                parts.append(folder / f"{len(parts):05d}.part")
                file = stack.enter_context(open(parts[-1], "wb"))
                writer = stack.enter_context(pq.ParquetWriter(file, schema, **HOW))
            rows = rows_of(distilled, *group, schema)
            writer.write_table(rows)
            memory += rows.nbytes
    finished = [part.rename(folder / f"train-{i:05d}-of-{len(parts):05d}.parquet") for i, part in enumerate(parts)]
    return Written(
        rows=len(distilled.images),
        files=len(finished),
        memory=memory,
        disk=sum(path.stat().st_size for path in finished),
        columns=column_bytes(finished),
    )


def column_bytes(files: Sequence[Path]) -> dict[str, int]:
    """Compressed bytes of each column over all files."""
    total: dict[str, int] = {}
    for path in files:
        index = pq.read_metadata(path)
        for group in range(index.num_row_groups):
            for column in range(index.num_columns):
                chunk = index.row_group(group).column(column)
                name = chunk.path_in_schema.split(".")[0]
                total[name] = total.get(name, 0) + chunk.total_compressed_size
    return total
