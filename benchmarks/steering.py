"""Every pipeline on one data set with one prior: accuracy with hard and soft labels, beside what each must beat.

    python benchmarks/steering.py cifar10 --train 'cifar10/train-*.parquet' --test 'cifar10/test-*.parquet' --size 32 \
        --prior cifar10_dit --ipc 1 10

Goes on where it was stopped: sets and students are kept in the cache, rows in ``results/steering-NAME.json``. ``--split val``
judges by a tenth of the training pictures, which no row is made from, and is what settings are chosen by; the test pictures
are opened by ``--split test`` alone. ``--protocol matching`` trains students as the field does, minutes each. ``--pipelines``
takes the names in ``candidates/``, too. ``--pictures FILE`` draws what was made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from ledger import RESULTS, about, add, cell, failed, read, updated
from scene import Opened, Scene, arguments

from gendistill.config.pipeline import list_pipelines
from gendistill.distilled import Distilled
from gendistill.evaluation.evaluate import measure
from gendistill.evaluation.metrics.features import features, features_of
from gendistill.evaluation.metrics.fidelity import frechet
from gendistill.evaluation.protocols import Protocol
from gendistill.formatting import spell_bytes
from gendistill.images import Subset
from gendistill.learning.training import accuracy
from gendistill.nets import trained
from gendistill.pictures import sheet
from gendistill.types import Images

LEFT_OUT = ("demo",)
"""Not a method of its own, or made for other data."""
GENERATORS = ("unsteered glad", "unsteered dim")
"""A GAN as it is: drawn once, and drawn anew for every epoch."""


def rows(opened: Opened, name: str, ipc: int, protocol: Protocol, labels: Sequence[str]) -> list[dict]:
    """The rows of one pipeline at one IPC."""
    made, context = opened.sets(name, ipc, draws=protocol.students)
    if "soft" not in labels:
        made = [one.hard() for one in made]
    return [asdict(row) for row in measure({name: made}, protocol, context).rows]


def whole(opened: Opened) -> list[dict]:
    """All real pictures."""
    scene, made = opened.scene, [Distilled.of(opened.data.train)]
    context = opened.context(scene.recipe("random_real", 1))
    return [asdict(row) for row in measure({"full_real": made}, scene.protocol, context).rows]


def prior_quality(opened: Opened, name: str = "diffusion", ipc: int = 100, **settings: float) -> dict:
    """What a checkpoint is worth: its hash, the class its samples show, and their Fréchet distance to real pictures.

    Samples are those of a pipeline that does not steer, with other ``settings`` of its sampler. Classes and features are those of
    a network that guides and labels no row (seed 9). Held-out real pictures, as many where there are so many, say what can be had.
    """
    scene, changes = opened.scene, {}
    if settings:
        changes = {"steering": (replace(scene.recipe(name, ipc).steering[0], **settings),)}
    (found,), context = opened.sets(name, ipc, block=50, **changes)
    assert context.real.test is not None and context.prior is not None
    made, real, held = found.images, context.real.train, context.real.test()
    net = trained.load(replace(scene.teacher, seed=9), context)

    def spread(images: Images) -> Images:
        return Subset(images, torch.linspace(0, len(images) - 1, min(len(made), len(images))).long())

    wanted = features(spread(real), features_of(net), context.device)
    return {"fingerprint": context.prior.fingerprint, **settings} | {
        what: {
            "pictures": len(images),
            "classified": accuracy(net, images, context.device),
            "frechet": frechet(features(images, features_of(net), context.device), wanted),
        }
        for what, images in (("samples", made), ("held-out", spread(held)))
    }


def checkpoints(state: dict) -> list[str]:
    """The checkpoints of all rows in words; nothing where they were not judged."""
    told = []
    for kind, prior in (("Prior", state.get("prior")), ("GAN", state.get("gan"))):
        if prior is None:
            continue
        drawn = f"samples at cfg {prior['cfg']}" if "cfg" in prior else "samples"
        parts = [
            f"{one['classified']:.1f} % of {one['pictures']:,} {what} show their class, Fréchet distance {one['frechet']:.1f}"
            for what, one in ((drawn, prior["samples"]), ("held-out real pictures", prior["held-out"]))
        ]
        told.append(f"{kind} {prior['fingerprint']}: {'; '.join(parts)}.")
    return told


def table(state: dict) -> str:
    """The rows as Markdown, one table a protocol and IPC, the best with hard labels first."""
    parts = []
    for protocol, ipc in sorted({(row["protocol"], row["ipc"]) for row in state["rows"] if row["ipc"]}):
        mine: dict[str, dict[str, dict]] = {}
        for row in state["rows"]:
            if row["protocol"] == protocol and row["ipc"] in (ipc, None):
                mine.setdefault(row["set"], {})[row["labels"]] = row
        lines = [f"| {protocol}, IPC {ipc} | hard labels | soft labels | bytes |", "|---|---:|---:|---:|"]
        for name, kinds in sorted(mine.items(), key=lambda item: -item[1]["hard"]["mean"]):
            cells = [cell(kinds.get(kind)) for kind in ("hard", "soft")]
            lines.append(f"| `{name}` | {' | '.join(cells)} | {spell_bytes(kinds['hard']['bytes'])} |")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *checkpoints(state), *failed(state), about(state)])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--ipc", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument(
        "--pipelines", nargs="*", help="these only; of none, all real pictures and the checkpoint alone"
    )
    parser.add_argument("--protocol", choices=["screening", "matching"], default="screening")
    parser.add_argument(
        "--labels", choices=["hard", "soft"], nargs="+", default=["hard", "soft"], help="hard alone, or both"
    )
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    parser.add_argument("--pictures", type=Path, help="draw pictures of --pipelines to this PNG, and measure nothing")
    given = parser.parse_args()
    if given.pictures and not given.pipelines:
        parser.error("--pictures draws those of --pipelines")
    if given.pictures and not given.pictures.parent.is_dir():
        parser.error(f"--pictures {given.pictures}: there is no folder {given.pictures.parent}")
    logging.basicConfig(level=logging.WARNING)
    scene = Scene.of(given)
    file = RESULTS / f"steering-{given.name}-{given.split}.json"
    if given.table:
        print(table(read(file)))
        return
    opened = Opened(scene, scene.data(given.split))
    first = ["random_real", "diffusion", *GENERATORS * bool(given.gan)]
    every = [*first, *(p.name for p in list_pipelines() if p.name not in (*first, *LEFT_OUT))]
    names = every if given.pipelines is None else given.pipelines
    if given.pictures:
        drawn = [(f"IPC {ipc}: {name}", firsts(opened, name, ipc)) for ipc in given.ipc for name in names]
        sheet(drawn, side=2 * given.size).save(given.pictures)
        return
    protocol = scene.protocol if given.protocol == "screening" else scene.matching
    for ipc in sorted(given.ipc, reverse=True):
        for name in names:
            title, key = titled(scene, name, ipc, protocol)
            add(file, title, key, lambda name=name, ipc=ipc: rows(opened, name, ipc, protocol, given.labels))
    if not given.pipelines and protocol == scene.protocol:
        full, judged = whole(opened), {"prior": prior_quality(opened, cfg=1.5)}
        if scene.gan:
            judged["gan"] = prior_quality(opened, "unsteered glad")
        with updated(file) as state:
            state["rows"] = [row for row in state["rows"] if row["set"] != "full_real"] + full
            state.update(judged)


def firsts(opened: Opened, name: str, ipc: int) -> torch.Tensor:
    """The first picture of every class of a set, (classes, c, h, w) uint8."""
    images = opened.sets(name, ipc)[0][0].images
    return images.stored([int(images.where(c)[0]) for c in range(len(images.classes))])


def titled(scene: Scene, name: str, ipc: int, protocol: Protocol) -> tuple[str, dict[str, object]]:
    """What a pipeline's rows at one IPC are called where they fail, and what they have in common."""
    title = f"{name} ipc {ipc}" + (f" {protocol.name}" if protocol != scene.protocol else "")
    return title, {"set": name, "ipc": ipc, "protocol": protocol.name}


if __name__ == "__main__":
    main()
