"""The report page: complete, honest about what it leaves out, and in need of nothing else."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gendistill.distilled import Distilled
from gendistill.evaluation.charts import accuracy_chart, axis, shares
from gendistill.evaluation.page import entropy, page
from gendistill.evaluation.report import Likeness, Report, Row
from gendistill.images import StoredImages
from gendistill.types import Class, SoftLabels

VOID = {"meta", "img"}


class Table(SoftLabels):
    """Soft labels from a table of log-probabilities."""

    fingerprint = "table"

    def __init__(self, log_probs: torch.Tensor, kind: str) -> None:
        self.log_probs, self.kind, self.temperature, self.bytes = log_probs, kind, 20.0, log_probs.nbytes

    def at(self, positions: torch.Tensor, view: int = 0) -> torch.Tensor:
        return self.log_probs[positions]

    def save(self, folder: Path) -> dict[str, object]:
        raise NotImplementedError


class Reader(HTMLParser):
    """Checks that tags close in order, and keeps what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.images: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"])

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def made_up(shape=(1, 16, 16), classes=3, ipc=4, kind="soft") -> Distilled:
    """What the page looks at of a distilled set."""
    dice = torch.Generator().manual_seed(0)
    labels = torch.arange(classes).repeat_interleave(ipc)
    stored = torch.randint(0, 256, (len(labels), *shape), dtype=torch.uint8, generator=dice)
    images = StoredImages([Class(f"<kind> & {i}", f"n{i:08d}") for i in range(classes)], labels, stored)
    slots = torch.arange(ipc).repeat(classes)
    log_probs = torch.nn.functional.one_hot(labels, classes).float().log()
    return Distilled(
        images=images,
        soft=Table(log_probs, kind),
        ids=torch.stack([labels, slots, torch.zeros_like(slots)], 1),
        weight=torch.ones(len(labels)),
        recipe=None,
    )


def row(name: str, labels: str, mean: float, std: float = 1.0, n: int = 5) -> Row:
    """One accuracy."""
    return Row(set=name, labels=labels, student="ConvNet-3", protocol="demo", epochs=9, ipc=None if n == 1 else 4,
               split="test", mean=mean, std=std, n=n, bytes=1234)  # fmt: skip


REPORT = Report([row("distilled", "hard", 86.4), row("distilled", "soft", 88.1), row("random_real", "hard", 73.9),
                 row("full_real", "hard", 98.9, 0, 1)], {"distil": 61.0, "evaluate": 20.0})  # fmt: skip


def read(path: Path) -> Reader:
    """Parse a page."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A page with everything on it."""
    return page(
        made_up(),
        REPORT,
        path=tmp_path / "report.html",
        command="gendistill run demo real.text='<x>'",
        recipe_text="Recipe(ipc=4)",
        byte_sizes={"images": 9000, "labels": 1000},
        provenance={"real": {"name": "made-up pictures", "licence": "cc0-1.0", "source": "https://example.org/data"}},
        versions={"torch": "2"},
    )


def test_it_needs_nothing_else(whole: Path) -> None:
    text, reader = whole.read_text(), read(whole)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert all(address.startswith("data:image/png;base64,") for address in reader.images)
    assert not re.search(r"url\(|@import|src=\"(?!data:)", text)


def test_it_says_everything(whole: Path) -> None:
    text = read(whole).text
    for expected in (
        "Made-up pictures, distilled to 4 pictures per class", "12 pictures, 3 classes, 16 × 16 grey", "86.4 %",
        "12.5 above random real", "98.9 %", "10 kB", "833 B a picture", "1 min 21 s",
        "gendistill run demo real.text='<x>'", "Recipe(ipc=4)", "cc0-1.0", "Not stated: whether the prior",
        "torch 2", "All of them", "12 of 12", "<kind> & 1",
    ):  # fmt: skip
        assert expected in text


def test_only_addresses_of_the_web_are_links(tmp_path: Path) -> None:
    for source, links in (("https://example.org/paper", 2), ("javascript:alert(1)", 0), ("httpx:y", 0)):
        made = replace(made_up(), recipe=SimpleNamespace(source=source))
        path = page(made, REPORT, path=tmp_path / "report.html", provenance={"real": {"name": "x", "source": source}})
        assert path.read_text().count(f'<a href="{source}">') == read(path).tags.count("a") == links
        assert f"method of {source}" in read(path).text


def test_pictures_are_exact_and_read_a_few_at_a_time(tmp_path: Path) -> None:
    made, asked = made_up((3, 16, 12), classes=2, ipc=10), []
    stored = made.images.stored
    made.images.stored = lambda positions: asked.append(len(positions)) or stored(positions)
    reader = read(page(made, REPORT, path=tmp_path / "report.html"))
    assert asked == [10, 10]
    for position, address in enumerate(reader.images):
        shown = np.array(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))
        assert np.array_equal(shown.transpose(2, 0, 1), stored([position])[0].numpy())
    assert "Every pixel as stored" in reader.text


