"""An exported folder is read by others: by `datasets`, by timm, by people, without this package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Image, load_dataset
from datasets.features import ClassLabel, List
from PIL.Image import open as open_picture
from safetensors.torch import load_file

import gendistill
from gendistill.distilled import Distilled
from gendistill.evaluation.report import Report, Row
from gendistill.evaluation.sets.foreign import exported
from gendistill.exporting.export import class_places, export, imagefolder, to_dataset
from gendistill.exporting.parquet import unique_names, write_parquet
from gendistill.images import StoredImages
from gendistill.labelers.alternate import AlternatingLabels, Phases
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half, Single
from gendistill.labelers.codecs.top_k import TopK
from gendistill.labelers.hard import HardLabels
from gendistill.labelers.online import OnlineLabels
from gendistill.labelers.relabel import StaticLabels
from gendistill.labelers.relabel_views import ViewLabels
from gendistill.learning.label_losses import AlignedDivergence, CosineDistance, Divergence
from gendistill.running.drawn import DrawnImages
from gendistill.system.store import write_tensors
from gendistill.types import Class, UserError
from gendistill.views.numbered import Views

ORIGIN = {
    "real": {"name": "made-up pictures", "licence": "cc0-1.0"},
    "prior": {"name": "none"},
    "teachers": [{"name": "ConvNet-3", "saw": "the training split"}],
    "versions": {"torch": "2"},
    "command": "gendistill run demo --out runs/demo",
}


def made_up(shape=(3, 16, 16), classes=3, ipc=4, kind="soft", recipe=None) -> Distilled:
    """What `export` looks at of a distilled set: random pictures, classes interleaved."""
    dice = torch.Generator().manual_seed(0)
    labels = torch.arange(classes).repeat(ipc)
    stored = torch.randint(0, 256, (len(labels), *shape), dtype=torch.uint8, generator=dice)
    slots = torch.arange(ipc).repeat_interleave(classes)
    names = [Class("crane", "n02012849"), Class("tench", "n01440764"), Class("crane", "n03126707")]
    names += [Class(f"class {i}") for i in range(3, classes)]
    log_probs = (4 * torch.randn(len(labels), classes, generator=dice)).log_softmax(-1)
    images = StoredImages(names[:classes], labels, stored)
    return Distilled(
        images=images,
        soft=StaticLabels.of(log_probs, 20.0) if kind == "soft" else HardLabels(labels, classes),
        ids=torch.stack([labels, slots, torch.zeros_like(slots)], 1),
        weight=torch.linspace(0.5, 1, len(labels)),
        recipe=recipe,
    )


def in_a_process(code: str, folder: Path) -> str:
    """Run code in a folder, in a Python that cannot import gendistill."""
    blocked = "import sys; sys.modules['gendistill'] = None\n"
    environment = {
        **os.environ,
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", blocked + code], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def load(folder: Path, cache: Path):
    """The exported set as `datasets` reads it."""
    return load_dataset(str(folder), split="train", cache_dir=str(cache))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_pixel_and_label_comes_back(channels: int, tmp_path: Path) -> None:
    made = made_up((channels, 9, 16), recipe=SimpleNamespace(seed=7, source="https://example.org/paper"))
    read = load(export(made, tmp_path / "set", provenance=ORIGIN), tmp_path / "cache")
    assert isinstance(read.features["image"], Image)
    assert isinstance(read.features["label"], ClassLabel)
    assert read.features["label"].names == ["crane (n02012849)", "tench", "crane (n03126707)"]
    assert read.features["log_probs"] == List(read.features["log_probs"].feature, length=3)
    order = torch.cat([made.images.where(index) for index in range(3)])
    for row, position in zip(read, order.tolist(), strict=True):
        array = np.array(row["image"]).reshape(9, 16, channels).transpose(2, 0, 1)
        assert np.array_equal(array, made.images.stored([position])[0].numpy())
        assert row["label"] == made.images.labels[position]
        assert row["class_id"] == made.classes[row["label"]].wnid
        assert row["rank"] == made.ids[position, 1]
        assert row["id"] == "-".join(f"{part:05d}" for part in made.ids[position].tolist())
        assert row["seed"] == 7
        assert row["weight"] == made.weight[position]
        assert row["log_probs"] == made.soft.log_probs[position].tolist()
    small = read.filter(lambda rank: rank < 1, input_columns="rank")
    assert small["label"][:] == [0, 1, 2]


def test_in_memory_and_on_disk_are_the_same(tmp_path: Path) -> None:
    made = made_up((1, 8, 8), recipe="Recipe(real=<a loaded object>)")
    memory, disk = to_dataset(made), load(export(made, tmp_path / "set"), tmp_path / "cache")
    assert memory.features == disk.features
    assert memory[:] == disk[:]
    assert "Recipe(real=<a loaded object>)" in (tmp_path / "set" / "README.md").read_text()


def test_other_channels_are_arrays_and_hard_sets_have_no_soft_column(tmp_path: Path) -> None:
    made = made_up((2, 4, 6), kind="hard")
    read = load(export(made, tmp_path / "set"), tmp_path / "cache")
    assert "log_probs" not in read.features
    assert set(read["seed"][:]) == {None}
    arrays = read.with_format("torch")["image"][:]
    order = torch.cat([made.images.where(index) for index in range(3)])
    assert torch.equal(arrays, made.images.stored(order))


def test_loads_where_gendistill_cannot_be_imported(tmp_path: Path) -> None:
    made = made_up()
    export(made, tmp_path / "dataset")
    said = in_a_process(
        "import json, numpy as np; from datasets import load_dataset\n"
        "read = load_dataset('dataset', split='train')\n"
        "print(json.dumps([read.features['label'].names, [np.array(i).tolist() for i in read['image']]]))",
        tmp_path,
    )
    names, pixels = json.loads(said.splitlines()[-1])
    assert names == unique_names(made.classes)
    order = torch.cat([made.images.where(index) for index in range(3)])
    assert torch.equal(torch.tensor(pixels).permute(0, 3, 1, 2), made.images.stored(order).long())


def test_same_set_same_bytes_and_nothing_left_over(tmp_path: Path) -> None:
    first = export(made_up(), tmp_path / "a", provenance=ORIGIN)
    second = export(made_up(), tmp_path / "b", provenance=ORIGIN)
    again = export(made_up(), tmp_path / "a", provenance=ORIGIN)  # replaces what an export wrote
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert [str(file) for file in files] == [
        ".gendistill",
        "README.md",
        "data/train-00000-of-00001.parquet",
        "preview.png",
    ]
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes() == (again / file).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_row_groups_hold_one_class_and_files_roll_over(tmp_path: Path) -> None:
    made = made_up(ipc=5)
    written = write_parquet(made, tmp_path / "data", file_bytes=1)
    files = sorted((tmp_path / "data").iterdir())
    assert [file.name for file in files] == [f"train-{i:05d}-of-00003.parquet" for i in range(3)]
    assert [pq.read_table(file)["label"].unique().to_pylist() for file in files] == [[0], [1], [2]]
    assert (written.rows, written.files) == (15, 3)
    assert 0 < sum(written.columns.values()) < written.disk == sum(file.stat().st_size for file in files)


def test_never_more_than_one_class_is_asked_for(tmp_path: Path) -> None:
    made = made_up(ipc=5)
    asked = []
    stored = made.images.stored
    made.images.stored = lambda positions: asked.append(positions) or stored(positions)
    write_parquet(made, tmp_path / "data")
    assert all(len(made.images.labels[torch.as_tensor(p)].unique()) == 1 for p in asked)
    assert sum(len(p) for p in asked) == 15


def test_foreign_folders_empty_sets_and_wrong_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="mine.png"):
        export(made_up(), tmp_path / "photos")
    with pytest.raises(UserError, match="empty"):
        export(made_up(ipc=0), tmp_path / "empty")
    with pytest.raises(UserError, match="empty"):
        made_up(ipc=0).hf()
    logits = made_up()
    logits.soft.log_probs += 1
    with pytest.raises(ValueError, match="4 of 4 pictures do not sum to 1"):
        export(logits, tmp_path / "logits")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]  # nothing half-written


@pytest.mark.parametrize(("write", "names"), [(export, ("README.md", "data")), (imagefolder, ("train",))])
def test_names_do_not_say_who_wrote_a_folder(write, names, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / "mine" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="give an empty or a new folder"):
        write(made_up(), tmp_path / "mine")
    assert sorted(item.name for item in (tmp_path / "mine").iterdir()) == sorted(names)


def test_hidden_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "set" / ".git").mkdir(parents=True)
    (tmp_path / "set" / ".git" / "HEAD").write_text("mine")
    for _ in range(2):
        export(made_up(), tmp_path / "set")
        assert (tmp_path / "set" / ".git" / "HEAD").read_text() == "mine"
    assert [item.name for item in tmp_path.iterdir()] == ["set"]
    with pytest.raises(UserError, match="no earlier imagefolder wrote"):
        imagefolder(made_up(), tmp_path / "set")


def test_an_export_that_was_killed_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    export(made_up(), tmp_path / "set")
    (tmp_path / "set" / ".git").mkdir()
    (tmp_path / "set").rename(tmp_path / ".set.old.part")  # between the renames
    with pytest.raises(UserError, match="2 channels"):
        imagefolder(made_up((2, 4, 4)), tmp_path / "set")
    export(made_up(), tmp_path / "set")
    assert (tmp_path / "set" / ".git").is_dir() and [item.name for item in tmp_path.iterdir()] == ["set"]
    replace_, calls = os.replace, []

    def fails(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError("the second rename")
        replace_(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="second"):
        export(made_up(), tmp_path / "set")
    assert (tmp_path / "set" / "README.md").is_file() and [item.name for item in tmp_path.iterdir()] == ["set"]


def test_a_link_stays_one_and_where_the_user_is_stays(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for _ in range(2):
        export(made_up(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "README.md").is_file()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["link", "there"]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for write in (export, imagefolder):
        with pytest.raises(UserError, match="where you are"):
            write(made_up(), ".")


def test_names_are_what_every_disk_takes() -> None:
    assert class_places(["a/b", "..", "é" * 300]) == ["a_b", "_", "é" * 100]
    assert class_places(["crane", "Crane"]) == ["00000_crane", "00001_Crane"]
    assert len(set(class_places(["n" * 300 + "a", "n" * 300 + "b"]))) == 2


def test_names_with_bars_and_lines_stay_in_their_cell(tmp_path: Path) -> None:
    origin = {"real": {"name": "a|b\nc"}, "prior": {"name": "none"}}
    text = (export(made_up(), tmp_path / "set", provenance=origin) / "README.md").read_text()
    assert "| real data | a\\|b c |" in text


def with_labels_of_views(folder: Path) -> Distilled:
    """The made-up set with labels of three views, in two files."""
    made, dice = made_up(), torch.Generator().manual_seed(1)
    log_probs = torch.randn(3, 12, 3, generator=dice).log_softmax(-1).half()
    shards = [folder / f"views-{number:05d}.safetensors" for number in range(2)]
    for shard, part in zip(shards, log_probs.split(2), strict=True):
        write_tensors(shard, {"log_probs": part})
    return replace(made, soft=ViewLabels(shards, Views(seed=5), 3, 20.0, Half()))


def test_labels_of_views_are_replayed_from_an_export(tmp_path: Path) -> None:
    made = with_labels_of_views(tmp_path / "labels")
    folder = export(made, tmp_path / "dataset")
    read, again = load(folder, tmp_path / "cache"), exported(folder)
    assert "log_probs" not in read.features, "a row would pair them with pictures they do not describe"
    assert sorted(read["position"]) == list(range(12)) != read["position"][:], "rows go class by class, views do not"
    positions = torch.tensor([7, 0, 11])
    assert (again.soft.temperature, again.soft.views, again.soft.bytes) == (20.0, Views(seed=5), 3 * 12 * 3 * 2)
    for view in range(3):
        assert torch.equal(again.soft.at(positions, view), made.soft.at(positions, view))
        both = [one.torch(view)[5][0] for one in (made, again)]
        assert torch.equal(*both), "a view of the set that was read is a view of the set that was written"
    card = (folder / "README.md").read_text()
    assert "Soft labels of views" in card and "216 B" in card and "seed=5" in card and "hard ones." in card
    (folder / "preview.png").unlink()
    export(made, folder)  # replaces what an export wrote, labels included


CODED = (Half(), EightBit(), TopK(2), TopK(1, EightBit(), spread=True))
TAKING_TURNS = Phases((1.0, 1.0), smoothing=0.3)


def of_pictures(kind: str, codec) -> Distilled:
    """The made-up set with labels of its pictures in few bits, which may take turns with the classes."""
    made = made_up()
    soft = StaticLabels.of(made.soft.log_probs, 20.0, codec)
    return replace(made, soft=AlternatingLabels(soft, made.images, TAKING_TURNS) if kind == "alternating" else soft)


@pytest.mark.parametrize("codec", CODED, ids=repr)
@pytest.mark.parametrize("kind", ["static", "alternating"])
def test_labels_of_few_bits_are_exported_as_they_are_kept(kind: str, codec, tmp_path: Path) -> None:
    made = of_pictures(kind, codec)
    folder = export(made, tmp_path / "dataset")
    again = exported(folder)
    written = load_file(folder / "labels.safetensors")
    assert sum(rows.nbytes for rows in written.values()) == made.soft.bytes == again.soft.bytes
    assert (again.soft.fingerprint, again.soft.temperature) == (made.soft.fingerprint, 20.0)
    for view in (0, -1) if kind == "alternating" else (0,):
        assert torch.equal(again.soft.at(torch.arange(12), view), made.soft.at(torch.arange(12), view))
    card = (folder / "README.md").read_text()
    assert "log_probs" not in load(folder, tmp_path / "cache").features
    assert f"Soft labels are {made.soft.bytes} B in all" in card and f"| codec | `{codec}` |" in card
    assert ("They take turns" in card) == (kind == "alternating")


def test_exact_labels_that_take_turns_are_no_column(tmp_path: Path) -> None:
    """A column is one vector for all epochs: the phases would be lost."""
    made = of_pictures("alternating", Single())
    again = exported(export(made, tmp_path / "dataset"))
    seen = [again.soft.view(epoch, 4) for epoch in range(4)]
    assert again.soft.phases == TAKING_TURNS and seen == [made.soft.view(epoch, 4) for epoch in range(4)]
    for view in seen:
        assert torch.equal(again.torch(view=view)[7][1], made.torch(view=view)[7][1])
    hard = torch.full((3,), 0.1).index_fill(0, made.labels[[7]], 0.8)
    torch.testing.assert_close(again.torch(view=-1)[7][1].exp(), hard)


def bringing(kind: str, folder: Path) -> Distilled:
    """The made-up set with labels in files that are learned by a loss of their own, as GIFT, LPQLD and HALD have them."""
    made = made_up()
    if kind == "GIFT":
        return replace(made, soft=StaticLabels.of(made.soft.log_probs, 20.0, Half(), CosineDistance(refine=0.3)))
    if kind == "LPQLD":
        of_views = with_labels_of_views(folder)
        of_views.soft.loss = AlignedDivergence(choices=7)
        return of_views
    if kind == "HALD":
        soft = StaticLabels.of(made.soft.log_probs, 20.0, loss=Divergence(squared=False))
        return replace(made, soft=AlternatingLabels(soft, made.images, TAKING_TURNS))
    return replace(made, soft=StaticLabels.of(made.soft.log_probs, 20.0, EightBit()))


HARD = (Divergence(), 1.0)
LEARNED_BY = {
    "none": [(Divergence(), 20.0)] * 4,
    "GIFT": [(CosineDistance(refine=0.3), 20.0)] * 4,
    "LPQLD": [(AlignedDivergence(choices=7), 20.0)] * 4,
    "HALD": [(Divergence(squared=False), 20.0)] * 2 + [HARD] * 2,
}


@pytest.mark.parametrize("kind", LEARNED_BY)
def test_the_snippet_for_labels_in_files_learns_by_the_loss_that_is_theirs(kind: str, tmp_path, monkeypatch) -> None:
    """Run as it is printed, in the folder beside `dataset`: every epoch asks for the loss and the temperature of a student."""
    card = (export(bringing(kind, tmp_path / "labels"), tmp_path / "dataset") / "README.md").read_text()
    (snippet,) = (code for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if "gendistill.load" in code)
    asked = []
    for one in {type(loss) for loss, _ in LEARNED_BY[kind]}:

        def watched(self, logits, log_probs, labels, temperature, call=one.__call__):
            asked.append((self, temperature))
            return call(self, logits, log_probs, labels, temperature)

        monkeypatch.setattr(one, "__call__", watched)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(snippet, found)
    assert asked == LEARNED_BY[kind]
    assert torch.isfinite(found["loss"]) and sorted(found["labels"].tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    torch.testing.assert_close(found["loss"], (found["weight"] * found["each"]).sum() / found["dataset"].weight.sum())


def test_weights_ids_and_prompts_come_back(tmp_path: Path) -> None:
    prompts = tuple(f"picture {number}" for number in range(12))
    plain = replace(made_up(), prompts=prompts)
    plain = replace(plain, ids=plain.ids + torch.tensor([0, 5, 2]))
    order = torch.cat([plain.images.where(index) for index in range(3)])  # as rows are
    for soft, wanted in ((plain.soft, order), (StaticLabels.of(plain.soft.log_probs, 1.0, Half()), torch.arange(12))):
        again = exported(export(replace(plain, soft=soft), tmp_path / "dataset"))
        assert torch.equal(again.weight, plain.weight[wanted]) and torch.equal(again.ids, plain.ids[wanted])
        assert again.prompts == tuple(prompts[position] for position in wanted.tolist())
        assert torch.equal(again.images.stored(range(12)), plain.images.stored(wanted))


@pytest.mark.parametrize("kind", ["hard", "soft", "views"])
def test_what_was_exported_is_loaded(kind: str, tmp_path: Path) -> None:
    """As a set of its own, without the real data it was made from: classes, pictures, labels, weights, ids and prompts."""
    made = with_labels_of_views(tmp_path / "labels") if kind == "views" else made_up(kind=kind)
    made = replace(made, prompts=tuple(f"picture {number}" for number in range(12)))
    order = torch.arange(12) if kind == "views" else torch.cat([made.images.where(index) for index in range(3)])
    again = gendistill.load(export(made, tmp_path / "dataset"))
    assert again.classes == made.classes and [c.wnid for c in again.classes] == [c.wnid for c in made.classes]
    assert torch.equal(again.images.stored(range(12)), made.images.stored(order))
    for name in ("labels", "ids", "weight"):
        assert torch.equal(getattr(again, name), getattr(made, name)[order])
    assert again.prompts == tuple(made.prompts[position] for position in order.tolist())
    assert (again.soft.kind, again.soft.temperature) == (made.soft.kind, made.soft.temperature)
    assert torch.equal(again.soft.at(torch.arange(12), 2), made.soft.at(order, 2))
    with pytest.raises(UserError, match="no run of gendistill in .*hf download"):
        gendistill.load(tmp_path)


def test_classes_that_are_told_apart_by_number_keep_their_names(tmp_path: Path) -> None:
    made, classes = made_up(), (Class("crane"), Class("crane (bird)", "n02012849"), Class("crane"))
    images = StoredImages(classes, made.labels, made.images.stored(range(12)))
    assert gendistill.load(export(replace(made, images=images), tmp_path / "dataset")).classes == classes


def test_columns_of_others_mean_what_they_like(tmp_path: Path) -> None:
    file = export(made_up(), tmp_path / "dataset") / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    told = {key: value for key, value in table.schema.metadata.items() if key != b"gendistill"}
    pq.write_table(table.drop_columns("id").replace_schema_metadata(told), file)
    assert bool((exported(tmp_path / "dataset").weight == 1).all())


def test_a_generator_comes_back_as_what_it_drew_first_and_says_so(tmp_path: Path, caplog) -> None:
    made, prior = made_up(), tmp_path / "prior"
    prior.mkdir()
    (prior / "weights").write_bytes(bytes(9))
    drawn = replace(made, images=DrawnImages(made.images, 5, prior, lambda number: made.images))
    folder = export(drawn, tmp_path / "dataset")
    again = exported(folder)
    assert again.images.distinct == 1 and "generator, which is not read" in caplog.text


def test_labels_of_views_of_other_pictures_are_refused(tmp_path: Path) -> None:
    folder = export(with_labels_of_views(tmp_path / "labels"), tmp_path / "dataset")
    told = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**told, "pictures": "0123456789abcdef"}))
    with pytest.raises(UserError, match="other pictures"):
        exported(folder)
    with pytest.raises(UserError, match="no exported set"):
        exported(tmp_path)


def test_labels_by_teachers_that_are_elsewhere_are_not_pretended(tmp_path: Path) -> None:
    soft = OnlineLabels(made_up().images, Views(), 20.0, lambda: pytest.fail("a teacher was asked"))
    soft.bytes = 7
    folder = export(replace(made_up(), soft=soft), tmp_path / "dataset")
    assert "log_probs" not in load(folder, tmp_path / "cache").features
    assert "teachers give while a student learns" in (folder / "README.md").read_text()
    assert exported(folder).soft.kind == "hard"


def test_image_folder_view(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    made = made_up()
    folder = imagefolder(made, tmp_path / "images")
    read = ImageFolder(str(folder / "train"))
    assert read.classes == ["n01440764", "n02012849", "n03126707"]
    assert (folder / "classes.txt").read_text().split() == ["n02012849", "n01440764", "n03126707"]
    picture, label = read[0]
    position = int(made.images.where(1)[0])
    assert label == 0
    assert np.array_equal(np.array(picture).transpose(2, 0, 1), made.images.stored([position])[0].numpy())
    with pytest.raises(UserError, match="2 channels"):
        imagefolder(made_up((2, 4, 4)), tmp_path / "arrays")


def test_every_picture_says_what_it_was_asked_for(tmp_path: Path) -> None:
    """In its row, and in the PNG's text chunk, there and in plain files; a set without prompts says nothing."""
    prompts = tuple(f"a crane, seen from {place}" for place in ("above", "東京", *range(10)))
    settings = {"Negative prompt": "a drawing", "Steps": 50, "Seed": 7, "Steering": "(Sample(steps=50, cfg=2.0),)"}
    made = replace(made_up(), prompts=prompts, origin={"settings": settings, "versions": {"torch": "2"}})
    read = load(export(made, tmp_path / "set"), tmp_path / "cache")
    order = torch.cat([made.images.where(index) for index in range(3)]).tolist()
    assert list(read["prompt"]) == [prompts[position] for position in order]
    assert set(read["seed"][:]) == {7}
    files = imagefolder(made, tmp_path / "images") / "train" / "n01440764"
    for picture in (read[4]["image"], open_picture(files / "00001-00000-00000.png")):
        assert picture.text == {
            "parameters": "a crane, seen from 東京\nNegative prompt: a drawing\nSteps: 50, Seed: 7, "
            'Steering: "(Sample(steps=50, cfg=2.0),)", Size: 16x16, Id: 00001-00000-00000',
            "Software": "torch 2",
        }
    again = export(made, tmp_path / "again")
    parquet = "data/train-00000-of-00001.parquet"
    assert (again / parquet).read_bytes() == (tmp_path / "set" / parquet).read_bytes()
    silent = load(export(made_up(), tmp_path / "silent"), tmp_path / "cache")
    assert "prompt" not in silent.features and silent[0]["image"].text == {}


