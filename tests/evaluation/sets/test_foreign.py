"""Sets that others made are read as they are, with their classes where they belong."""

from __future__ import annotations

import math
from dataclasses import replace

import datasets
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image

from gendistill.distilled import Distilled
from gendistill.evaluation import rows as lines
from gendistill.evaluation.evaluate import evaluate
from gendistill.evaluation.protocols import Protocol
from gendistill.evaluation.ranking.rank import rank
from gendistill.evaluation.sets.foreign import aligned, exported, read
from gendistill.evaluation.sets.opened import open_sets, values
from gendistill.exporting.export import export, imagefolder
from gendistill.images import StoredImages
from gendistill.labelers.alternate import AlternatingLabels, Phases
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.hard import Hard
from gendistill.labelers.relabel import StaticLabels
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.recipe import Recipe
from gendistill.running.distill import distill
from gendistill.running.drawn import DrawnImages
from gendistill.steering.sample import Sample
from gendistill.toys import Toy, ToyData
from gendistill.types import Class, UserError

REAL = ToyData().open()
PROTOCOL = Protocol(name="tiny", student=ConvNet(depth=2, width=8), training=Training(epochs=1, batch=8), students=1,
                    full=Training(epochs=1, batch=8))  # fmt: skip


@pytest.fixture
def images():
    return REAL.train.stored(range(0, 36, 6)), REAL.train.labels[::6]


def test_of_several_splits_in_a_folder_the_training_pictures_are_the_set(tmp_path):
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=[c.name for c in REAL.classes])
    )
    for name, count in (("train", 3), ("test", 6)):
        pictures = [Image.fromarray(one[0].numpy()) for one in REAL.train.stored(range(count))]
        rows = {"image": pictures, "label": [index % 3 for index in range(count)]}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"{name}-00000.parquet")
    assert len(read(str(tmp_path), REAL).images) == 3


def pictures_in(folder, count=3, side=8, mode="L"):
    """A folder of folders with a picture each of the first classes."""
    for index in range(count):
        place = folder / f"class {index}"
        place.mkdir(parents=True)
        one = Image.fromarray(REAL.train.stored([12 * index])[0, 0].numpy()).resize((side, side))
        one.convert(mode).save(place / "0.png")
    return str(folder)


@pytest.mark.parametrize(("form", "said"), [({"side": 16}, "1x16x16"), ({"mode": "RGB"}, "3x8x8")])
def test_pictures_that_are_brought_to_the_shape_of_the_real_ones_are_told(form, said, tmp_path, caplog):
    read(pictures_in(tmp_path / "as they are"), REAL)
    assert "brought from" not in caplog.text
    assert read(pictures_in(tmp_path / "others", **form), REAL).images.shape == (1, 8, 8)
    assert f"brought from {said} " in caplog.text and "to 1x8x8" in caplog.text


def of_counts(*counts):
    """So many real pictures of each class."""
    positions = torch.tensor([12 * index + slot for index, count in enumerate(counts) for slot in range(count)])
    return Distilled.of(StoredImages(REAL.classes, REAL.train.labels[positions], REAL.train.stored(positions)))


def test_a_class_that_is_missing_is_named(tmp_path):
    with pytest.raises(UserError, match="has 2 classes with pictures, the real data 3; no picture of: class 2:"):
        read(pictures_in(tmp_path / "set", 2), REAL)
    made = of_counts(1, 0, 2)
    torch.save((made.images.stored(range(3)), made.labels), tmp_path / "set.pt")
    with pytest.raises(UserError, match="no picture of: class 1:"):
        read(str(tmp_path / "set.pt"), REAL)


def test_what_a_set_of_unequal_classes_is_compared_with_is_told(caplog):
    aligned(of_counts(2, 2, 2), REAL, "set")
    assert not caplog.text
    assert aligned(of_counts(3, 1, 2), REAL, "set").ipc == 3
    assert (
        "set has 1 to 3 pictures a class, 6 in all" in caplog.text
        and "3 pictures in every class, 9 in all" in caplog.text
    )


def shuffled(soft=None):
    """The real pictures with their classes in another order."""
    names = [Class(f"class {i}") for i in (2, 0, 1)]
    stored = REAL.train.stored(range(0, 36, 6))
    labels = torch.tensor([1, 2, 0])[REAL.train.labels[::6]]
    made = Distilled.of(StoredImages(names, labels, stored))
    return Distilled(made.images, StaticLabels.of(soft, 20.0), made.ids, made.weight) if soft is not None else made


@pytest.mark.parametrize("write", [export, imagefolder])
def test_classes_are_told_by_name(write, tmp_path):
    write(shuffled(), tmp_path / "set")
    made = read(str(tmp_path / "set"), REAL)
    assert made.classes == REAL.classes
    by_picture = {
        bytes(one.flatten().tolist()): int(label)
        for one, label in zip(REAL.train.stored(range(36)), REAL.train.labels, strict=True)
    }
    for position, label in enumerate(made.labels.tolist()):
        assert by_picture[bytes(made.images.stored([position])[0].flatten().tolist())] == label


