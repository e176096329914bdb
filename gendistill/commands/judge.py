"""Commands that judge sets and put results side by side: evaluate, rank, compare."""

from __future__ import annotations

from pathlib import Path

import click

from gendistill.commands.base import changes, device, protocol, protocol_of, source_of, typed
from gendistill.commands.console import hide_bars, resumable
from gendistill.commands.places import called, check_page, check_place, check_results


@click.command()
@click.argument("path")
@changes
@click.option("--real", metavar="SOURCE", help="The real data to compare with, where the set does not say it itself.")
@protocol
@click.option(
    "--fidelity",
    is_flag=True,
    help="Also say how the pictures lie among the real training pictures, and whether they are copies of them.",
)
@click.option(
    "--features",
    metavar="NETWORK",
    help="In whose features that is said, 'TimmClassifier(\"resnet50.a1_in1k\")', 'Clip()' ...; by default those of a student of "
    "all real pictures.",
)
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="File of results, which `gendistill compare` reads."
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="The report as one HTML file.")
@device
def evaluate(
    path: str,
    changes: tuple[str, ...],
    real: str | None,
    protocol: str | None,
    fidelity: bool,
    features: str | None,
    to: Path | None,
    page: Path | None,
    device: str,
) -> None:
    """Say what any small set is worth.

    Trains students on it, on random real pictures and on all real ones.

    PATH is a run or one of its sets, a folder of images or Parquet files, a data set of the hub, or a .pt file of images and
    labels. A run's metrics.json and report.html have the new numbers thereafter, where it is judged by its own real data; one
    that was drawn from names alone keeps to the first it is judged by.

    Words of the form path=value change the protocol: students=5, training.epochs=300, stress='Stress(most=200)'.
    """
    from gendistill.config.fields import fit
    from gendistill.config.overrides import read_value

    if to is not None:
        check_results(to, path)
    if page is not None:
        check_page(page)
    chosen = protocol_of(protocol, changes)
    against = None if real is None else source_of(real, "--real")
    from gendistill.evaluation.comparing.results import check_same, fingerprints_of, of_report
    from gendistill.evaluation.elsewhere import leakage_of
    from gendistill.evaluation.evaluate import evaluate as judge
    from gendistill.evaluation.keep import keep, kept_as
    from gendistill.evaluation.page import page as draw
    from gendistill.evaluation.sets.opened import open_sets
    from gendistill.nets.reference import Reference
    from gendistill.provenance import Provenance
    from gendistill.system.progress import progress
    from gendistill.system.store import write_json

    seen = None if features is None else fit(read_value(features), Reference, "--features")
    hide_bars()
    with resumable("Finished students are kept; run the same command to go on."):
        opened = open_sets(path, real=against, device=device, progress=progress)
        made, context, folder, name = opened.sets, opened.context, Path(path), called(path)
        if to is not None:
            check_same(to, name, made, context.real)
        kept = kept_as(made[0], folder, context)  # before the work
        report = judge(opened, chosen, fidelity=fidelity, features=seen)
    leakage = leakage_of(made[0], context)
    click.echo(f"{report}\n\nLeakage: {leakage}")
    if to is not None:
        write_json(to, {"fingerprints": fingerprints_of(made), **of_report(report, name, context.real, leakage)})
    if page is not None:
        about = Provenance(**made[0].origin)
        draw(made[0], report, path=page, command=typed(), byte_sizes=made[0].sizes, provenance=about)
    if kept is not None:
        keep(report, made[0], folder, kept)
        click.echo(f"\n{folder / 'metrics.json'}\n{folder / 'report.html'}")


@click.command()
@click.argument("path")
@changes
@click.option("--real", metavar="SOURCE", help="The real data, where the set does not name them itself.")
@click.option(
    "--labeler",
    metavar="LABELER",
    help="Who labels the set and random real pictures alike, 'Relabel((Trained(),), average=\"logits\")' ...; by default the "
    "protocol's, or the recipe's.",
)
@click.option(
    "--rates",
    metavar="RATES",
    help="Learning rates to choose from.  [default: 0.001,0.005,0.01,0.05,0.1 and the protocol's]",
)
@protocol
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="File of results, which `gendistill compare` reads."
)
@device
def rank(
    path: str,
    changes: tuple[str, ...],
    real: str | None,
    labeler: str | None,
    rates: str | None,
    protocol: str | None,
    to: Path | None,
    device: str,
) -> None:
    """Score any small set by LRS and ARS, which ask what labels and augmentation hide.

    The label-robust and the augmentation-robust score of DD-Ranking (https://arxiv.org/abs/2505.13300) by their formulas: the set
    and random real pictures, with hard labels and with those of its method, with augmentation and without. Learning rates are
    chosen on held-out training pictures.

    PATH is what `gendistill evaluate` takes. Words of the form path=value change the protocol: students=5, training.epochs=300.
    """
    from gendistill.config.fields import fit
    from gendistill.config.overrides import read_value

    if to is not None:
        check_results(to, path, ranked=True)
    chosen = protocol_of(protocol, changes)
    against = None if real is None else source_of(real, "--real")
    from gendistill.evaluation.comparing.results import check_same, fingerprints_of
    from gendistill.evaluation.ranking.rank import rank as score
    from gendistill.evaluation.sets.opened import open_sets
    from gendistill.labelers.base import Labeler
    from gendistill.system.progress import progress
    from gendistill.system.store import write_json

    asked = None if labeler is None else fit(read_value(labeler), Labeler, "--labeler")
    tried = None if rates is None else fit(read_value(f"({rates},)"), tuple[float, ...], "--rates")
    name = called(path)
    hide_bars()
    with resumable("Finished students are kept; run the same command to go on."):
        opened = open_sets(path, real=against, device=device, progress=progress)
        if to is not None:
            check_same(to, name, opened.sets, opened.context.real)
        found = score(opened, chosen, labeler=asked, rates=tried)
    click.echo(f"{found}")
    if to is not None:
        write_json(to, {"fingerprints": fingerprints_of(opened.sets), **found.to_json(name)})


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Folder for compare.html and results.json."
)
def compare(runs: tuple[str, ...], to: Path | None) -> None:
    """Put any number of runs side by side.

    Prints what may be compared and which differences are more than chance. --to also writes a page, and all numbers as a file
    of results that others can add to: give its folder as a RUN, too, to keep what was added. Results that are in no RUN are not
    overwritten.

    RUN is a run, or a file of results: JSON such as {"rows": [{"set": ..., "labels": ..., "student": ..., "protocol": ...,
    "data": ..., "bytes": ..., "mean": ..., "n": ...}]}; published numbers say "published": true and their "rule". NAME=RUN
    calls it otherwise; runs of one name are one set at several sizes, or the same pictures with several labels.
    """
    from gendistill.evaluation.comparing.compare import compare as side_by_side
    from gendistill.evaluation.comparing.page import write

    if to is not None:
        check_place(to / "results.json")
        check_page(to / "compare.html")
    found = side_by_side(runs, into=to)
    click.echo(str(found))
    if to is not None:
        click.echo(f"\n{write(found, to)}")
