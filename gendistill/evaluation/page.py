"""The report of a run as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gendistill.evaluation.charts import accuracy_chart, axis, histogram, shares, stacked_bar
from gendistill.evaluation.report import Block, Report, Row
from gendistill.evaluation.tables import CALIBRATION, among_real, calibrations, stressed
from gendistill.exporting.parquet import spell_id, unique_names
from gendistill.formatting import describe, plural, spell_bytes, spell_seconds, template
from gendistill.pictures import encode, resize, to_pil, viewable
from gendistill.provenance import NO_LEAKAGE_STATEMENT, Provenance, origins, spell_recipe
from gendistill.system.store import write_text

if TYPE_CHECKING:
    from gendistill.distilled import Distilled

SHOWN_CLASSES, SHOWN_PICTURES, SHOWN_LABELS = 20, 10, 3
SIDE = 128
"""Larger pictures are shrunk to this side, so that the page stays a few megabytes; smaller ones are kept."""
TILE = 64
"""Width of a picture on the page in CSS pixels, or the largest multiple of its own width below that."""
BINS = 20


def page(
    distilled: Distilled,
    report: Report,
    *,
    path: Path,
    command: str = "",
    recipe_text: str = "",
    seconds: Mapping[str, float] | None = None,
    byte_sizes: Mapping[str, int] | None = None,
    provenance: Provenance | None = None,
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Write the report as one HTML file, whole or not at all, and return its path.

    seconds     stage -> seconds it took; the report's own where absent
    byte_sizes  what is stored -> its bytes
    """
    provenance, recipe = provenance or Provenance(), distilled.recipe
    seconds, byte_sizes = dict(seconds or report.seconds), dict(byte_sizes or {})
    images = distilled.images
    real = provenance.get("real", {}).get("name", "real pictures")
    name = provenance.get("name", f"{real}, distilled")
    counts = torch.bincount(images.labels, minlength=len(distilled.classes))
    each = "" if counts.min() != counts.max() else f" to {plural(int(counts[0]), 'picture')} per class"
    text = template("report.html.jinja").render(
        title=f"{name[:1].upper()}{name[1:]}{each}",
        size=describe(len(images), len(distilled.classes), images.shape),
        source="" if recipe is None or isinstance(recipe, str) else recipe.source,
        tiles=tiles(report.block(int(counts.max())), seconds, byte_sizes, len(images)),
        charts=[(block.title, accuracy_chart(block, axis(report.rows)), block.notes) for block in report.blocks],
        kinds=[row.labels for row in report.rows],
        classes=[of_class(distilled, index) for index in range(min(SHOWN_CLASSES, len(distilled.classes)))],
        hidden=left_out(counts),
        odd_channels=0 if images.shape[0] in (1, 3, 4) else images.shape[0],
        crisp=max(images.shape[1:]) <= SIDE,
        tile=TILE // images.shape[2] * images.shape[2] or TILE,
        labels=label_summary(distilled),
        rows=report.rows,
        notes=report.remarks,
        beyond=beyond(report),
        bars=[
            (name, stacked_bar(parts, name), parts, spell(sum(amounts.values())), spell)
            for name, amounts, spell in (
                ("Where the time went", seconds, spell_seconds),
                ("Where the bytes went", byte_sizes, spell_bytes),
            )
            if (parts := shares(amounts))
        ],
        command=command or provenance.get("command", ""),
        recipe=recipe_text or spell_recipe(recipe),
        versions=versions or provenance.get("versions", {}),
        origins=origins(provenance),
        leakage=provenance.get("leakage", NO_LEAKAGE_STATEMENT),
    )
    write_text(path, text)
    return path


def beyond(report: Report) -> list[tuple[str, list[list[str]], list[str]]]:
    """Title, cells with a header, and notes of what was measured beside accuracies."""
    found = []
    for block in report.blocks:
        if told := calibrations(block):
            found.append((f"{block.title} · expected calibration error", told, [CALIBRATION]))
        found += [(f"{block.title} · {title}", cells, notes) for title, cells, notes in stressed(block.named)]
    for ipc in dict.fromkeys(one.ipc for one in report.likeness):
        found.append((f"IPC {ipc}", *among_real([one for one in report.likeness if one.ipc == ipc])))
    return found


def tiles(
    block: Block | None, seconds: Mapping[str, float], byte_sizes: Mapping[str, int], images: int
) -> list[tuple[str, str, str]]:
    """The numbers to see first: name, value, what it means beside its baseline."""
    found = accuracy_tiles(block) if block else []
    if byte_sizes:
        stored = sum(byte_sizes.values())
        found.append(("stored", spell_bytes(stored), f"{spell_bytes(stored / images)} a picture"))
    if seconds:
        longest = max(seconds, key=lambda stage: seconds[stage])
        found.append(("time", spell_seconds(sum(seconds.values())), f"most of it: {longest}"))
    return found


