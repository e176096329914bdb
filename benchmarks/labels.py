"""What labels bring and what pictures bring: sets crossed with kinds of labels, and with one teacher and four.

    python benchmarks/labels.py cifar10 --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' --size 32 \
        --prior cifar10_dit                              # goes on where it was stopped; --table prints
    ... --published FOLDER --sets random_real --kinds soft views        # marked rows: teachers that others published

Sets      random real pictures (drawn anew for every student), the unsteered prior, the house recipe; IPC 10
Labels    hard; one soft label a picture (soft); stored ones of every view (views); teachers asked at every step (online)
Teachers  four networks as those that guide (ConvNet-3 with batch norm), of seeds that guide nothing, 10 epochs each on nine
          tenths of the scene's training pictures; their mean logits at the scene's temperature 4. "one" is the member that
          knows most of the tenth that none of them saw
Looks     cutmix: shifts of up to 4 px, mirrored or not, mixed with another picture of the set. Boxes from 8 % of the area, as
          taken on ImageNet, are 9 px of 32: nothing that these teachers learned; at this size the field shifts, too. Hard and
          single soft labels are measured with siamese augmentation as well, so that the looks do not decide
Students  ConvNet-3 of width 32, 600 steps of AdamW in batches of 50: 300 epochs, in which every stored view is seen once. Three of
          every set. ResNet-18 for two sets and two kinds of labels, in bfloat16: some ten minutes a student on a core

``--split val`` judges by the scene's held-out tenth, which no teacher saw, and no set but through its prior; ``--split test`` by
the test pictures. Published networks know both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import ledger
import published_resnets
from scene import Opened, Scene, adamw, arguments

from gendistill.evaluation.evaluate import measure
from gendistill.evaluation.protocols import Protocol
from gendistill.formatting import spell_labels
from gendistill.labelers import weighing
from gendistill.labelers.base import Labeler
from gendistill.labelers.hard import Hard
from gendistill.labelers.online import Online
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.nets.base import Net
from gendistill.nets.reference import Reference
from gendistill.nets.resnet import ResNet
from gendistill.nets.trained import Trained
from gendistill.views.crop import Shift
from gendistill.views.cutmix import CutMix
from gendistill.views.flip import Flip
from gendistill.views.numbered import Views
from gendistill.views.siamese import Siamese

SETS = {
    "random_real": "random real",
    "diffusion": "unsteered prior",
    "house": "house recipe",
    "house_from_noise": "house recipe, begun at noise",
}
KINDS = ("soft", "views", "online")
LOOKS = {"cutmix": Views((Shift(4), Flip()), CutMix()), "siamese": Siamese()}
"""What students look at; `Views` are what labels of views are of."""
ONE, FOUR = "one", "four"
MARK = "published "
"""Before these: teachers of others."""


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    set       pipeline
    labels    kind
    teachers  who labels; "" for hard labels
    look      one of LOOKS
    student   network
    """

    set: str
    labels: str
    teachers: str
    look: str
    student: Net

    @property
    def key(self) -> dict[str, object]:
        """What its row says."""
        return {
            "set": self.set, "labels": self.labels, "teachers": self.teachers, "look": self.look,
            "student": str(self.student),
        }  # fmt: skip


def committee(scene: Scene, epochs: int) -> tuple[Trained, ...]:
    """Four teachers, none of which guides: those that do have seed 0 and see all pictures."""
    taught = replace(scene.teacher, training=adamw(epochs), held_out=0.1)
    return tuple(replace(taught, seed=seed) for seed in (1, 2, 3, 4))


def cells(scene: Scene, resnet: Net, sets: Sequence[str], kinds: Sequence[str], published: bool) -> list[Cell]:
    """Everything that is measured, the cheap before the dear."""
    who, found = [MARK * published + one for one in (ONE, FOUR)], []
    for name in sets:
        if not published:
            found += [Cell(name, "hard", "", look, scene.net) for look in LOOKS]
        for kind in kinds:
            looks = tuple(LOOKS) if kind == "soft" and not published else ("cutmix",)
            found += [Cell(name, kind, one, look, scene.net) for look in looks for one in who]
    if not published:
        two = [name for name in sets if name != "diffusion"]
        found += [
            Cell(name, kind, one, "cutmix", resnet) for name in two for kind, one in (("hard", ""), ("views", FOUR))
        ]
    return found


def protocol_of(scene: Scene, cell: Cell, steps: int, students: int) -> Protocol:
    """The same steps for all."""
    precision = "bf16" if isinstance(cell.student, ResNet) else "no"
    training = replace(scene.protocol.training, least_steps=steps, augment=LOOKS[cell.look], mixed_precision=precision)
    return replace(scene.protocol, name="labels", student=cell.student, students=students, training=training)


def labeler_of(scene: Scene, cell: Cell, teachers: Sequence[Reference], count: int) -> Labeler:
    """Who labels; ``count`` is how many views are stored."""
    asked, average, temperature = tuple(teachers), "logits", scene.labeler.temperature
    if cell.labels == "hard":
        return Hard()
    if cell.labels == "soft":
        return Relabel(asked, average, temperature)
    if cell.labels == "online":
        return Online(asked, average, temperature, views=LOOKS["cutmix"])
    return RelabelViews(asked, average, temperature, views=LOOKS["cutmix"], count=count)


