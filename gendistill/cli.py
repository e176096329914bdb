"""The command line. Every command imports what it needs when it runs, so that help answers at once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gendistill.console import execute, hide_bars, prepare, resumable
from gendistill.environment import version
from gendistill.options import given_settings, options_of, settings_of

if TYPE_CHECKING:
    from gendistill.pipeline import Pipeline

PRIOR_SETTINGS = settings_of(Path(__file__).parent / "priors" / "training" / "settings.py", "PriorTraining")

OVERRIDES = """

    Words of the form path=value change the recipe: ipc=10, steering.1.cfg=2.0, 'prior=LatentDiffusion("folder")',
    'real=Folder("train", test="test", size=64)'. The protocol is changed by protocol.path=value. Values are Python
    literals or parts; other words are strings.
"""

device = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|mps", help="Where to compute; also cuda:1 ..."
)
dtype = click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Of the generative network; guidance, decoding and labels are float32 always.",
)
changes = click.argument("changes", nargs=-1, metavar="[path=value]...")
pipeline = click.argument("pipeline", metavar="PIPELINE")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(version(), message="gendistill %(version)s")
def cli() -> None:
    """Dataset distillation with generative models."""
    prepare()


@cli.command()
@pipeline
@changes
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; begin it if there is none.")
@click.option("--overwrite", is_flag=True, help="Remove the run in --out and begin anew.")
@device
@dtype
def run(
    pipeline: str, changes: tuple[str, ...], out: Path, resume: bool, overwrite: bool, device: str, dtype: str
) -> None:
    """Distil, evaluate, export and report.

    Makes the pictures, labels them, trains students on them and on random real ones, exports the set and writes a page.

    PIPELINE is a name that `gendistill list` shows, or the path of a Python file with `recipe` and `protocol`.
    """
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    chosen = _altered(pipeline, changes)
    from gendistill.environment import pick_device
    from gendistill.experiment import run as run_pipeline

    hide_bars()
    with resumable("Finished shards are kept; run the same command with --resume (and without --overwrite) to go on."):
        done = run_pipeline(
            chosen.recipe,
            chosen.protocol,
            out,
            resume=resume,
            overwrite=overwrite,
            device=pick_device(device),
            dtype=dtype,
            command=shlex.join(["gendistill", *sys.argv[1:]]),
        )
    if done.report.rows:  # of several processes, the first has the report
        click.echo(f"{done.report}\n\n{done.folder / 'dataset'}\n{done.folder / 'report.html'}")


@cli.command("list")
def list_() -> None:
    """List the pipelines, one published method each."""
    from gendistill.pipeline import list_pipelines

    found = list_pipelines()
    width = max((len(listed.name) for listed in found), default=0)
    for listed in found:
        click.echo(f"{listed.name:<{width}}  {listed.title}")


@cli.command()
@pipeline
@changes
@device
@dtype
def plan(pipeline: str, changes: tuple[str, ...], device: str, dtype: str) -> None:
    """Say what a run would do and cost.

    Times one step, runs nothing else and writes nothing.
    """
    chosen = _altered(pipeline, changes)
    from gendistill.environment import pick_device
    from gendistill.plan import plan as make_plan

    hide_bars()
    click.echo(str(make_plan(chosen.recipe, chosen.protocol, pick_device(device), dtype)))


@cli.command("train-prior")
@click.option(
    "--train_data", required=True, metavar="SOURCE", help="A folder, 'Parquet(train=\"...\")', 'Digits(size=16)' ..."
)
@click.option(
    "--output_dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the prior."
)
@click.option("--resume_from_checkpoint", metavar="latest|PATH", help="Go on with an interrupted training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Everything random follows from it.")
@options_of(PRIOR_SETTINGS)
@device
def train_prior(
    train_data: str, output_dir: Path, resume_from_checkpoint: str | None, seed: int, device: str, **words: Any
) -> None:
    """Train a small diffusion prior on your pictures.

    An autoencoder and a diffusion transformer; a folder comes out that stock diffusers opens. Use it with
    prior='LatentDiffusion("FOLDER")'. Settings without a default follow from the size of the pictures.
    """
    from gendistill.environment import pick_device
    from gendistill.fields import construct
    from gendistill.priors.train import PriorTraining
    from gendistill.priors.train import train_prior as train
    from gendistill.progress import progress

    hide_bars()
    settings = construct(PriorTraining, (), given_settings(PRIOR_SETTINGS, words))
    real = _source(train_data, "--train_data").open()
    with resumable("Run the same command with --resume_from_checkpoint latest to go on."):
        folder = train(
            real.train,
            output_dir,
            settings,
            device=pick_device(device),
            seed=seed,
            progress=progress,
            resume_from_checkpoint=resume_from_checkpoint,
            name=real.name,
            licence=real.licence,
        )
    click.echo(f"{folder}")


@cli.command()
@click.argument("path")
@changes
@click.option("--real", metavar="SOURCE", help="The real data to compare with, where the set does not say it itself.")
@click.option(
    "--protocol", metavar="NAME", help="A named protocol, Protocol(...), or a pipeline whose protocol to take."
)
@device
def evaluate(path: str, changes: tuple[str, ...], real: str | None, protocol: str | None, device: str) -> None:
    """Say what any small set is worth.

    Trains students on it, on random real pictures and on all real ones.

    PATH is a run, a folder of images or Parquet files, a data set of the hub, or a .pt file of images and labels.
    Words of the form path=value change the protocol: students=5, training.epochs=300.
    """
    from gendistill.environment import pick_device
    from gendistill.overrides import alter_all, read_change

    chosen = alter_all(_protocol(protocol), [read_change(word.removeprefix("protocol.")) for word in changes])
    against = None if real is None else _source(real, "--real")
    from gendistill.evaluation.evaluate import evaluate_path

    hide_bars()
    with resumable("Finished students are kept; run the same command to go on."):
        click.echo(str(evaluate_path(path, against, chosen, pick_device(device))))


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write.")
@click.option("--imagefolder", is_flag=True, help="Plain PNG files, a folder per class: hard labels only.")
def export(run: Path, to: Path, imagefolder: bool) -> None:
    """Write a run's set as a Hugging Face data set."""
    import json

    from gendistill.distilled import load
    from gendistill.evaluation.report import Report
    from gendistill.export import export as write
    from gendistill.export import imagefolder as write_files

    hide_bars()
    made, metrics, about = load(run), run / "metrics.json", run / "run.json"
    if imagefolder:
        click.echo(f"{write_files(made, to)}")
        return
    report = Report.from_json(json.loads(metrics.read_text())) if metrics.is_file() else None
    provenance = json.loads(about.read_text()).get("provenance") if about.is_file() else None
    click.echo(f"{write(made, to, report=report, provenance=provenance)}")