def accuracy_tiles(block: Block) -> list[tuple[str, str, str]]:
    """The distilled set with each kind of labels, and the full real data."""
    found = []
    for kind in block.labels:
        row, random = block.find("distilled", kind), block.find("random_real", kind)
        if row:
            found.append((f"distilled, {row.heading}", f"{row.mark}{row.mean:.1f} %", beside(row, random)))
    full = block.find("full_real", "hard")
    if full:
        found.append(("full real data", f"{full.mean:.1f} %", f"{full.labels} labels, {spell_bytes(full.bytes)}"))
    return found


def beside(row: Row, random: Row | None) -> str:
    """How far an accuracy is from that of as many random real pictures, in percentage points."""
    if random is None:
        return f"{row.split}, n = {row.n}"
    return f"{abs(row.mean - random.mean):.1f} {'above' if row.mean >= random.mean else 'below'} random real"


def of_class(distilled: Distilled, index: int) -> dict[str, Any]:
    """What the page shows of one class: its name, its first pictures as data addresses, their prompts, its mean soft label."""
    positions = distilled.images.where(index)
    shown = positions[:SHOWN_PICTURES]
    names, said = unique_names(distilled.classes), distilled.prompts or [""] * len(distilled.ids)
    prompts = [said[position] for position in shown.tolist()]
    top = []
    if distilled.soft.kind != "hard" and len(positions):
        mean = torch.stack([part.double().exp().mean(0) * len(part) for part in soft_parts(distilled, positions)])
        share, order = (mean.sum(0) / len(positions)).topk(min(SHOWN_LABELS, len(names)))
        top = [(names[k], float(s), k == index) for s, k in zip(share, order.tolist(), strict=True)]
    return {
        "name": names[index],
        "wnid": distilled.classes[index].wnid or "",
        "pictures": [
            (data_address(one), ": ".join(filter(None, (spell_id(name), prompt))))
            for one, name, prompt in zip(
                distilled.images.stored(shown), distilled.ids[shown].tolist(), prompts, strict=True
            )
        ],
        "prompts": list(dict.fromkeys(filter(None, prompts))),
        "more": len(positions) - len(shown),
        "top": top,
    }


def data_address(stored: Tensor) -> str:
    """A picture as a ``data:`` address, never larger than SIDE."""
    picture = to_pil(viewable(stored))
    picture = resize(picture, SIDE) if max(picture.size) > SIDE else picture
    return f"data:image/png;base64,{base64.b64encode(encode(picture)).decode()}"


def left_out(counts: Tensor) -> str:
    """What the grid does not show, in words; empty when it shows everything."""
    hidden = max(0, len(counts) - SHOWN_CLASSES)
    rest = int((counts[:SHOWN_CLASSES] - SHOWN_PICTURES).clamp_min(0).sum())
    words = [
        *(
            [f"{plural(hidden, 'further class')} with {plural(int(counts[SHOWN_CLASSES:].sum()), 'picture')}"]
            * (hidden > 0)
        ),
        *([f"{plural(rest, 'further picture')} of the classes above"] * (rest > 0)),
    ]
    return " and ".join(words)


def soft_parts(distilled: Distilled, positions: Tensor) -> list[Tensor]:
    """Log-probabilities of these pictures, a block at a time."""
    return [distilled.soft.at(part).detach().float().cpu() for part in positions.split(256)]


def label_summary(distilled: Distilled) -> dict[str, Any] | None:
    """How sure the soft labels are, in bits, at temperature 1 and at their own; None for hard labels."""
    if distilled.soft.kind == "hard":
        return None
    limit = math.log2(max(len(distilled.classes), 2))
    temperature = distilled.soft.temperature
    counts, total, softened, agree = torch.zeros(BINS), 0.0, 0.0, 0
    for positions in torch.arange(len(distilled.images)).split(256):
        log_probs = distilled.soft.at(positions).detach().double().cpu()
        bits = entropy(log_probs)
        counts += torch.histc(bits.clamp(0, limit).float(), BINS, 0, limit)
        total += float(bits.sum())
        softened += float(entropy((log_probs / temperature).log_softmax(-1)).sum())
        agree += int((log_probs.argmax(-1) == distilled.images.labels[positions]).sum())
    n = len(distilled.images)
    return {
        "kind": distilled.soft.kind,
        "chart": histogram([int(c) for c in counts], limit, "bits"),
        "mean": total / n,
        "softened": softened / n,
        "limit": limit,
        "temperature": temperature,
        "agree": agree,
        "n": n,
    }


def entropy(log_probs: Tensor) -> Tensor:
    """Entropy of each row in bits, (n,); a probability of 0 adds nothing."""
    return torch.special.entr(log_probs.exp()).sum(-1) / torch.log(torch.tensor(2.0))
