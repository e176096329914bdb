"""The table of accuracies: what stands beside what, and that nothing is lost on the way to a file."""

from __future__ import annotations

import json
from dataclasses import replace

from gendistill.evaluation.keep import endured, merged
from gendistill.evaluation.report import Likeness, Report, Row
from gendistill.evaluation.tables import by_stress, calibrations, under_stress
from gendistill.formatting import spell_bytes, spell_seconds

ROW = Row(set="distilled", labels="hard", student="ConvNet-3", protocol="demo", epochs=300, ipc=10, split="test",
          mean=95.25, std=1.04, n=5, bytes=12_345)  # fmt: skip
ROWS = [
    replace(ROW, set="full_real", ipc=None, mean=98.9, std=0.0, n=1, epochs=60, bytes=182_000),
    replace(ROW, set="random_real", mean=91.9, std=3.1),
    replace(ROW, labels="soft", mean=95.3, std=0.9, bytes=16_345),
    ROW,
    replace(ROW, ipc=1, mean=86.4),
    replace(ROW, student="ResNet-18", mean=90.0),
]


def test_round_trip_through_a_file() -> None:
    report = Report(ROWS, {"distil": 1.5})
    again = Report.from_json(json.loads(json.dumps(report.to_json())))
    assert again == report
    assert list(report.to_json()) == ["rows", "seconds"]
    assert Report.from_json({"rows": [{**report.to_json()["rows"][0], "later": 1}]}).rows == ROWS[:1]


def test_blocks_hold_what_may_be_compared() -> None:
    blocks = Report(ROWS).blocks
    assert [(block.student, block.ipc) for block in blocks] == [("ConvNet-3", 10), ("ConvNet-3", 1), ("ResNet-18", 10)]
    assert blocks[0].sets == ["distilled", "random_real", "full_real"]
    assert blocks[0].labels == ["hard", "soft"]
    assert blocks[1].sets == ["distilled", "full_real"]  # a whole set stands beside every IPC of its student ...
    assert blocks[2].sets == ["distilled"]  # ... and of no other
    assert Report(ROWS).block(1) == blocks[1]
    assert Report(ROWS).block(50) == blocks[0]
    assert Report([]).block(1) is None
    assert [block.ipc for block in Report(ROWS[:1]).blocks] == [None]


def test_another_training_and_other_pictures_stand_apart() -> None:
    short, long = (replace(ROW, training=f"Training(epochs={epochs}, lr=0.1)", epochs=epochs) for epochs in (300, 1000))
    whole = replace(ROW, set="full_real", ipc=None, training="Training(epochs=60)")
    blocks = Report([short, long, whole]).blocks
    assert [[row.epochs for row in block.rows] for block in blocks] == [[300, 300], [1000, 300]]
    assert "here epochs=1000" in blocks[1].notes[0]
    here, there = (replace(ROW, held_out=of) for of in ("aaaa", "bbbb"))
    blocks = Report([here, there]).blocks
    assert [block.rows for block in blocks] == [(here,), (there,)] and "these are bbbb" in blocks[1].notes[0]


def test_what_is_measured_again_takes_the_place_of_what_was_measured() -> None:
    before = Report(
        [replace(ROW, scores=(94.0, 96.0), n=2, held_out="aaaa"), replace(HARMED, scores=(1.0,))], likeness=(NEAR,)
    )
    after = Report([
        replace(ROW, scores=(95.0, 96.0), n=2, held_out="aaaa"), replace(ROW, scores=(30.0, 31.0), n=2, held_out="bbbb"),
        replace(HARMED, scores=(1.0,), attacked={}, corrupted={}),
    ], likeness=(replace(NEAR, k=3),))  # fmt: skip
    found = merged(before, after)
    assert [row.scores for row in found.rows] == [(95.0, 96.0), (1.0,), (30.0, 31.0)]
    assert found.rows[1].attacked == HARMED.attacked  # the same students, so what they went through still holds
    assert len(found.likeness) == 2 and sum("among real" in title for title, *_ in found.tables) == 2


BY_TWO = replace(ROW, labels="soft", labeler="2 teachers, T 4", mean=96.0, scores=(95.5, 96.5))


def test_labels_of_several_labelers_stand_side_by_side() -> None:
    (block,) = Report([*ROWS[2:4], BY_TWO, replace(BY_TWO, labeler="ConvNet-3, T 20")]).blocks
    assert block.labels == ["hard", "soft", "soft, 2 teachers, T 4", "soft, ConvNet-3, T 20"]
    assert block.find("distilled", "soft, 2 teachers, T 4") == BY_TWO
    head = str(Report([*ROWS[2:4], BY_TWO])).splitlines()[1]
    assert "hard labels" in head and "soft labels, 2 teachers, T 4" in head


def test_seeds_labelers_and_notes_survive_a_file() -> None:
    report = Report([BY_TWO], {}, ("Labels by 2 teachers, T 4: they saw the training pictures.",))
    again = Report.from_json(json.loads(json.dumps(report.to_json())))
    assert again == report and again.rows[0].scores == (95.5, 96.5)
    assert str(again).endswith(report.notes[0]) and again.markdown().endswith(report.notes[0])


