"""A set is labelled anew within its budget, by what students learn most from, and no test picture is looked at."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from gendistill.anchors.real_pictures import RealPictures
from gendistill.cli import cli
from gendistill.commands.console import execute
from gendistill.data.digits import Digits
from gendistill.evaluation.comparing.results import fingerprints_of, read
from gendistill.evaluation.evaluate import evaluate
from gendistill.evaluation.keep import merged
from gendistill.evaluation.protocols import Protocol, When
from gendistill.evaluation.report import Report
from gendistill.evaluation.sets.foreign import exported
from gendistill.evaluation.sets.prints import prints
from gendistill.exporting.export import export
from gendistill.formatting import bytes_of
from gendistill.images import split
from gendistill.labelers.alternate import Alternate, Phases
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.codecs.top_k import TopK
from gendistill.labelers.cooling import Cooling
from gendistill.labelers.hard import Hard
from gendistill.labelers.interpolate import Interpolate
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.label_losses import AlignedDivergence, CosineDistance, Divergence
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.relabeling import relabel as relabeling
from gendistill.relabeling.candidates import candidates, described, ladder, published
from gendistill.relabeling.relabel import relabel
from gendistill.running.distill import distill
from gendistill.running.load import load, set_folders
from gendistill.steering.start import Start
from gendistill.types import RealData, UserError
from gendistill.views.flip import Flip
from gendistill.views.numbered import Views
from tests.parts_under_test import TEACHER

TINY = ConvNet(depth=2, width=8)
PROTOCOL = Protocol(name="tiny", student=TINY, training=Training(epochs=4, batch=8), students=2,
                    full=Training(epochs=1))  # fmt: skip
PLAIN = repr(PROTOCOL)
ASKED = Relabel((TEACHER,), "logits", temperature=4.0)
RECIPE = Recipe(real=Digits(size=8), prior=Pixels(), steering=(Start(RealPictures()),), ipc=1, labeler=ASKED)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with two sets of ten digits, as a run leaves them."""
    folder = tmp_path_factory.mktemp("run")
    for seed in range(2):
        distill(replace(RECIPE, seed=seed), folder / "sets" / f"seed-{seed}")
    return folder


def test_the_ladder_goes_down_in_bytes():
    for classes in (2, 3, 10, 100, 1000):
        sizes = [codec.bytes(classes) for codec in ladder(classes, 4.0)]
        assert sizes == sorted(set(sizes), reverse=True) and len(sizes) <= 6
    assert ladder(100, 4.0)[2] == TopK(30, EightBit(), spread=True, temperature=4.0)


def test_candidates_use_their_budget_and_none_is_a_worse_other():
    images = Digits(size=8).open().train  # a label of a digit costs 20 bytes in half precision, 12 in 8 bits
    found = candidates(ASKED, images, len(images) * 50, most=4)
    assert found == [
        Relabel((TEACHER,), "logits", 4.0, codec=Half()),
        RelabelViews((TEACHER,), "logits", 4.0, count=2, codec=Half()),
        RelabelViews((TEACHER,), "logits", 4.0, count=4, codec=EightBit()),
    ]
    # With all views in half precision, fewer bits of as many views are not tried.
    assert [getattr(one, "count", 0) for one in candidates(ASKED, images, 10**9, most=4)] == [0, 4]


def test_a_budget_nothing_fits_is_told_what_would():
    images = Digits(size=8).open().train
    least = len(images) * ladder(10, 4.0)[-1].bytes(10)
    with pytest.raises(UserError, match=f"the smallest are {least} bytes"):
        candidates(ASKED, images, least - 1, most=4)
    assert len(candidates(ASKED, images, least, most=4)) == 2


