"""Accuracy against bytes of soft labels: fewer views, fewer bits, fewer classes, and what LPLD and LPQLD make of them.

    python benchmarks/label_economy.py cifar10 --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' --size 32
    python benchmarks/label_economy.py cifar100 --train ... --test ... --size 32 --ipc 5 --epochs 30 --ratios 1 10 20 40

Goes on where it was stopped; --table prints. The set is random real pictures, drawn anew for every student. Its labels are
those of `labels.py`: mean logits of four networks that are trained in place, of views that are shifted, mirrored and mixed, at
temperature 4. The baseline is FKD's store: log-probabilities in 16 bits of 300 views. A budget is its bytes divided by one of
the ratios; every way of keeping labels keeps as many views as fit. A student goes round the views there are, and takes 300
epochs whatever their number.

pruned (LPLD)        16 bits a class
8 bits               steps below the likeliest class
k likeliest          a tenth of the classes, at least 3, in 8 bits; the others share evenly what they have together at the
                     temperature of the student's loss ("spread at 1": at temperature 1, FKD's MS-k)
LPQLD                as many classes, in 16 bits, the others dropped. The temperature cools from 20 to 2, and the student's own is
                     fitted in every step (`AlignedDivergence`)
k likeliest, cooled  k likeliest, whose temperature cools as LPQLD's; the student has the labels' own
static               one label of the picture as it is, in 16 bits; and none but the class (hard)

Teachers label 300 views once, and every way keeps its part of what they said: the bits are those that `RelabelViews` writes.
``--split val`` judges by a tenth of the training pictures that no teacher or set saw: ways are chosen by it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import ledger
import torch
from labels import LOOKS, committee
from scene import Opened, Scene, arguments

from gendistill.context import Context
from gendistill.evaluation.evaluate import measure
from gendistill.formatting import plural, spell_bytes
from gendistill.labelers.alternate import Alternate, Phases
from gendistill.labelers.base import Labeler
from gendistill.labelers.codecs.base import Codec
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half, Single
from gendistill.labelers.codecs.top_k import TopK
from gendistill.labelers.cooling import Cooling
from gendistill.labelers.hard import Hard
from gendistill.labelers.interpolate import Interpolate
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews, ViewLabels
from gendistill.learning.label_losses import AlignedDivergence, CosineDistance, Divergence, LabelLoss
from gendistill.system.store import write_tensors
from gendistill.types import Images, SoftLabels

BASELINE, STATIC, INFER, HARD, FILE = "pruned (LPLD)", "static", "INFER", "hard", "labels.safetensors"
PUBLISHED = """\
| published: ImageNet-1K, ResNet-18, 300 epochs, IPC | 10 | 20 | 50 | 100 | 200 |
|---|---:|---:|---:|---:|---:|
| all labels (as LPLD's authors print it; from memory) | 34.6 | 47.2 | 55.4 | 59.4 | 62.6 |
| LPLD, a fortieth of the bytes | 20.2 | 33.0 | 46.7 | 54.0 | 59.6 |
| LPQLD, a fortieth | 29.6 | 41.2 | 51.3 | 56.2 | 59.9 |"""
"""https://arxiv.org/abs/2410.15919 and https://ieeexplore.ieee.org/document/11395619."""


@dataclass(frozen=True)
class Way:
    """A way to keep labels and to learn from them.

    codec        how a label is kept
    temperature  of a student's loss, in the first epoch
    cooling      how it falls
    loss         what a student minimises
    phases       when labels take turns with hard ones; None for never
    """

    codec: Codec
    temperature: float
    cooling: Cooling | None = None
    loss: LabelLoss = Divergence()
    phases: Phases | None = None


def ways(classes: int, temperature: float) -> Mapping[str, Way]:
    """All of them, the baseline first."""
    k = max(3, classes // 10)
    spread = TopK(k, EightBit(), spread=True, temperature=temperature)
    return {
        BASELINE: Way(Half(), temperature),
        "8 bits": Way(EightBit(), temperature),
        f"{k} likeliest": Way(spread, temperature),
        f"{k} likeliest, spread at 1": Way(replace(spread, temperature=1.0), temperature),
        "LPQLD": Way(TopK(k, Half()), 20.0, Cooling(), AlignedDivergence()),
        f"{k} likeliest, cooled": Way(spread, 20.0, Cooling()),
        "GIFT": Way(EightBit(), temperature, loss=CosineDistance()),
        "HALD": Way(EightBit(), temperature, loss=Divergence(squared=False), phases=Phases()),
    }


def points(classes: int, temperature: float, ratios: Sequence[float], views: int) -> Iterator[tuple[str, int]]:
    """Ways and how many views they keep: as many as a budget holds and students look at, each number once."""
    whole = views * Half().bytes(classes)
    for name, way in ways(classes, temperature).items():
        most = views if way.phases is None else way.phases.soft(views)
        counts = (min(most, int(whole / ratio / way.codec.bytes(classes))) for ratio in ratios)
        yield from ((name, count) for count in dict.fromkeys(counts) if count)


@dataclass(frozen=True)
class Kept(Labeler):
    """What a way keeps of the first views that others labelled.

    whole  who labels, and how many views there are
    codec, cooling, temperature  of the way
    count  how many views are kept
    """

    whole: RelabelViews
    codec: Codec
    cooling: Cooling | None
    temperature: float
    count: int

    def __call__(self, images: Images, context: Context) -> SoftLabels:
        """The same bits as of `RelabelViews` with this codec and count."""
        said = self.whole(images, context)
        key = {"labels": said.fingerprint, "codec": repr(self.codec), "count": self.count}

        def write(folder: Path) -> None:
            everything = torch.arange(len(images))
            rows = [self.codec.encode(said.at(everything, view)) for view in range(self.count)]
            write_tensors(folder / FILE, {name: torch.stack([one[name] for one in rows]) for name in rows[0]})

        file = context.store.folder("kept labels", key, write) / FILE
        return ViewLabels([file], self.whole.views, len(images.classes), self.temperature, self.codec, self.cooling)

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The teachers."""
        return self.whole.origins(licence)


def table(state: dict, chosen_by: dict) -> str:
    """The curve as Markdown, the dearest labels first, and the best within a tenth and a fortieth of the baseline's bytes."""
    rows = sorted(state["rows"], key=lambda row: -row["label_bytes"])
    first = max(ledger.found(state, way=BASELINE), key=lambda row: row["views"], default=None)
    if first is None:
        return "the baseline is not measured yet"
    lines = [
        f"| random real pictures, IPC {first['ipc']} | views | bytes of labels | times smaller | accuracy | less the baseline |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        told = [row["way"], str(row["views"] or ""), spell_bytes(row["label_bytes"]), smaller(row, first)]
        lines.append(f"| {' | '.join([*told, ledger.cell(row), '' if row is first else less(row, first)])} |")
    parts = ["\n".join(lines), *best(state, chosen_by, first), PUBLISHED]
    return "\n\n".join([*parts, *ledger.failed(state), ledger.about(state)])


def best(state: dict, chosen_by: dict, first: dict) -> Iterator[str]:
    """What is left at a tenth and a fortieth; the way is chosen by held-out training pictures."""
    for ratio in (10, 40):
        within = [row for row in chosen_by["rows"] if 0 < row["label_bytes"] * ratio <= first["label_bytes"]]
        if not within:
            continue
        picked = max(within, key=lambda row: row["mean"])
        row = ledger.one(state, way=picked["way"], views=picked["views"])
        if row is not None:
            yield (
                f"{ratio} times smaller, the best on held-out training pictures: {row['way']}, {plural(row['views'], 'view')}, "
                f"{spell_bytes(row['label_bytes'])}: {less(row, first)} points beside the baseline"
            )


def less(row: dict, first: dict) -> str:
    """How far a row is from the baseline, seed by seed."""
    return ledger.less(row["scores"], first["scores"])


def smaller(row: dict, first: dict) -> str:
    """How many times smaller labels are than the baseline's."""
    return f"{first['label_bytes'] / row['label_bytes']:.3g}" if row["label_bytes"] else ""


def main() -> None:
    parser = arguments(__doc__, prior=False)
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument(
        "--ratios", type=float, nargs="+", default=[1, 2, 5, 10, 20, 40], help="of the baseline's bytes"
    )
    parser.add_argument("--ways", nargs="+", help="these only")
    parser.add_argument("--ipc", type=int, default=10)
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of the teachers")
    parser.add_argument("--views", type=int, default=300, help="of the baseline, and epochs of every student")
    parser.add_argument("--width", type=int, default=32, help="of ConvNets")
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    file, judge = (ledger.RESULTS / f"label-economy-{given.name}-{split}.json" for split in (given.split, "val"))
    if given.table:
        print(table(ledger.read(file), ledger.read(judge)))
        return
    ledger.settle(file, **{name: getattr(given, name) for name in ("ipc", "students", "epochs", "views", "width")})
    scene = replace(Scene.of(given), width=given.width)
    opened = Opened(scene, scene.data(given.split))
    plain, context = opened.sets("random_real", given.ipc, draws=given.students, labeler=Hard())
    classes, pictures = len(context.real.classes), len(plain[0].images)
    training = replace(scene.protocol.training, epochs=given.views, least_steps=0, augment=LOOKS["cutmix"])
    protocol = replace(scene.protocol, name="label economy", students=given.students, training=training)
    teachers, temperature = committee(scene, given.epochs), scene.labeler.temperature
    whole = RelabelViews(teachers, "logits", temperature, views=LOOKS["cutmix"], count=given.views, codec=Single())

    def rows(name: str, count: int) -> list[dict]:
        way = ways(classes, temperature).get(name, Way(Half(), temperature))
        labeler, each = Kept(whole, way.codec, way.cooling, way.temperature, count), count * way.codec.bytes(classes)
        if way.phases is not None:
            labeler = Alternate(labeler, way.phases)
        if name == INFER:
            labeler = Interpolate(teachers, "logits", temperature, codec=EightBit(), views=LOOKS["cutmix"])
            each = EightBit().bytes(classes)
        if name == STATIC:
            labeler, each = Relabel(teachers, "logits", temperature, codec=Half()), Half().bytes(classes)
        if name == HARD:
            labeler, each = Hard(), 0
        chosen = replace(protocol, training=replace(training, loss=way.loss), labelers=(labeler,))
        more = {"way": name, "views": count, "label_bytes": pictures * each}
        return [ledger.entry(row, **more) for row in measure({"random_real": plain}, chosen, context).rows]

    for name, count in [
        *points(classes, temperature, given.ratios, given.views),
        *((one, 0) for one in (STATIC, INFER, HARD)),
    ]:
        if name in (given.ways or [name]):
            key = {"way": name, "views": count}
            ledger.add(file, f"{name}, {plural(count, 'view')}", key, partial(rows, name, count))


if __name__ == "__main__":
    main()
