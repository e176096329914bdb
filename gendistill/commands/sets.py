"""Commands for what is made of finished sets: relabel, export."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from gendistill.commands.base import changes, device, protocol, protocol_of, source_of, typed
from gendistill.commands.console import hide_bars, resumable
from gendistill.commands.places import check_folder


@click.command()
@click.argument("path")
@changes
@click.option("--budget", required=True, metavar="BYTES", help="Of the soft labels of a set: 20MB, 500kB, 1500000.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the set with its new labels.",
)
@click.option(
    "--teachers", metavar="TEACHERS", help="Who labels, 'Trained(), Trained(seed=1)' ...; by default the recipe's."
)
@click.option("--average", type=click.Choice(["logits", "probs"]), help="What is averaged over --teachers.")
@click.option("--temperature", type=float, help="Of a student's loss with the labels of --teachers.  [default: 1.0]")
@click.option(
    "--views",
    metavar="VIEWS",
    help="What is labelled, 'Views((Shift(4), Flip()), mix=None)' ...; by default the recipe's, or Views() if it labels none.",
)
@click.option("--real", metavar="SOURCE", help="The real data, where the set does not name them itself.")
@protocol
@device
def relabel(
    path: str,
    changes: tuple[str, ...],
    budget: str,
    out: Path,
    teachers: str | None,
    average: str | None,
    temperature: float | None,
    views: str | None,
    real: str | None,
    protocol: str | None,
    device: str,
) -> None:
    """Label a finished set anew within a budget of bytes.

    Few labels in full, or many coarse ones: students try what fits, and real training pictures that no student saw judge them. The
    test pictures stay closed: `gendistill evaluate FOLDER` opens them. The folder that comes out is read as a run is.

    PATH is a run, all of whose sets are labelled, or one of them, such as runs/mgd3/sets/seed-0; or, with --real, --teachers and
    --average, a set of others: a folder of images or Parquet files, a .pt file, a data set of the hub.

    Words of the form path=value change the protocol: students=5, training.epochs=300.
    """
    if (teachers is None) != (average is None):
        raise click.UsageError(
            "--teachers and --average go together: whether logits or probabilities are averaged has no default"
        )
    if temperature is not None and teachers is None:
        raise click.UsageError("--temperature is that of labels by --teachers; the recipe's labeler has its own")
    from gendistill.config.fields import construct, fit
    from gendistill.config.overrides import read_value
    from gendistill.formatting import bytes_of

    check_folder(out, "relabel")
    limit = bytes_of(budget)
    chosen = protocol_of(protocol, changes)
    against = None if real is None else source_of(real, "--real")
    from gendistill.labelers.relabel import Relabel
    from gendistill.relabeling.relabel import relabel as label
    from gendistill.system.progress import progress
    from gendistill.views.numbered import Views

    asked = None
    if teachers is not None:
        given = read_value(teachers)
        words = {"teachers": given if isinstance(given, tuple | list) else (given,), "average": average}
        asked = construct(Relabel, (), words | ({} if temperature is None else {"temperature": temperature}))
    hide_bars()
    with resumable("Labels and students are kept; run the same command to go on."):
        done = label(
            path,
            out,
            limit,
            labeler=asked,
            views=None if views is None else fit(read_value(views), Views, "--views"),
            real=against,
            protocol=chosen,
            device=device,
            progress=progress,
            command=typed(),
        )
    click.echo(f"{done}\n\n{done.folder}")
    more = ["--protocol", protocol] if protocol else []
    more += [] if real is None else ["--real", real]
    click.echo(
        f"What it is worth on the test pictures: {shlex.join(['gendistill', 'evaluate', str(out), *changes, *more])}"
    )


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write.")
@click.option("--imagefolder", is_flag=True, help="Plain PNG files, a folder per class: hard labels only.")
def export(run: Path, to: Path, imagefolder: bool) -> None:
    """Write a run's set as a Hugging Face data set."""
    check_folder(to, "imagefolder" if imagefolder else "export")
    from gendistill.exporting import export as writers

    hide_bars()
    click.echo(f"{writers.imagefolder(run, to) if imagefolder else writers.export(run, to)}")