def test_it_tells_what_it_leaves_out(tmp_path: Path) -> None:
    reader = read(page(made_up((5, 8, 8), classes=22, ipc=11), Report([]), path=tmp_path / "report.html"))
    assert len(reader.images) == 20 * 10
    assert "not shown: 2 further classes with 22 pictures and 20 further pictures of the classes above" in reader.text
    assert "Of 5 channels, three are shown as RGB" in reader.text


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    reader = read(page(made_up((3, 300, 200), classes=1, ipc=1), REPORT, path=tmp_path / "report.html"))
    shown = Image.open(io.BytesIO(base64.b64decode(reader.images[0].split(",")[1])))
    assert shown.size == (85, 128)
    assert "Shown smaller than stored" in reader.text


def test_hard_labels_and_nothing_measured(tmp_path: Path) -> None:
    reader = read(page(made_up(kind="hard"), Report([]), path=tmp_path / "report.html"))
    assert "Hard labels: every picture is its class" in reader.text
    assert "svg" not in reader.tags


def test_entropy_by_hand() -> None:
    log_probs = torch.tensor([[0.25, 0.25, 0.5, 0], [1, 0, 0, 0], [0.25] * 4]).double().log()
    assert entropy(log_probs).tolist() == pytest.approx([1.5, 0, 2])


def test_the_chart_puts_dots_where_the_axis_says() -> None:
    ticks = axis(REPORT.rows)
    assert ticks == [70, 80, 90, 100]
    chart = accuracy_chart(REPORT.blocks[0], ticks)
    dots = [float(x) for x in re.findall(r'class="dot hard" cx="([\d.]+)"', chart)]
    ends = [float(x) for x in re.findall(r'class="grid" x1="([\d.]+)"', chart)]
    places = [70 + 30 * (x - ends[0]) / (ends[-1] - ends[0]) for x in dots]
    assert places == pytest.approx([86.4, 73.9, 98.9], abs=0.05)
    assert chart.count("whisker") == 3  # one run has no deviation


def test_labels_of_several_labelers_are_told_apart(tmp_path: Path) -> None:
    by = [
        replace(row("distilled", "soft", mean), labeler=labeler)
        for mean, labeler in ((88.0, "ConvNet-3, T 4"), (89.0, "4 teachers, T 4"))
    ]
    report = Report([*REPORT.rows, *by], {}, ("Labels by 4 teachers, T 4: they saw <all>.",))
    text = read(page(made_up(), report, path=tmp_path / "report.html")).text
    for words in ("soft, ConvNet-3, T 4, n = 5", "distilled, soft labels, 4 teachers, T 4", "they saw <all>."):
        assert words in text
    (block,) = report.blocks
    chart = str(accuracy_chart(block, axis(report.rows)))
    longest = max(re.findall(r'<text class="faint" x="([\d.]+)"[^>]*>([^<]+)<', chart), key=lambda found: len(found[1]))
    assert float(longest[0]) + 5 * len(longest[1]) < 960, "nothing sticks out at the right"


def test_what_was_measured_beside_accuracies_is_shown(tmp_path: Path) -> None:
    harmed = replace(
        REPORT.rows[0], attacked={"as they are": 90.0, "FGSM <2>": 61.2, "PGD": 50.0},
        corrupted={"as they are": 90.0, "blur": 80.1}, calibration_error=0.1234, elsewhere=True,
    )  # fmt: skip
    near = Likeness(
        set="distilled", ipc=4, sets=1, frechet=12.3, precision=0.5, recall=0.25, density=1.5, coverage=0.75, copies=0.1,
        copies_seen=0.2, pictures=12, real=500, k=5, features="ConvNet-3",
    )  # fmt: skip
    text = read(page(made_up(), Report([harmed], likeness=(near,)), path=tmp_path / "report.html")).text
    told = [
        "FGSM <2>",
        "61.2",
        "blur",
        "80.1",
        "12.3",
        "0.75",
        "k = 5",
        "RR",
        "14.0",
        "0.123",
        "best is 0",
        "† teachers trained",
    ]
    for words in ("Beyond accuracy", *told):
        assert words in text
    assert f"† {harmed.mean:.1f}" in text
    assert "Beyond accuracy" not in read(page(made_up(), REPORT, path=tmp_path / "report.html")).text


def test_axis_stays_within_percentages() -> None:
    assert axis([row("distilled", "hard", 1.0, 3.0)])[0] == 0
    assert axis([row("distilled", "hard", 99.9, 3.0)])[-1] == 100
    assert len(axis([row("distilled", "hard", 50.0, 0.0)])) >= 2


def test_shares_add_up() -> None:
    parts = shares({f"stage {i}": float(i) for i in range(10)})
    assert len(parts) == 6
    assert parts[0][0] == "stage 9"
    assert parts[-1][:2] == ("other", 1 + 2 + 3 + 4)
    assert math.isclose(sum(share for _, _, share in parts), 1)