def test_soft_labels_of_an_export_come_along_in_the_right_columns(tmp_path):
    soft = torch.tensor([[0.7, 0.2, 0.1]]).log().repeat(6, 1)
    export(shuffled(soft), tmp_path / "set")
    found = read(str(tmp_path / "set"), REAL).soft
    torch.testing.assert_close(found.at(torch.tensor([0])).exp(), torch.tensor([[0.2, 0.1, 0.7]]))
    assert found.temperature == 20.0


def test_classes_of_an_export_are_known_by_their_wordnet_ids(tmp_path):
    """By which real data know them whatever they call them; the names alone would say that these are others."""
    names = [Class("tench", "n01440764"), Class("goldfish", "n01443537"), Class("crane", "n02012849")]
    made = Distilled.of(StoredImages(names, REAL.train.labels, REAL.train.stored(range(36))))
    other = [replace(one, name=f"{one.name}, a word more") for one in reversed(names)]
    real = replace(REAL, train=StoredImages(other, REAL.train.labels, REAL.train.stored(range(36))))
    found = read(str(export(made, tmp_path / "set")), real)
    assert found.classes == tuple(other) and torch.equal(found.labels, 2 - made.labels)


def test_weights_ids_and_prompts_of_an_export_count(tmp_path):
    made = shuffled()
    weighed = replace(made, weight=torch.linspace(0.5, 1.5, 6), prompts=tuple("abcdef"))
    export(weighed, tmp_path / "set")
    again = read(str(tmp_path / "set"), REAL)
    rows = torch.cat([weighed.images.where(index) for index in range(3)])  # by class, in the set's own order
    assert torch.equal(again.weight, weighed.weight[rows])
    assert again.prompts == tuple("abcdef"[row] for row in rows.tolist())
    assert torch.equal(again.ids[:, 0], again.labels) and torch.equal(again.ids[:, 1:], weighed.ids[rows, 1:])


def rewritten(folder, change):
    """An export whose rows somebody changed."""
    (file,) = folder.glob("data/*.parquet")
    parquet.write_table(change(parquet.read_table(file)), file)
    return str(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.drop_columns("position"), "no column 'position'"),
        (lambda table: table.drop_columns("weight"), "no column 'weight'"),
        (lambda table: table.take([1, 2, 3, 4, 5]), "positions are not 0 to 4"),
    ],
    ids=["position", "weight", "a row"],
)
def test_an_export_that_lost_what_its_labels_follow_from_is_refused(change, says, tmp_path):
    made = of_counts(2, 2, 2)
    coded = replace(made, soft=StaticLabels.of(torch.eye(3)[made.labels].log_softmax(1), 1.0, Half()))
    folder = export(coded, tmp_path / "set")
    assert read(str(folder), REAL).soft.kind == "soft"
    with pytest.raises(UserError, match=says):
        read(rewritten(folder, change), REAL)


def test_a_list_of_others_that_is_called_as_our_labels_is_passed_over(tmp_path):
    folder = export(of_counts(2, 2, 2), tmp_path / "set")
    (folder / "labels.json").write_text('["class 0", "class 1", "class 2"]')
    assert read(str(folder), REAL).soft.kind == "hard"
    (folder / "labels.json").write_text("class 0")
    with pytest.raises(UserError, match="labels.json is no JSON"):
        read(str(folder), REAL)


@pytest.mark.parametrize(
    "column", [[0.0] * 6, [[0.0, 0.0]] * 6, [["a", "b", "c"]] * 6], ids=["flat", "narrow", "words"]
)
def test_a_column_of_others_that_is_called_as_our_labels_is_refused(column, tmp_path):
    folder = export(of_counts(2, 2, 2), tmp_path / "set")
    with pytest.raises(UserError, match="no log-probabilities"):
        read(rewritten(folder, lambda table: table.append_column("log_probs", [column])), REAL)


def test_labels_that_are_none_or_went_astray_are_refused_before_a_student_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "train", lambda *a, **k: pytest.fail("a student was trained"))
    made, right = of_counts(12, 12, 12), torch.eye(3)[REAL.train.labels].mul(3).log_softmax(1)
    folder = export(replace(made, soft=StaticLabels.of(right, 1.0)), tmp_path / "set")

    def turned(table):
        others = table["log_probs"].take([(row + 12) % 36 for row in range(36)])
        return table.set_column(table.column_names.index("log_probs"), "log_probs", others)

    with pytest.raises(UserError, match="labels of the set are in another order than its pictures"):
        evaluate(rewritten(folder, turned), PROTOCOL, real=ToyData())
    for given in (folder, open_sets(folder, real=ToyData())):
        with pytest.raises(UserError, match="in another order than its pictures"):
            rank(given, PROTOCOL, real=ToyData())
    with pytest.raises(pytest.fail.Exception, match="a student was trained"):
        evaluate(folder, replace(PROTOCOL, labelers=(Hard(),)), real=ToyData())
    with pytest.raises(UserError, match="no probabilities"):
        evaluate(replace(made, soft=StaticLabels.of(right.fill_(math.nan), 1.0)), PROTOCOL, real=ToyData())