def test_what_others_make_of_a_budget_is_tried_where_it_fits():
    images = Digits(size=8).open().train
    found = published(ASKED, images, len(images) * 30, most=4)
    assert found == [
        RelabelViews(
            (TEACHER,), "logits", 20.0, count=3, codec=TopK(3, Half()), cooling=Cooling(), loss=AlignedDivergence()
        ),
        RelabelViews((TEACHER,), "logits", 4.0, count=2, codec=EightBit(), loss=CosineDistance()),
        Alternate(RelabelViews((TEACHER,), "logits", 4.0, count=2, codec=EightBit())),
        Interpolate((TEACHER,), "logits", 4.0, codec=EightBit()),
        Hard(),
    ]
    assert len({described(one) for one in found}) == len(found)
    assert published(ASKED, images, len(images) * 10, most=4) == [replace(found[0], count=1), Hard()]
    unmixed = RelabelViews((TEACHER,), "logits", views=Views((Flip(),), mix=None))
    assert not any(isinstance(one, Interpolate) for one in published(unmixed, images, 10**6, most=4))
    assert published(replace(ASKED, loss=Divergence()), images, 10**6, most=4) == [Hard()]


def test_hard_labels_win_where_soft_ones_are_worth_less(run, tmp_path, monkeypatch):
    monkeypatch.setattr(relabeling, "score", lambda made, *rest: 60.0 if made.soft.kind == "hard" else 50.0)
    done = relabel(run, tmp_path / "new", 500, protocol=PROTOCOL)
    assert done.chosen.labeler == Hard() and done.chosen.bytes == 0 and "none, hard labels" in str(done)
    assert load(tmp_path / "new").soft.kind == "hard"


def test_labels_bring_the_loss_they_were_chosen_with(run, tmp_path, monkeypatch):
    """LPQLD wins here, and whoever reads the set, or its export, learns from it as LPQLD does."""
    best = AlignedDivergence()
    monkeypatch.setattr(relabeling, "score", lambda made, *rest: 60.0 if made.soft.loss == best else 50.0)
    done = relabel(run, tmp_path / "new", 500, protocol=PROTOCOL)
    assert done.chosen.labeler.loss == best
    made = load(tmp_path / "new")
    again = exported(export(made, tmp_path / "dataset"))
    for soft in (made.soft, again.soft):
        assert soft.loss == best and soft.cooling == Cooling() and soft.temperature == 20.0
    assert "AlignedDivergence" in (tmp_path / "dataset" / "README.md").read_text()


def test_a_run_is_labelled_anew(run, tmp_path, monkeypatch):
    opened = Digits.open

    def closed(self):
        data = opened(self)
        return RealData(
            data.name, data.train, lambda: pytest.fail("the test pictures were opened"), licence=data.licence
        )

    with monkeypatch.context() as patched:
        patched.setattr(Digits, "open", closed)
        done = relabel(run, tmp_path / "new", 500, protocol=PROTOCOL, command="gendistill relabel")
    assert len(done.tried) == 8 and all(len(one.accuracies) == 2 and one.bytes <= 500 for one in done.tried)
    assert done.chosen.mean == max(one.mean for one in done.tried)
    assert str(done).count("chosen") == 1 and "4 views, EightBit(span=40.0)" in str(done)
    told = json.loads((tmp_path / "new" / "relabel.json").read_text())
    assert told["budget"] == 500 and told["chosen"] == repr(done.chosen.labeler) and len(told["tried"]) == 8
    for seed in range(2):
        before, after = (load(folder / "sets" / f"seed-{seed}") for folder in (run, tmp_path / "new"))
        assert after.images.fingerprint == before.images.fingerprint
        assert after.label_sizes["soft labels"] == done.chosen.bytes <= 500
        assert after.recipe == replace(before.recipe, labeler=done.chosen.labeler)
        wanted = done.chosen.labeler(after.images, relabeling.opened(Digits(size=8), after, torch.device("cpu"), iter))
        torch.testing.assert_close(after.soft.at(torch.arange(10)), wanted.at(torch.arange(10)))