@cli.command()
@click.argument("pipeline", required=False, metavar="[PIPELINE]")
@changes
def cite(pipeline: str | None, changes: tuple[str, ...]) -> None:
    """Print BibTeX for a pipeline and its parts."""
    from gendistill.cite import cite as entries

    click.echo(entries(*([] if pipeline is None else [_altered(pipeline, changes)])), nl=False)


@cli.command()
def env() -> None:
    """Print versions, devices and what is missing."""
    from gendistill.environment import describe

    click.echo(describe())


for command in (run, plan):
    command.help = f"{command.help}{OVERRIDES}"


def main() -> None:
    """Run the command line of this process."""
    sys.exit(execute(cli, sys.argv[1:]))


def _altered(name: str, changes: tuple[str, ...]) -> Pipeline:
    """The pipeline of this name after the changes of a command line."""
    from dataclasses import replace

    from gendistill.pipeline import find_pipeline

    found = find_pipeline(name)
    from gendistill.overrides import override  # this is what takes seconds

    recipe, protocol = override(found.recipe, found.protocol, changes)
    return replace(found, recipe=recipe, protocol=protocol)


def _source(text: str, option: str) -> Any:
    """Real data from a source expression, or from the path of a folder of images or of a Parquet file."""
    from gendistill.fields import construct, fit
    from gendistill.overrides import read_value
    from gendistill.parts import parts
    from gendistill.types import Source

    value = read_value(text)
    if isinstance(value, str) and Path(value).exists():
        return construct(parts()["Parquet" if value.endswith(".parquet") else "Folder"], (), {"train": value})
    return fit(value, Source, option)


def _protocol(text: str | None) -> Any:
    """The protocol an option names."""
    from gendistill.evaluation.protocols import SCREENING, Protocol
    from gendistill.fields import fit, nearest
    from gendistill.overrides import read_value
    from gendistill.parts import named_values
    from gendistill.pipeline import find_pipeline, list_pipelines
    from gendistill.types import UserError

    if text is None:
        return SCREENING
    if text in [listed.name for listed in list_pipelines()]:
        return find_pipeline(text).protocol
    named = [name for name, value in named_values().items() if isinstance(value, Protocol)]
    value = read_value(text)
    if isinstance(value, str):
        raise UserError(f"there is no protocol {text!r}{nearest(text, named)}\nprotocols: {', '.join(sorted(named))}")
    return fit(value, Protocol, "--protocol")