def test_the_printed_table() -> None:
    assert str(Report(ROWS[:4])).splitlines() == [
        "ConvNet-3 · IPC 10 · demo · test",
        "accuracy in %, mean ± std (n)     hard labels     soft labels  epochs              bytes",
        "────────────────────────────────────────────────────────────────────────────────────────",
        "distilled                      95.2 ± 1.0 (5)  95.3 ± 0.9 (5)     300  12.3 kB / 16.3 kB",
        "random real                    91.9 ± 3.1 (5)                     300            12.3 kB",
        "full real data                       98.9 (1)                      60             182 kB",
    ]
    assert str(Report([])) == "nothing was evaluated"


def test_the_markdown_table() -> None:
    assert Report(ROWS[3:4]).markdown().splitlines() == [
        "**ConvNet-3 · IPC 10 · demo · test**",
        "",
        "| accuracy in %, mean ± std (n) | hard labels | epochs | bytes |",
        "|---|---:|---:|---:|",
        "| distilled | 95.2 ± 1.0 (5) | 300 | 12.3 kB |",
    ]


def test_a_row_of_one_set_says_so() -> None:
    rows = [replace(ROW, sets=1), replace(ROW, set="random_real", sets=5), replace(ROWS[0], sets=1)]
    told = "distilled: ± is over students of one set: says nothing of another seed."
    assert Report(rows).blocks[0].notes == [told] and told in str(Report(rows)) and told in Report(rows).markdown()
    assert Report([replace(row, sets=5) for row in rows]).blocks[0].notes == []
    assert Report([replace(ROW, sets=1, n=1)]).blocks[0].notes == [], "one student has no deviation to be misread"


HARMED = replace(
    ROW,
    attacked={"as they are": 90.0, "FGSM 2/255": 60.0, "PGD-5 2/255": 50.0},
    corrupted={"as they are": 90.0, "blur": 80.0},
    attack_seconds={"as they are": 1.0, "FGSM 2/255": 3.0, "PGD-5 2/255": 9.0},
)
NEAR = Likeness(
    set="distilled", ipc=10, sets=1, frechet=12.345, precision=0.5, recall=0.25, density=1.5, coverage=0.75, copies=0.1,
    copies_seen=0.2, pictures=20, real=500, k=5, features="ConvNet-3",
)  # fmt: skip


def test_what_was_measured_beside_accuracies_has_tables_and_survives_a_file() -> None:
    report = Report([HARMED], likeness=(NEAR,))
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    _, (title, cells, _), (among, near, notes) = report.tables
    assert title.endswith("under stress") and cells[1] == [
        "distilled",
        "hard",
        "90.0",
        "55.0",
        "50.0 (PGD-5 2/255)",
        "80.0",
        "12.5",
        "62.5",
        "37.5",
    ]
    assert among.startswith("IPC 10") and near[1] == [
        "distilled",
        "12.3",
        "0.50",
        "0.25",
        "1.50",
        "0.75",
        "10 %",
        "20 %",
    ]
    assert "20 pictures of a set among 500 real ones, k = 5" in notes[0] and "12.3" in report.markdown()


def test_the_indices_need_several_attacks_and_the_clock() -> None:
    cells = under_stress([("ours", replace(HARMED, attack_seconds={}))])
    assert cells[0][-3:] == ["RR", "AE", "CREI"] and cells[1][-3:] == ["12.5", "", ""], "no clock was kept before"
    single = replace(HARMED, attacked={"as they are": 90.0, "FGSM 2/255": 60.0})
    assert under_stress([("ours", single)])[0][-1] == "mean of corruptions"
    worn = by_stress([("ours", HARMED)], "corrupted")
    assert worn == [["set", "labels", "as they are", "blur"], ["ours", "hard", "90.0", "80.0"]]
    assert under_stress([("ours", ROW)]) == by_stress([("ours", ROW)], "attacked") == []
    old = Report.from_json({"rows": [{**Report([HARMED]).to_json()["rows"][0], "attack_seconds": {}}]}).rows[0]
    assert endured(old, HARMED).attack_seconds == HARMED.attack_seconds


def test_teachers_of_others_are_marked_with_a_footnote() -> None:
    report = Report([replace(ROW, labels="soft", elsewhere=True, calibration_error=0.1), ROW])
    told = str(report).splitlines()
    assert "95.2 ± 1.0 (5)" in told[3] and "† 95.2 ± 1.0 (5)" in told[3] and told[3].count("†") == 1
    assert told[4].startswith("† teachers trained elsewhere") and "these test pictures" in told[4]
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    old = report.to_json()["rows"][0]
    del old["elsewhere"]
    assert Report.from_json({"rows": [old]}).rows[0].elsewhere is False
    assert "†" not in str(Report([ROW]))


def test_calibration_errors_in_cells() -> None:
    rows = [replace(ROW, calibration_error=0.1234), replace(ROW, labels="soft", calibration_error=0.05), ROWS[1]]
    cells = calibrations(Report(rows).blocks[0])
    assert cells[1:] == [["distilled", "0.123", "0.050"], ["random real", "", ""]]


def test_numbers_in_words() -> None:
    assert [spell_bytes(n) for n in (0, 999, 1000, 12_345, 999_600, 5_300_000_000)] == [
        "0 B", "999 B", "1 kB", "12.3 kB", "1 MB", "5.3 GB"
    ]  # fmt: skip
    assert [spell_seconds(s) for s in (0.04, 9.94, 9.96, 59.6, 200, 3599.7, 7500)] == [
        "0.04 s", "9.9 s", "10 s", "1 min 00 s", "3 min 20 s", "1 h 00 min", "2 h 05 min"
    ]  # fmt: skip
