"""The card of an exported set: what it is, how good, how to train on it, what made it, from what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datasets import DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from gendistill.evaluation.report import Report
from gendistill.exporting.parquet import Written, features_of, has_soft, unique_names
from gendistill.formatting import describe, template
from gendistill.pictures import MODES
from gendistill.provenance import NO_LEAKAGE_STATEMENT, Provenance, licence_fields, origins, spell_recipe

if TYPE_CHECKING:
    from gendistill.distilled import Distilled

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def card(
    distilled: Distilled,
    written: Written,
    *,
    report: Report | None,
    provenance: Provenance,
    labels: Mapping[str, object] | None = None,
) -> str:
    """The text of ``README.md``: a YAML head that `datasets` and the hub read, then Markdown for people.

    ``labels`` is what must be known to use soft labels that have files of their own, empty where there are none.
    """
    images, recipe = distilled.images, distilled.recipe
    real = provenance.get("real", {}).get("name", "real pictures")
    name = provenance.get("name", f"{real}, distilled")
    counts = [len(images.where(index)) for index in range(len(distilled.classes))]
    return template("card.md.jinja").render(
        head=head(distilled, written, name, provenance),
        name=name,
        real=real,
        size=describe(len(images), len(distilled.classes), images.shape),
        ipc=f"{counts[0]}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}",
        generator=images if images.bytes is not None else None,
        soft=has_soft(distilled),
        prompts=distilled.prompts is not None,
        labels=labels or {},
        label_bytes=distilled.soft.bytes if labels else 0,
        temperature=distilled.soft.temperature,
        classes=len(distilled.classes),
        channels=images.shape[0],
        mode=MODES.get(images.shape[0]),
        names=unique_names(distilled.classes),
        recipe=spell_recipe(recipe),
        paper="" if recipe is None or isinstance(recipe, str) else recipe.source,
        results=report.markdown() if report and report.rows else "",
        origins=origins(provenance),
        leakage=provenance.get("leakage", NO_LEAKAGE_STATEMENT),
        command=provenance.get("command", ""),
        versions=provenance.get("versions", {}),
        written=written,
    )


def head(distilled: Distilled, written: Written, name: str, provenance: Provenance) -> str:
    """The YAML head, in the words ``push_to_hub`` itself would use."""
    licence, details = licence_fields(provenance)
    data = DatasetCardData(
        license=licence,
        license_details=details,
        pretty_name=name,
        task_categories=["image-classification"],
        size_categories=[next((size for limit, size in SIZES if written.rows < limit), "n>10M")],
        tags=["synthetic", "dataset-distillation"],
    )
    splits = SplitDict({"train": SplitInfo("train", num_bytes=written.memory, num_examples=written.rows)})
    info = DatasetInfo(
        features=features_of(distilled), splits=splits, download_size=written.disk, dataset_size=written.memory
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    MetadataConfigs({"default": {"data_files": [{"split": "train", "path": "data/train-*"}]}}).to_dataset_card_data(
        data
    )
    return data.to_yaml()