def test_sets_of_negative_seeds_are_their_own(run, tmp_path, monkeypatch):
    monkeypatch.setattr(relabeling, "score", lambda *rest: 50.0)
    shutil.copytree(run / "sets" / "seed-0", tmp_path / "run" / "sets" / "seed--1")
    shutil.copytree(run / "sets" / "seed-1", tmp_path / "run" / "sets" / "seed-0")
    shutil.copytree(run / "sets" / "seed-1", tmp_path / "run" / "sets" / "seed-0.bak")
    before = [load(folder).images.fingerprint for folder in set_folders(tmp_path / "run")]
    relabel(tmp_path / "run", tmp_path / "new", 500, protocol=PROTOCOL)
    for place in ("run", "new"):
        folders = set_folders(tmp_path / place)
        assert [folder.name for folder in folders] == ["seed--1", "seed-0"], "the lowest first, and no backup"
        assert [load(folder).images.fingerprint for folder in folders] == before


def test_what_is_there_is_never_written_through(tmp_path, monkeypatch):
    for name in ("ours", "theirs"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        relabeling.link(tmp_path / "ours", tmp_path / "theirs")
    assert (tmp_path / "theirs").read_text() == "theirs"

    def elsewhere(*files):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", elsewhere)
    relabeling.link(tmp_path / "ours", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "ours" and (tmp_path / "ours").stat().st_nlink == 1


def test_a_folder_of_others_is_refused_before_the_work(run, tmp_path, monkeypatch):
    monkeypatch.setattr(relabeling, "score", lambda *rest: pytest.fail("a student learned"))
    (tmp_path / "new" / "sets").mkdir(parents=True)
    with pytest.raises(UserError, match="no earlier relabel wrote .sets."):
        relabel(run, tmp_path / "new", 500, protocol=PROTOCOL)


def test_a_budget_is_a_number_of_bytes(run, tmp_path):
    for budget in (0, -5, "0 kB"):
        with pytest.raises(UserError, match="at least a byte"):
            relabel(run, tmp_path / "new", budget)


def test_pictures_that_may_hold_the_test_pictures_of_the_set_are_refused(run, tmp_path):
    with pytest.raises(UserError, match="are other pictures.*test pictures may be among them"):
        relabel(run, tmp_path / "other", 10**6, real=Digits(size=8, fold=1), protocol=PROTOCOL)
    assert not (tmp_path / "other").exists()


def test_what_comes_out_is_evaluated_and_exported(run, tmp_path):
    relabel(
        run / "sets" / "seed-1", tmp_path / "new", 130, protocol=PROTOCOL
    )  # one view in 8 bits, or the pictures' own labels
    report = evaluate(tmp_path / "new", replace(PROTOCOL, students=1))
    assert report.rows[0].set == "distilled"
    made = load(tmp_path / "new")
    again = exported(export(made, tmp_path / "dataset"))
    view = made.soft.view(0, 4)
    torch.testing.assert_close(again.soft.at(torch.arange(10), view), made.soft.at(torch.arange(10), view))


def test_the_best_by_accuracy_is_chosen_and_of_equals_the_smallest(run, tmp_path, monkeypatch):
    for worth, wanted in (({Half(): 50.0, EightBit(): 60.0}, EightBit()), ({Half(): 60.0, EightBit(): 60.0}, Half())):
        monkeypatch.setattr(relabeling, "published", lambda *given: [])
        monkeypatch.setattr(relabeling, "score", lambda made, *rest, worth=worth: worth[made.soft.codec])
        done = relabel(run, tmp_path / "new", 500, protocol=PROTOCOL)
        assert done.chosen.labeler.codec == wanted
    assert isinstance(done.chosen.labeler, Relabel), "one label a picture costs least"


def test_pictures_of_the_set_do_not_judge_it(run, tmp_path, monkeypatch):
    made, asked = load(run / "sets" / "seed-0"), []
    _, kept = split(Digits(size=8).open().train, 0.5, 0, "digits")
    assert torch.isin(prints(made.images), prints(kept)).any(), "the case that is looked at"
    monkeypatch.setattr(relabeling, "score", lambda *given: asked.append(given[-1]) or 50.0)
    relabel(run, tmp_path / "new", 500, protocol=PROTOCOL, fraction=0.5)
    assert asked and not any(torch.isin(prints(made.images), prints(judges)).any() for judges in asked)


def test_hard_phases_stay(run, tmp_path, monkeypatch):
    monkeypatch.setattr(relabeling, "score", lambda made, *rest: 50.0 if made.soft.kind != "hard" else 40.0)
    asked, phases, views = RelabelViews((TEACHER,), "probs"), Phases(), Views((), seed=3)
    done = relabel(run, tmp_path / "new", 10**6, labeler=Alternate(asked, phases), views=views, protocol=PROTOCOL)
    *alternating, hard = done.tried
    assert hard.labeler == Hard()
    assert all(one.labeler.phases == phases and one.labeler.labeler.average == "probs" for one in alternating)
    assert done.tried[1].labeler.labeler.views == views
    assert load(tmp_path / "new").soft.phases == phases
    bought = max(getattr(one.labeler.labeler, "count", 0) for one in alternating)
    assert bought == phases.soft(PROTOCOL.training.epochs), "hard epochs ask for no views"


def test_teachers_are_asked_for_the_ipc_of_the_set(run, tmp_path, monkeypatch):
    """Some are others for another one (`ExpertByIPC`)."""
    told = []
    monkeypatch.setattr(
        relabeling, "score", lambda made, protocol, training, seed, context, judges: told.append(context.ipc) or 50.0
    )
    monkeypatch.setattr(relabeling, "check_teachers", lambda labeler, context: told.append(context.ipc))
    monkeypatch.setattr(relabeling, "label_together", lambda labelers, images, context: told.append(context.ipc))
    relabel(run, tmp_path / "new", 500, protocol=PROTOCOL)
    assert len(told) > 2 and set(told) == {load(run).ipc}


def test_a_set_without_teachers_needs_some(run, tmp_path):
    distill(replace(RECIPE, labeler=Hard()), tmp_path / "hard")
    with pytest.raises(UserError, match="--teachers and --average"):
        relabel(tmp_path / "hard", tmp_path / "new", 500, protocol=PROTOCOL)
    with pytest.raises(UserError, match="no finished set"):
        relabel(tmp_path / "nowhere", tmp_path / "new", 500)
    with pytest.raises(UserError, match="give those it was made from"):
        relabel(run, tmp_path / "new", 500, real=Digits(size=16), protocol=PROTOCOL)


def test_students_learn_as_the_protocol_says_of_such_a_set_and_all_of_them_do(run, tmp_path, monkeypatch):
    other, calls = ConvNet(depth=1, width=8), []

    def scored(made, protocol, training, seed, *rest):
        calls.append((protocol.student, training.epochs, seed))
        return 60.0 if protocol.student == other else 50.0 + seed

    monkeypatch.setattr(relabeling, "score", scored)
    cases = (When(most_ipc=1, epochs=2), When(student=other, epochs=3))
    done = relabel(run, tmp_path / "new", 10**6, protocol=replace(PROTOCOL, also=(other,), cases=cases))
    assert set(calls) == {(TINY, 2, 0), (TINY, 2, 1), (other, 3, 0), (other, 3, 1)}
    assert {one.accuracies for one in done.tried} == {(55.0, 55.5)}, "the mean over networks, seed by seed"
    assert max(getattr(one.labeler, "count", 0) for one in done.tried) == 3, "views that students have epochs for"


def test_teachers_are_asked_once_for_each_view(run, tmp_path, monkeypatch):
    said, real = [], RelabelViews._said
    monkeypatch.setattr(RelabelViews, "_said", lambda self, some, *rest: said.extend(some) or real(self, some, *rest))
    monkeypatch.setattr(relabeling, "score", lambda *rest: 50.0)
    views = Views((), seed=77)  # that nobody labelled yet
    done = relabel(run / "sets" / "seed-0", tmp_path / "new", 500, views=views, protocol=PROTOCOL)
    assert {getattr(one.labeler, "count", 0) for one in done.tried} == {0, 2, 4}
    assert sorted(said) == [0, 1, 2, 3]


def test_other_teachers_label_the_views_of_the_recipe(tmp_path, monkeypatch):
    views = Views((), seed=5)
    distill(replace(RECIPE, labeler=RelabelViews((TEACHER,), "logits", views=views, count=1)), tmp_path / "views")
    monkeypatch.setattr(relabeling, "score", lambda *rest: 50.0)
    labeler = Relabel((replace(TEACHER, seed=1),), "probs")
    done = relabel(tmp_path / "views", tmp_path / "new", 500, labeler=labeler, protocol=PROTOCOL)
    assert {one.labeler.views for one in done.tried if isinstance(one.labeler, RelabelViews)} == {views}


def test_what_comes_out_is_compared_once_it_is_evaluated(run, tmp_path, capsys):
    folder = tmp_path / "new"
    protocol = ["--protocol", PLAIN]
    assert execute(cli, ["relabel", str(run), "--budget", "130", "--out", str(folder), *protocol, "students=2"]) == 0
    told = capsys.readouterr().out
    assert f"gendistill evaluate {folder} students=2 --protocol" in told
    words = ["evaluate", str(folder), *protocol, "--device", "cpu", "--to", str(tmp_path / "new.json")]
    assert execute(cli, [*words, "students=2"]) == 0
    said = {one.fingerprints for place in (folder, tmp_path / "new.json") for one in read(place, "new")}
    assert said == {tuple(fingerprints_of([load(one) for one in set_folders(run)]))}, (
        "the pictures are those of the run"
    )
    report = Report.from_json(json.loads((folder / "metrics.json").read_text()))
    assert {row.set for row in report.rows} == {"distilled", "full_real"}, "the recipe is that of random real pictures"
    assert (folder / "report.html").is_file()
    assert execute(cli, [*words, "students=3"]) == 0
    more = Report.from_json(json.loads((folder / "metrics.json").read_text()))
    assert {row.set: row.n for row in more.rows} == {"distilled": 3, "full_real": 1}
    assert merged(more, report).rows == more.rows, "more seeds are worth more than later ones"
    longer = replace(report, rows=[replace(row, training="other") for row in report.rows])
    assert len(merged(more, longer).rows) == 2 * len(report.rows)
    capsys.readouterr()
    assert execute(cli, ["compare", str(folder)]) == 0 and "ConvNet-2/8 · tiny · test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "count"),
    [("20MB", 20_000_000), ("500kB", 500_000), ("1.5 gb", 1_500_000_000), ("12", 12), ("3 B", 3), ("2k", 2000)],
)
def test_budgets_are_written_as_people_write_them(text, count):
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["", "MB", "-3", "20 MiB", "1e6"])
def test_other_budgets_are_refused(text):
    with pytest.raises(UserError, match="20MB"):
        bytes_of(text)


def test_the_command_hands_on_what_was_asked(monkeypatch, tmp_path, capsys):
    calls = []

    def called(path, out, budget, **words):
        calls.append(SimpleNamespace(path=path, out=out, budget=budget, **words))
        return SimpleNamespace(folder=out, __str__=lambda: "table")

    monkeypatch.setattr(relabeling, "relabel", called)
    words = ["relabel", "run", "--budget", "20MB", "--out", str(tmp_path / "new"), "students=1"]
    assert (
        execute(cli, [*words, "--teachers", "Trained(), Trained(seed=1)", "--average", "probs", "--temperature", "4"])
        == 0
    )
    (call,) = calls
    assert call.budget == 20_000_000 and call.protocol.students == 1 and call.real is None
    assert [one.seed for one in call.labeler.teachers] == [0, 1] and call.labeler.temperature == 4
    assert str(tmp_path / "new") in capsys.readouterr().out
    assert call.views is None
    assert execute(cli, [*words, "--views", "Views((Flip(),), mix=None)"]) == 0
    assert calls[-1].labeler is None and calls[-1].views == Views((Flip(),), mix=None)
    assert execute(cli, [*words, "--teachers", "Trained()"]) == 2
    assert "go together" in capsys.readouterr().err