def table(state: dict) -> str:
    """All rows as Markdown: a table a student, and below it what is compared seed by seed."""
    parts = []
    for student, marked in dict.fromkeys((row["student"], row["teachers"].startswith(MARK)) for row in state["rows"]):
        rows = [r for r in state["rows"] if (r["student"], r["teachers"].startswith(MARK)) == (student, marked)]
        title = f"**{student}**" + ", marked: its teachers are others', picked on the test pictures" * marked
        parts += [title, crossed(rows), "\n".join(f"- {line}" for line in differences(rows))]
    knows = [f"{name} {value:.1f}" for name, value in state.get("teachers", {}).items()]
    teachers = [f"Teachers, % right of what they did not see: {', '.join(knows)}."] * bool(knows)
    return "\n\n".join([*filter(None, parts), *teachers, *ledger.failed(state), ledger.about(state)])


def crossed(rows: Sequence[dict]) -> str:
    """Kinds of labels by sets."""
    sets = [name for name in SETS if ledger.found({"rows": rows}, set=name)]
    kinds = {(row["labels"], row["teachers"], row["look"]) for row in rows}
    order = ["hard", *KINDS]
    lines = [
        f"| labels | teachers | looks | {' | '.join(SETS[name] for name in sets)} |",
        "|---|---|---|" + "---:|" * len(sets),
    ]
    for labels, who, look in sorted(kinds, key=lambda kind: (order.index(kind[0]), kind[2], kind[1].endswith(FOUR))):
        wanted = {"labels": labels, "teachers": who, "look": look}
        told = [ledger.cell(ledger.one({"rows": rows}, set=name, **wanted)) for name in sets]
        lines.append(f"| {labels} | {who} | {look} | {' | '.join(told)} |")
    return "\n".join(lines)


def differences(rows: Sequence[dict]) -> Iterator[str]:
    """What four teachers bring beyond the best of them, and labels of views beyond hard ones, seed by seed."""
    scores = {
        (row["set"], row["labels"], row["teachers"].removeprefix(MARK), row["look"]): row["scores"] for row in rows
    }
    for labels, look in dict.fromkeys((labels, look) for _, labels, who, look in scores if who):
        places = {name: [(name, labels, who, look) for who in (FOUR, ONE)] for name in SETS}
        pairs = {name: [scores[one] for one in both] for name, both in places.items() if scores.keys() >= set(both)}
        told = [f"{SETS[name]} {ledger.less(*pair)}" for name, pair in pairs.items()]
        if len(pairs) > 1:
            told.append(f"all sets {ledger.less(*(list(chain(*side)) for side in zip(*pairs.values(), strict=True)))}")
        if told:
            yield f"four teachers less the best of them, {spell_labels(labels)}, {look}: {'; '.join(told)}"
    for name in SETS:
        hard = {look: found for look in LOOKS if (found := scores.get((name, "hard", "", look)))}
        views = scores.get((name, "views", FOUR, "cutmix"))
        if hard and views:
            look = max(hard, key=lambda look: fmean(hard[look]))
            yield f"labels of views less hard ones ({look}, which suits these best), {SETS[name]}: {ledger.less(views, hard[look])}"


def main() -> None:
    parser = arguments(__doc__, prior=False)
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--sets", choices=SETS, nargs="+", default=list(SETS)[:3])
    parser.add_argument("--kinds", choices=KINDS, nargs="+", default=list(KINDS), help="of labels by teachers")
    parser.add_argument("--published", type=Path, help="folder of published networks: they label, in marked rows")
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--steps", type=int, default=600, help="of every student")
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of the teachers")
    parser.add_argument("--width", type=int, default=32, help="of ConvNets")
    parser.add_argument("--resnet-width", type=int, default=64)
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    file = ledger.RESULTS / f"labels-{given.name}-{given.split}.json"
    if given.table:
        print(table(ledger.read(file)))
        return
    settings = ("ipc", "steps", "students", "epochs", "width", "resnet_width")
    ledger.settle(file, **{name: getattr(given, name) for name in settings})
    scene = replace(Scene.of(given), width=given.width)
    opened = Opened(scene, scene.data(given.split))

    @cache
    def teachers() -> dict[str, tuple[Reference, ...]]:
        if given.published:
            return by_worth(published_resnets.load(given.published))
        context = opened.context(scene.recipe("random_real", given.ipc))
        known = {one: weighing.accuracy(one, context) for one in committee(scene, given.epochs)}
        with ledger.updated(file) as state:
            state["teachers"] = {f"{one.net}, seed {one.seed}": worth for one, worth in known.items()}
        return by_worth(known)

    def rows(cell: Cell) -> list[dict]:
        protocol = protocol_of(scene, cell, given.steps, given.students)
        # What `steering.py` made is found in the cache, as it made it; random pictures need no labels of their own.
        own = {"labeler": Hard()} if cell.set == "random_real" else {}
        made, context = opened.sets(cell.set, given.ipc, draws=given.students, **own)
        count = protocol.training.passes(len(made[0].images))
        asked = teachers()[cell.teachers.removeprefix(MARK)] if cell.teachers else ()
        protocol = replace(protocol, labelers=(labeler_of(scene, cell, asked, count),))
        return [ledger.entry(row, **cell.key) for row in measure({cell.set: made}, protocol, context).rows]

    resnet = ResNet(depth=18, width=given.resnet_width)
    for cell in cells(scene, resnet, given.sets, given.kinds, bool(given.published)):
        title = ", ".join(filter(None, map(str, cell.key.values())))
        ledger.add(file, title, cell.key, lambda cell=cell: rows(cell))


def by_worth(known: Mapping[Any, float]) -> dict[str, tuple[Reference, ...]]:
    """The one that knows most, and all of them."""
    return {ONE: (max(known, key=lambda one: known[one]),), FOUR: tuple(known)}


if __name__ == "__main__":
    main()
