"""Random real pictures under the protocols of the field, beside what was published, with the rule by which that was reported.

    python benchmarks/references.py cifar10 --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' --size 32 \
        --protocols MATCHING MATCHING_NOAUG --ipc 1 10
    ... --protocols MATCHING --sets full_real dm         # all real pictures; DM at the 200 steps of `scene.py`

Goes on where it was stopped; --table prints. Accuracies are of the last epoch, on the test pictures; nothing is chosen by them.
Sets are made of all training pictures; random ones are drawn anew for every student, class by class. A protocol is as it stands
in `gendistill.evaluation.protocols`, but for what a row names as different; the blocks of a ConvNet follow the size of the
pictures.

--students N       so many, in the place of the protocol's own number of sets and students
--nets all         all networks that the protocol names, not the first alone
--width N          channels of the students; a ResNet-18 of its own 64 takes a CPU half an hour a student
--teachers scene   a ConvNet-3 with batch norm, 10 epochs, labels in the place of networks of 90 or 200 epochs; "own" takes these,
                   "none" measures hard labels alone
--bf16             students learn in bfloat16, in six tenths of the time on a CPU that knows it

Published rows stand in the file of results as such, which `gendistill compare` reads.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import ledger
from scene import Opened, Scene, adamw, arguments

from gendistill.distilled import Distilled
from gendistill.evaluation import protocols
from gendistill.evaluation.evaluate import measure
from gendistill.evaluation.protocols import Protocol
from gendistill.formatting import spell_data, spell_set
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.hard import Hard
from gendistill.nets.base import Net
from gendistill.nets.convnet import ConvNet
from gendistill.types import UserError

TIMM = ("CVDD", "GLAD", "RDED_CROSS")
"""Protocols in a file of their own, because to name their networks takes seconds."""
DC, DSA = "https://arxiv.org/abs/2006.05929", "https://arxiv.org/abs/2102.08259"


@dataclass(frozen=True)
class Published:
    """Numbers that a publication reports.

    data, set, protocol, labels, student  what of; the protocol by the name of its constant
    accuracies                            IPC -> percent; 0 is the whole data
    rule, n                               which of a student's accuracies is reported, and of how many students
    source                                URL
    """

    data: str
    set: str
    protocol: str
    accuracies: Mapping[int, float]
    rule: str
    n: int
    source: str
    labels: str = "hard"
    student: str = "ConvNet-3"

    def rows(self) -> list[dict[str, Any]]:
        """As rows of a file of results."""
        shared = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("accuracies", "data")}
        named = {"protocol": known(self.protocol).name, "asked": self.protocol, "split": "test", "published": True}
        return [
            shared | named | {"ipc": ipc or None, "mean": mean, "std": 0.0} for ipc, mean in self.accuracies.items()
        ]


def known(name: str) -> Protocol:
    """A protocol by the name of its constant.

    Raises:
        UserError: there is none.
    """
    if name in TIMM:
        from gendistill.evaluation import timm_protocols

        return getattr(timm_protocols, name)
    found = {word: value for word, value in vars(protocols).items() if isinstance(value, Protocol)}
    if name not in found:
        raise UserError(f"no protocol {name!r}: there are {', '.join([*found, *TIMM])}")
    return found[name]


MANY = "last epoch, 20 students of each of 5 sets"
PRINTED, NCFM = "as printed by Wang et al., CVPR 2025", "https://arxiv.org/abs/2502.20653"
UNSAID = f"{MANY}, if as in DC's code; {PRINTED}; with or without augmentation is not said"
PUBLISHED = (
    Published("cifar10", "random_real", "MATCHING", {1: 14.4, 10: 26.0, 50: 43.4}, UNSAID, 100, NCFM),
    Published("cifar10", "random_real", "MATCHING_NOAUG", {1: 14.4, 10: 26.0, 50: 43.4}, UNSAID, 100, NCFM),
    Published("cifar10", "full_real", "MATCHING", {0: 84.8}, f"not said; {PRINTED}", 1, NCFM),
    Published("cifar10", "dm", "MATCHING", {1: 26.0, 10: 48.9, 50: 63.0}, f"{MANY}; {PRINTED}", 100, NCFM),
    Published("cifar10", "dc", "MATCHING_NOAUG", {1: 28.3, 10: 44.9, 50: 53.9}, f"{MANY}; {PRINTED}", 100, NCFM),
    Published(
        "cifar10", "rded", "RDED_SMALL", {1: 22.9, 10: 37.1, 50: 62.1}, "best test of the last fifth of the epochs", 3,
        "https://arxiv.org/abs/2312.03526", "online", "ResNet-18",
    ),
    Published(
        "cifar100", "random_real", "MATCHING", {1: 4.2, 10: 14.6, 50: 30.0}, f"{MANY}; from memory, unverified", 100, DC
    ),
)  # fmt: skip


def fitted(net: Net, scene: Scene, width: int | None) -> Net:
    """A student for the pictures of the scene, of so many channels where that is given and it has some."""
    if isinstance(net, ConvNet):
        net = replace(net, depth=scene.net.depth)
    return replace(net, width=width) if width and hasattr(net, "width") else net  # pyright: ignore


def adapted(
    protocol: Protocol,
    scene: Scene,
    nets: str,
    width: int | None,
    students: int | None,
    teachers: str,
    bf16: bool,
) -> tuple[Protocol, str]:
    """A protocol as it is run here, and what is different, in words."""
    chosen = protocol.nets if nets == "all" else protocol.nets[:1]
    first, *rest = (fitted(net, scene, width) for net in chosen)
    cases = tuple(replace(one, student=one.student and fitted(one.student, scene, width)) for one in protocol.cases)
    found = replace(protocol, student=first, also=tuple(rest), cases=cases)
    differs = [f"{new} for {old}" for new, old in zip(found.nets, chosen, strict=True) if new != old]
    if students and (students, 1) != (found.students, found.sets):
        found = replace(found, sets=1, students=students)
    if protocol.labelers and teachers == "none":
        found = replace(found, labelers=(Hard(),))
        differs.append("hard labels alone")
    if protocol.labelers and teachers == "scene":
        taught = replace(scene.teacher, training=adamw(10), seed=1)
        labelers = (replace(one, teachers=(taught,)) if isinstance(one, Ensemble) else one for one in found.labelers)
        found = replace(found, labelers=tuple(labelers))
        differs.append(f"taught by {taught.net} of {taught.training.epochs} epochs")
    if bf16:
        training, full = (replace(one, mixed_precision="bf16") for one in (found.training, found.full))
        found = replace(found, training=training, full=full)
        differs.append("bfloat16")
    return found, ", ".join(differs)


def sets(opened: Opened, name: str, ipc: int | None, protocol: Protocol) -> list[Distilled]:
    """What a name stands for: all real pictures, random ones, or what a pipeline makes."""
    if ipc is None:
        return [Distilled.of(opened.data.train)]
    return opened.sets(name, ipc, draws=protocol.sets * protocol.students, labeler=Hard())[0]


def table(state: dict) -> str:
    """Every measured row as Markdown, beside what was published."""
    head = (
        "protocol",
        "set",
        "IPC",
        "student",
        "labels",
        "epochs",
        "measured",
        "published",
        "its rule",
        "different here",
    )
    lines = [f"| {' | '.join(head)} |", "|---|---|---:|---|---|---:|---:|---:|---|---|"]
    for row in (row for row in state["rows"] if not row.get("published")):
        same = {name: row[name] for name in ("asked", "set", "ipc", "labels")}
        theirs = ledger.one(state, published=True, **same) or {}
        told = f"{theirs['mean']:.1f}" if theirs else ""
        if theirs and theirs["student"] != row["student"]:
            told += f" ({theirs['student']})"
        labels = ", ".join(filter(None, (row["labels"], row["labeler"])))
        cells = (
            f"`{row['asked']}`", spell_set(row["set"]), str(row["ipc"] or "all"), row["student"], labels, str(row["epochs"]),
            ledger.cell(row), told, theirs.get("rule", ""), row["differs"],
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n\n".join(["\n".join(lines), *ledger.failed(state), ledger.about(state)])


def main() -> None:
    parser = arguments(__doc__, prior=False)
    parser.add_argument("--protocols", nargs="+", default=["MATCHING", "MATCHING_NOAUG"])
    parser.add_argument("--ipc", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--sets", nargs="+", default=["random_real"], help="full_real, or pipelines")
    parser.add_argument("--students", type=int, help="in the place of the protocol's own number")
    parser.add_argument("--nets", choices=["first", "all"], default="first", help="of those the protocol names")
    parser.add_argument("--width", type=int, help="channels of the students")
    parser.add_argument("--teachers", choices=["own", "scene", "none"], default="scene")
    parser.add_argument("--bf16", action="store_true", help="students learn in bfloat16")
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    file = ledger.RESULTS / f"references-{given.name}.json"
    if given.table:
        print(table(ledger.read(file)))
        return
    scene = Scene.of(given)
    opened = Opened(scene, scene.whole())
    context = opened.context(scene.recipe("random_real", 1))
    with ledger.updated(file) as state:
        theirs = [row for one in PUBLISHED if one.data == given.name for row in one.rows()]
        state["rows"] = theirs + [row for row in state["rows"] if not row.get("published")]
        state["data"] = spell_data(given.name, len(opened.data.classes), opened.data.train.shape)

    def rows(key: Mapping[str, Any], protocol: Protocol) -> list[dict]:
        made = sets(opened, key["set"], key["ipc"], protocol)
        return [ledger.entry(row, **key) for row in measure({key["set"]: made}, protocol, context).rows]

    for asked in given.protocols:
        protocol, differs = adapted(
            known(asked), scene, given.nets, given.width, given.students, given.teachers, given.bf16
        )
        for name in given.sets:
            for ipc in [None] if name == "full_real" else given.ipc:
                count = 1 if ipc is None else protocol.sets * protocol.students
                key = {"asked": asked, "set": name, "ipc": ipc, "differs": differs, "n": count}
                title = ", ".join(filter(None, (asked, name, ipc and f"IPC {ipc}", differs)))
                ledger.add(file, title, key, lambda key=key, protocol=protocol: rows(key, protocol))


if __name__ == "__main__":
    main()
