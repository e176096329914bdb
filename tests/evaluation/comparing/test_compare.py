"""Side by side: what stands together, what is kept apart, what is refused, and a page that says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gendistill.evaluation.comparing import charts
from gendistill.evaluation.comparing.compare import Comparison, by_name, compare, in_order, table
from gendistill.evaluation.comparing.page import cell, page, write
from gendistill.evaluation.comparing.result import Result
from gendistill.evaluation.comparing.results import read
from gendistill.evaluation.comparing.significance import paired
from gendistill.evaluation.tables import by_stress
from gendistill.types import UserError
from tests.evaluation.comparing.result_files import SCORES, THEIRS, TRAINING, a_file, a_run, row, whole
from tests.evaluation.test_page import Reader


def test_runs_and_files_stand_in_one_table(tmp_path: Path) -> None:
    mine = a_run(tmp_path / "mine", row(mean=45.0), row(set="random_real", mean=40.0), whole())
    other = a_run(tmp_path / "other", row(mean=47.0, bytes=20_000), row(set="random_real", mean=40.0), whole())
    found = compare([mine, other, a_file(tmp_path / "theirs.json", THEIRS)])
    (group,) = found.groups
    assert [line[0] for line in table(group)[1:]] == ["other", "mine", "random real", "full real data", "theirs"]
    assert table(group)[1] == ["other", "10", "hard", "47.0 ± 1.0 (3)", "20 kB", "300"]
    assert table(group)[-1] == ["theirs", "all", "hard", "43.0 (3)", "not stated", ""]
    assert group.notes == ["Taken at their word, as they name the protocol only: theirs."]
    text = str(found)
    assert text.splitlines()[0] == "pets, 2 classes, 8 × 8 RGB · ConvNet-3 · demo · test"
    assert "other − mine" not in text and "mine − other, hard labels, IPC 10: -2.0" in text


@pytest.mark.parametrize(
    "change",
    [{"student": "ResNet-18"}, {"protocol": "long"}, {"split": "val"}, {"training": "Training(epochs=1000, lr=0.01)"}],
)
def test_what_may_not_be_compared_is_kept_apart(tmp_path: Path, change: dict[str, str]) -> None:
    mine = a_run(tmp_path / "mine", row(), whole())
    other = a_run(tmp_path / "other", row(mean=47.0, **change))
    with pytest.raises(UserError, match=r"(?s)no two of these share.*mine: pets.*other: pets.*--protocol NAME"):
        compare([mine, other])
    both = compare([mine, a_run(tmp_path / "both", row(mean=47.0, **change), row(mean=44.0), whole())])
    assert [len([one for one in group.results if not one.whole]) for group in both.groups] == [2, 1]


def test_other_pictures_that_are_called_the_same_are_kept_apart(tmp_path: Path) -> None:
    woof = a_run(tmp_path / "woof", row(mean=30.0, held_out="aaaa"))
    nette = a_run(tmp_path / "nette", row(mean=60.0, held_out="bbbb"))
    with pytest.raises(UserError, match="(?s)nothing may be compared.*test aaaa.*test bbbb"):
        compare([woof, nette])
    short = a_run(tmp_path / "short", row(mean=30.0, held_out="aaaa", training="Training(epochs=9, lr=0.01)"))
    with pytest.raises(UserError, match="(?s)test · epochs=300.*test · epochs=9"):
        compare([woof, short])
    other = a_run(tmp_path / "other", row(mean=61.0, held_out="bbbb"))
    found = compare([woof, nette, other])
    assert [[one.run for one in group.results] for group in found.groups] == [["woof"], ["nette", "other"]]
    assert [
        group.title.endswith(mark) for group, mark in zip(found.groups, ("test aaaa", "test bbbb"), strict=True)
    ] == [True] * 2
    assert "bbbb" in found.groups[1].notes[0]
    taken = compare([woof, a_file(tmp_path / "theirs.json", THEIRS)])  # who does not say it is taken at his word
    assert len(taken.groups) == 1 and taken.groups[0].title.endswith("test")


def test_other_data_are_kept_apart_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mine, other = a_run(tmp_path / "mine", row()), a_run(tmp_path / "other", row(mean=47.0))
    large = a_run(tmp_path / "large", row(), shape=(3, 16, 16))
    assert len(compare([mine, other, large]).groups) == 2
    assert "large stands alone: nothing else is of pets, 2 classes, 16 × 16 RGB" in caplog.text


def test_an_altered_protocol_is_told_by_its_training(tmp_path: Path) -> None:
    longer = row(training="Training(epochs=1000, lr=0.01)", mean=47.0)
    found = compare([a_run(tmp_path / "mine", row(), whole()), a_run(tmp_path / "other", longer, row(mean=46.0))])
    one, other = found.groups
    assert one.notes == ["Other trainings go by the name of this protocol; here epochs=300."]
    assert other.notes == ["Other trainings go by the name of this protocol; here epochs=1000."]
    assert [len(group.results) for group in (one, other)] == [3, 2], "all real pictures stand in both"


def test_a_protocol_may_train_small_sets_in_another_way(tmp_path: Path) -> None:
    small = row(ipc=1, training="Training(epochs=1000, lr=0.01)", mean=30.0)
    (group,) = compare([a_run(tmp_path / "mine", row()), a_run(tmp_path / "small", small)]).groups
    assert group.trainings == {"IPC 10": TRAINING, "IPC 1": small["training"]}
    assert group.notes == ["Students learn in another way at another IPC."]


def test_what_two_runs_share_is_shown_once(tmp_path: Path) -> None:
    random, plain = row(set="random_real", mean=40.0), row(set="unsteered")
    mine = a_run(tmp_path / "mine", row(), random, {**plain, "mean": 38.0, "scores": [38.0] * 3, "std": 0.0}, whole())
    other = a_run(
        tmp_path / "other", row(mean=47.0), random, {**plain, "mean": 39.0, "scores": [39.0] * 3, "std": 0.0}, whole()
    )
    (group,) = compare([mine, other]).groups
    assert group.names == [
        "mine", "random real", "unsteered prior · mine", "full real data", "other", "unsteered prior · other"
    ]  # fmt: skip
    pairs = {(pair.ours, pair.theirs) for pair in group.pairs}
    assert ("other", "random real") in pairs, "a shared baseline is everybody's"
    assert ("other", "unsteered prior · other") in pairs and ("other", "unsteered prior · mine") not in pairs


def test_a_ranking_completes_the_row_of_its_run(tmp_path: Path) -> None:
    mine = a_run(tmp_path / "mine", row())
    ranking = {**row(), "run": "mine", "lrs": 0.3, "lrs_std": 0.01, "ranking": {"full": 0.8}}
    (group,) = compare([mine, a_file(tmp_path / "scores.json", ranking)]).groups
    (one,) = group.results
    assert (one.lrs, one.more, one.leakage) == (0.3, {"ranking": {"full": 0.8}}, "Nobody saw them.")
    assert table(group)[0][-2:] == ["LRS", "ARS"] and table(group)[1][-2:] == ["30.0 ± 1.0", ""]


def test_what_was_measured_beyond_accuracy_is_shown(tmp_path: Path) -> None:
    stress = {"as they are": 44.0, "FGSM 2/255": 20.0, "PGD-5 2/255": 10.0}
    told = {
        "calibration_error": 0.1234, "attacked": stress, "corrupted": {"as they are": 44.0, "blur": 41.2},
        "attack_seconds": {"as they are": 1.0, "FGSM 2/255": 3.0, "PGD-5 2/255": 9.0},
    }  # fmt: skip
    mine = a_run(tmp_path / "mine", {**row(), **told}, row(set="random_real", mean=40.0))
    theirs = a_file(tmp_path / "theirs.json", {**THEIRS, **told, "ipc": 10, "published": True, "rule": "best"})
    found = compare([mine, theirs])
    (group,) = found.groups
    assert [line[6] for line in table(group)[:3]] == ["calibration error", "0.123", ""]
    for words in ("Under stress", "15.0", "10.0 (PGD-5 2/255)", "41.2", "14.7", "62.5", "38.6", "BEARD"):
        assert words in str(found), words
    reader = Reader()
    reader.feed(page(found))
    for words in ("Calibration error: how", "Accuracy in % of pictures under attack", "FGSM 2/255", "blur", "14.7"):
        assert words in reader.text, words
    (line,) = [line for line in by_stress(by_name(group), "attacked") if line[0] == "theirs"]
    assert line[-3:] == ["", "", ""], "nothing is computed from published numbers"
    assert compare([write(found, tmp_path / "to").parent]).results == found.results
    (plain,) = compare([a_run(tmp_path / "plain", row())]).groups
    assert "calibration error" not in table(plain)[0] and "Under stress" not in str(found.__class__(plain.results))


def test_teachers_of_others_are_marked_and_who_saw_what_is_told(tmp_path: Path) -> None:
    rows = [
        row(),
        row(labels="soft", labeler="Loaded, T 4", mean=47.0, elsewhere=True),
        row(set="random_real", mean=40.0),
    ]
    found = compare([a_run(tmp_path / "mine", *rows), a_run(tmp_path / "other", row(mean=44.0))])
    text, reader = str(found), Reader()
    reader.feed(page(found))
    for told in (text, reader.text):
        assert "† 47.0 ± 1.0" in told and "† 45.0" not in told and "they may have been picked on" in told
    assert "mine, soft, Loaded, T 4 − hard, IPC 10 †:" in text, "a difference with it is marked, too"
    assert text.endswith("Leakage:\n  mine, other: Nobody saw them.")
    assert compare([write(found, tmp_path / "to").parent]).results == found.results


def test_differences_are_over_the_seeds_that_are_shared() -> None:
    told = {"student": "ConvNet-3", "protocol": "demo", "labels": "hard", "n": 3, "data": "pets"}
    one = Result.from_json({**told, "set": "a", "mean": 45.0, "scores": [44.0, 46.0, 45.0], "seeds": [0, 1, 2]}, "a")
    other = Result.from_json({**told, "set": "b", "mean": 42.0, "scores": [42.0, 43.0, 41.0], "seeds": [2, 1, 7]}, "b")
    (pair,) = Comparison((one, other)).groups[0].pairs
    assert pair.difference == paired([46.0, 45.0], [43.0, 42.0])
    alone = Result.from_json({**told, "set": "c", "mean": 42.0, "scores": [42.0, 43.0, 41.0], "seeds": [7, 8, 9]}, "c")
    assert Comparison((one, alone)).groups[0].pairs == []


def test_what_states_no_seeds_is_paired_with_nothing(tmp_path: Path) -> None:
    mine, theirs = a_run(tmp_path / "mine", row()), {**THEIRS, "ipc": 10, "scores": [42.0, 43.0, 44.0]}
    (group,) = compare([mine, a_file(tmp_path / "theirs.json", theirs)]).groups
    assert not group.pairs and "Without differences, as nobody states their seeds: theirs." in group.notes
    (group,) = compare([mine, a_file(tmp_path / "theirs.json", {**theirs, "seeds": [0, 1, 2]})]).groups
    assert len(group.pairs) == 1 and not [note for note in group.notes if "seeds" in note]


def test_students_of_one_set_are_compared_set_by_set_and_one_set_is_told() -> None:
    told: dict[str, Any] = {"student": "ConvNet-3", "protocol": "demo", "labels": "hard", "n": 4, "data": "pets"}
    told["seeds"] = [0, 1, 2, 3]
    ours = {**told, "set": "a", "mean": 45.0, "scores": [44.0, 46.0, 45.0, 45.0]}
    theirs = Result.from_json(
        {**told, "set": "random_real", "mean": 42.0, "scores": [42.0, 43.0, 41.0, 42.0], "sets": 4}, "b"
    )
    for sets, n in ((2, "n = 2 sets"), (4, "n = 4 sets"), (1, "n = 4, one set: says nothing of another seed")):
        comparison = Comparison((Result.from_json({**ours, "sets": sets}, "a"), theirs))
        (group,) = comparison.groups
        (pair,) = group.pairs
        assert str(pair.difference).endswith(n) and n in str(comparison)
        assert (sets == 1) == ("a: ± is over students of one set: says nothing of another seed." in group.notes)
        assert (sets == 1) == ("Over students of one set" in page(comparison)) == (", one set" in page(comparison))
    with pytest.raises(UserError, match="n = 4 and sets = 5"):
        Result.from_json({**ours, "sets": 5}, "a")


def test_labels_are_compared_for_the_same_pictures_only(tmp_path: Path) -> None:
    kinds = [row(), row(labels="soft", mean=48.0), row(labels="soft", labeler="2 teachers, T 4", mean=49.0)]
    kinds.append(row(labels="views", mean=50.0))
    (group,) = compare([a_run(tmp_path / "mine", *kinds)]).groups
    assert group.pairs == []
    assert [(pair.ours, pair.theirs, round(pair.difference.mean)) for pair in group.label_pairs] == [
        ("mine, soft", "hard", 3), ("mine, soft, 2 teachers, T 4", "hard", 4), ("mine, soft, 2 teachers, T 4", "soft", 1),
        ("mine, views", "hard", 5),
    ]  # fmt: skip


def test_a_deviation_that_is_not_stated_is_not_zero(tmp_path: Path) -> None:
    (group,) = compare([a_file(tmp_path / "paper.json", THEIRS, {**THEIRS, "set": "others", "std": 0.4})]).groups
    assert sorted(line[3] for line in table(group)[1:]) == ["43.0 (3)", "43.0 ± 0.4 (3)"]
    (mark,) = [one for name, one in in_order(group) if name == "theirs"]
    assert cell(mark) == "43.0"


def test_published_numbers_are_marked_and_nothing_is_computed_from_them(tmp_path: Path) -> None:
    told = {
        **THEIRS,
        "published": True,
        "ipc": 10,
        "scores": SCORES,
        "mean": 45.0,
        "rule": "best of 100 tests",
        "source": "https://x.org",
    }
    (group,) = compare([a_run(tmp_path / "mine", row(mean=44.0)), a_file(tmp_path / "paper.json", told)]).groups
    assert group.pairs == [] and table(group)[-1][-1] == "published" and table(group)[1][-1] == ""
    assert table(group)[-1][3] == "45.0 ± 1.0 (3)"
    assert group.notes == [
        "Published, not measured here, and reported by a rule of their own: theirs (best of 100 tests, https://x.org)."
    ]
    del told["rule"]
    with pytest.raises(
        UserError, match='row 1 of .*paper.json is published and does not say by which rule: add "rule"'
    ):
        read(a_file(tmp_path / "paper.json", told), "paper")


def test_what_is_written_is_read_again_and_nothing_unknown_is_lost(tmp_path: Path) -> None:
    theirs = a_file(tmp_path / "theirs.json", {**THEIRS, "hardware": "a laptop"}, by="Doe", date="2026-01-02")
    found = compare([a_run(tmp_path / "mine", row(), whole()), theirs])
    assert found.results[-1].more == {"hardware": "a laptop", "by": "Doe", "date": "2026-01-02"}
    assert write(found, tmp_path / "to") == tmp_path / "to" / "compare.html"
    again = compare([tmp_path / "to"])
    assert again.results == found.results
    assert compare([tmp_path / "to" / "results.json", tmp_path / "mine"]).results == found.results


def test_a_file_of_results_is_called_as_one_says(tmp_path: Path) -> None:
    theirs = a_file(tmp_path / "set.json", {**THEIRS, "set": "distilled", "run": "set.pt"})
    found = compare([a_run(tmp_path / "mine", row()), f"DATM={theirs}"])
    assert [one.name for one in found.results] == ["mine", "DATM"]


def test_runs_of_one_name_are_one_set_at_several_sizes(tmp_path: Path) -> None:
    small, large = a_run(tmp_path / "1", row(ipc=1, mean=30.0, bytes=2400)), a_run(tmp_path / "10", row())
    found = compare([f"mine={small}", f"mine={large}"])
    assert {one.name for one in found.results} == {"mine"}
    assert page(found).count('<polyline class="thread c0"') == 1


@pytest.mark.parametrize(
    ("labels", "prints"),
    [("hard", ()), ("soft", ()), ("soft", ("ff",)), ("soft", ("ee",)), ("soft", ("ee", "ff", "dd"))],
)
def test_one_name_is_one_set(tmp_path: Path, labels: str, prints: tuple[str, ...]) -> None:
    mine = a_run(tmp_path / "mine", row(), prints=["ee", "ff"])
    other = a_run(tmp_path / "other", row(labels=labels, bytes=25_000), prints=prints)
    with pytest.raises(
        UserError, match="mine and .*other are two sets with IPC 10, and both are called mine: call one"
    ):
        compare([f"mine={mine}", f"mine={other}"])
    file = a_file(tmp_path / "file.json", {**row(mean=47.0, bytes=25_000), "run": "mine"})
    with pytest.raises(UserError, match="two results with hard labels and IPC 10 are called mine: call one"):
        compare([mine, file])


def test_a_run_and_its_pictures_with_other_labels_may_have_one_name(tmp_path: Path) -> None:
    mine = a_run(tmp_path / "mine", row(), row(labels="views", mean=49.0), prints=["ee", "ff"])
    soft = a_run(tmp_path / "soft", row(), row(labels="soft", mean=48.0), prints=["ee", "ff"])
    (group,) = compare([f"m={mine}", f"m={soft}"]).groups
    assert [(one.run, one.labels) for one in group.results] == [("m", "hard"), ("m", "views"), ("m", "soft")]
    assert [(pair.ours, pair.theirs) for pair in group.label_pairs] == [("m, views", "hard"), ("m, soft", "hard")]
    anew = a_run(tmp_path / "anew", row(labels="views", mean=50.0), prints=["ff", "ee"])
    with pytest.raises(UserError, match="two results with labels of views and IPC 10 are called m: call one"):
        compare([f"m={mine}", f"m={anew}"])


def test_a_run_that_was_measured_on_two_test_sets_stands_in_two_groups(tmp_path: Path) -> None:
    rows = row(held_out="aaaa"), row(mean=47.0, held_out="bbbb"), row(mean=48.0, held_out="bbbb", student="ResNet-18")
    assert len(compare([a_run(tmp_path / "mine", *rows)]).groups) == 3


@pytest.fixture
def full(tmp_path: Path) -> Comparison:
    """A comparison with everything in it."""
    classes = {"<cat>": 60.0, "dog": 30.0}
    students = [
        {
            **row(student=student, mean=mean),
            "per_class": classes,
            "lrs": 0.3,
            "lrs_std": 0.01,
            "ars": 0.27,
            "ars_std": 0.01,
        }
        for student, mean in (("ConvNet-3", 45.0), ("ResNet-18", 42.0))
    ]
    more = [
        row(set="random_real", mean=40.0),
        row(labels="soft", mean=46.0, bytes=30_000),
        whole(mean=47.0, scores=[47.0]),
    ]
    more.append(row(student="mean of 2 students", mean=43.5, training=""))
    mine = a_run(tmp_path / "mine", *students, *more)
    told = {**THEIRS, "ipc": 10, "bytes": 24_500, "published": True, "rule": "best <of> 3", "source": "https://x.org/a"}
    published = a_file(tmp_path / "p.json", told, {**told, "set": "no bytes", "bytes": None})
    return compare([mine, a_run(tmp_path / "other", row(mean=45.2)), published])


def test_the_page_says_everything_and_needs_nothing_else(full: Comparison) -> None:
    text, reader = page(full), Reader()
    reader.feed(text)
    assert reader.open == []
    assert not {"script", "link", "iframe", "img"} & set(reader.tags) and not re.search(r"url\(|@import", text)
    for expected in (
        "mine, other, p side by side", "pets, 2 classes, 8 × 8 RGB", "ConvNet-3 · demo · test pictures", "45.0 ± 1.0",
        "published: best <of> 3", "Not drawn, as their bytes are not stated: no bytes.", "mine − random real", "+5.0",
        "By student", "43.5", "42.0", "<cat>", "Label-robust score", "30.0 ± 1.0", "Nobody saw them.",
        "Not stated: whether the prior", TRAINING, "hollow: published",
    ):  # fmt: skip
        assert expected in reader.text, expected
    assert text.count("mark c2 hollow") == 1, "published, and its bytes are known"


def test_marks_are_where_the_axes_say(full: Comparison) -> None:
    chart = page(full)
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle class="mark c\d" cx="([\d.]+)" cy="([\d.]+)"', chart)]
    ticks = [(float(y), float(value)) for y, value in re.findall(r'tick end" x="34.0" y="([\d.]+)">([\d.]+)', chart)]
    (low, a), (high, b) = ticks[0], ticks[1]
    found = a + (dots[0][1] - low) / (high - low) * (b - a)
    assert found == pytest.approx(45.0, abs=0.05)
    assert "full real data, hard labels, 9 MB: 47.0 %" in chart


def test_what_is_far_above_is_told_and_not_drawn(tmp_path: Path) -> None:
    text = page(compare([a_run(tmp_path / "mine", row(), whole(mean=99.0, scores=[99.0]))]))
    assert '"ceiling"' not in text and "Outside the chart: full real data, 99.0 %, 9 MB." in text


def test_marks_that_would_hide_each_other_stand_side_by_side() -> None:
    places = charts.side_by_side([(100.0, 50.0), (103.0, 52.0), (101.0, 51.0), (101.0, 90.0)])
    assert places[0] == 100.0 and places[3] == 101.0, "what is higher up hides nothing"
    apart = sorted(places[:3])
    assert all(b - a >= charts.NEAR for a, b in zip(apart, apart[1:], strict=False))


def test_ticks_of_bytes_are_round() -> None:
    assert charts.powers(900, 12_000) == [1000, 2000, 5000, 10_000]
    assert charts.powers(2600, 4100) == [2600, 4100]
    assert charts.powers(900, 2e8) == [1e3, 1e4, 1e5, 1e6, 1e7, 1e8]


def test_an_interval_far_wider_than_the_others_does_not_set_the_scale() -> None:
    wide = charts.Bar("a − b", "", 1.0, -60.0, 62.0, "", (0.0, 2.0))
    low, high = charts.reach([wide], 0.0)
    assert -3 < low < 0 and 2 < high < 5
    drawn = str(charts.intervals([wide], 0.0, "points", "title"))
    assert re.findall(r'class="outer unclear" d="M[\d.]+ [\d.]+H[\d.]+"', drawn), "no end is drawn where it goes on"