def test_the_card_states_what_is_known_and_invents_nothing(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    row = Row(set="distilled", labels="soft", student="ConvNet-3", protocol="demo", epochs=9, ipc=4, split="val",
              mean=87.6, std=0.5, n=5, bytes=12345)  # fmt: skip
    folder = export(made_up(), tmp_path / "a", report=Report([row]), provenance=ORIGIN)
    read = DatasetCard.load(folder / "README.md")
    head = read.data.to_dict()
    assert head["license"] == "other"
    assert "real data made-up pictures: cc0-1.0; prior none: not stated" in head["license_details"]
    assert head["tags"] == ["synthetic", "dataset-distillation"]
    assert head["size_categories"] == ["n<1K"]
    assert head["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
    assert head["dataset_info"]["splits"][0]["num_examples"] == 12
    for expected in ("87.6 ± 0.5 (5)", "12.3 kB", "Leakage: Not stated", "gendistill run demo", "the training split"):
        assert expected in read.text
    licensed = export(made_up(), tmp_path / "b", provenance={"licence": "CC-BY-4.0", "leakage": "None."})
    assert DatasetCard.load(licensed / "README.md").data.license == "cc-by-4.0"
    assert "Leakage: None." in (licensed / "README.md").read_text()


@pytest.mark.parametrize(("kind", "channels"), [("soft", 3), ("hard", 1)])
def test_every_snippet_of_the_card_runs(kind: str, channels: int, tmp_path: Path) -> None:
    folder = export(made_up((channels, 32, 32), kind=kind), tmp_path / "dataset", provenance=ORIGIN)
    snippets = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(snippets) == 4  # load, torch, transformers, timm
    said = in_a_process(
        "\n".join(f"exec({code!r}, {{}}); print('ran', {i})" for i, code in enumerate(snippets)), tmp_path
    )
    assert said.count("ran") == 4