def test_labels_that_say_nothing_of_the_pictures_are_told_in_the_report():
    blind = StaticLabels.of(torch.tensor([3.0, 0.0, 0.0]).log_softmax(0).expand(36, 3), 1.0)
    made = replace(of_counts(12, 12, 12), soft=blind)
    said = [evaluate(made, replace(PROTOCOL, labelers=them), real=ToyData()).notes for them in ((), (Hard(),))]
    assert [any("no better than guesses" in note for note in notes) for notes in said] == [True, False]


@pytest.mark.parametrize("given", ["", " ", []])
def test_what_names_no_set_is_refused(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures_in(tmp_path)  # which nobody meant
    with pytest.raises(UserError, match="no set"):
        evaluate(given, PROTOCOL, real=ToyData())


@pytest.mark.parametrize("given", [None, 7, ["set"]])
def test_what_is_no_set_is_refused(given):
    with pytest.raises(UserError, match=r"is no distilled set: give what distill\(\) or load\(\) returns"):
        values(given)


def test_a_generator_with_its_classes_in_another_order_is_drawn_anew(tmp_path):
    made, order = shuffled(), torch.tensor([2, 0, 1])
    sets = [made.images, StoredImages(made.classes, made.labels, 255 - made.images.stored(range(6)))]
    (tmp_path / "weights").write_bytes(bytes(11))
    generator = replace(made, images=DrawnImages(sets[0], 2, tmp_path, sets.__getitem__))
    found = aligned(generator, REAL, "set").images
    assert (found.distinct, found.bytes, len(found)) == (2, 11, 6)
    for epoch in range(3):
        now = found.at_epoch(epoch)
        assert torch.equal(now.labels, order[made.labels]) and now.classes == REAL.classes
        assert torch.equal(now.stored(range(6)), sets[epoch % 2].stored(range(6)))


def test_labels_that_take_turns_and_exact_ones_are_renumbered_as_what_they_are(tmp_path):
    made, order = shuffled(torch.tensor([[0.7, 0.2, 0.1]]).log().repeat(6, 1)), torch.tensor([2, 0, 1])
    taking = replace(made, soft=AlternatingLabels(made.soft, made.images, Phases(smoothing=0.3)))
    found = aligned(taking, REAL, "set")
    torch.testing.assert_close(found.soft.at(torch.tensor([0])).exp(), torch.tensor([[0.2, 0.1, 0.7]]))
    assert torch.equal(found.soft.at(torch.arange(6), -1).argmax(1), order[made.labels])
    plain = exported(export(aligned(made, REAL, "set"), tmp_path / "set"))
    torch.testing.assert_close(plain.soft.at(torch.tensor([0])).exp(), torch.tensor([[0.2, 0.1, 0.7]]))
    kept = replace(made, soft=StaticLabels.of(made.soft.log_probs, 20.0, Half()))
    with pytest.raises(UserError, match="renumbered"):
        export(aligned(kept, REAL, "set"), tmp_path / "other")


def test_a_single_parquet_file(tmp_path):
    from gendistill.pictures import png

    rows = {"image": [{"bytes": png(one), "path": None} for one in REAL.train.stored([0, 12, 24])], "label": [0, 1, 2]}
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[c.name for c in REAL.classes])}
    )
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "set.parquet")
    assert len(read(str(tmp_path / "set.parquet"), REAL).images) == 3


@pytest.mark.parametrize(("path", "real"), [("nothing/here", None), ("nothing.pt", ToyData())])
def test_what_is_not_there_is_said(path, real):
    with pytest.raises(UserError, match=f"{path} is not there"):
        evaluate(path, PROTOCOL, real=real)


def test_other_classes_are_refused(tmp_path):
    names = [Class("class 0"), Class("class 1"), Class("giraffe")]
    export(
        Distilled.of(StoredImages(names, REAL.train.labels[::6], REAL.train.stored(range(0, 36, 6)))), tmp_path / "set"
    )
    with pytest.raises(UserError, match="giraffe"):
        read(str(tmp_path / "set"), REAL)


def test_a_foreign_set_stands_beside_real_pictures(images, tmp_path):
    torch.save(images, tmp_path / "set.pt")
    report = evaluate(str(tmp_path / "set.pt"), PROTOCOL, real=ToyData())
    assert [row.set for row in report.rows] == ["distilled", "random_real", "full_real"]


def test_without_real_data_a_foreign_set_cannot_be_judged(images, tmp_path):
    torch.save(images, tmp_path / "set.pt")
    with pytest.raises(UserError, match="--real"):
        evaluate(str(tmp_path / "set.pt"), PROTOCOL)


def test_our_own_set_is_judged_by_its_own_recipe(tmp_path):
    distill(Recipe(real=ToyData(), prior=Toy(), steering=(Sample(steps=2),), ipc=1, block=1), tmp_path / "set")
    with pytest.raises(
        UserError, match="--real"
    ):  # the toy parts are no parts of the package, so text cannot make them
        evaluate(str(tmp_path / "set"), PROTOCOL)
    rows = evaluate(str(tmp_path / "set"), PROTOCOL, real=ToyData()).rows
    assert rows[0].set == "distilled" and rows[0].ipc == 1
