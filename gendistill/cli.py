"""The command line. Every command imports what it needs when it runs, so that help answers at once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gendistill.console import execute, hide_bars, prepare, resumable
from gendistill.environment import version
from gendistill.options import given_settings, merged, options_of, settings_of

if TYPE_CHECKING:
    from gendistill.pipeline import Pipeline

TRAINING = Path(__file__).parent / "priors" / "training"
FAMILIES = {
    "diffusion": settings_of(TRAINING / "settings.py", "PriorTraining"),
    "gan": settings_of(TRAINING / "gan_settings.py", "GanTraining"),
}
PRIOR_SETTINGS = merged(FAMILIES)
TUNING_SETTINGS = settings_of(TRAINING / "tuning_settings.py", "FineTuning")

FROM_PROMPTS = [
    one for one in settings_of(Path(__file__).parent / "from_prompts.py", "FromPrompts") if one.name != "soft"
]

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
out = click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the run.")
resume = click.option("--resume", is_flag=True, help="Go on with the run in --out; begin it if there is none.")
overwrite = click.option("--overwrite", is_flag=True, help="Remove the run in --out and begin anew.")
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
@out
@resume
@overwrite
@device
@dtype
def run(
    pipeline: str, changes: tuple[str, ...], out: Path, resume: bool, overwrite: bool, device: str, dtype: str
) -> None:
    """Distil, evaluate, export and report.

    Makes the pictures, labels them, trains students on them and on random real ones, exports the set and writes a page.

    PIPELINE is a name that `gendistill list` shows, or the path of a Python file with `recipe` and `protocol`.
    """
    one_of(resume, overwrite)
    chosen = _altered(pipeline, changes)
    _run(chosen.recipe, chosen.protocol, out, resume=resume, overwrite=overwrite, device=device, dtype=dtype)


@cli.command()
@options_of(FROM_PROMPTS)
@click.option(
    "--soft/--hard", "soft", default=None, help="Labels by --clip, or the class asked for.  [default: soft with --clip]"
)
@out
@resume
@overwrite
@device
@dtype
def generate(
    soft: bool | None, out: Path, resume: bool, overwrite: bool, device: str, dtype: str, **words: Any
) -> None:
    """Make a labelled set from prompts alone, without real pictures.

    A text-to-image prior draws the classes of an ImageNet subset, or any others; zero-shot classifiers (--clip) keep the best of
    several candidates and label them. There is nothing real to compare with, so nothing is evaluated: `gendistill evaluate DIR
    --real SOURCE` does it where you have real pictures.
    """
    one_of(resume, overwrite)
    from gendistill.evaluation.protocols import SCREENING
    from gendistill.fields import construct
    from gendistill.from_prompts import FromPrompts

    told = construct(FromPrompts, (), {**given_settings(FROM_PROMPTS, words), "soft": soft})
    _run(told.recipe(), SCREENING, out, resume=resume, overwrite=overwrite, device=device, dtype=dtype)


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
    "--family", type=click.Choice(list(FAMILIES)), default="diffusion", show_default=True, help="What kind of prior."
)
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
    family: str,
    train_data: str,
    output_dir: Path,
    resume_from_checkpoint: str | None,
    seed: int,
    device: str,
    **words: Any,
) -> None:
    """Train a small prior on your pictures.

    diffusion: an autoencoder and a diffusion transformer; a folder comes out that stock diffusers opens. Use it with
    prior='LatentDiffusion("FOLDER")'.

    gan: a generator and a discriminator. Use it with prior='Gan("FOLDER")'.

    Settings without a default follow from the size of the pictures.
    """
    from gendistill.environment import pick_device
    from gendistill.fields import construct
    from gendistill.priors.train import PriorTraining
    from gendistill.priors.train import train_prior as train_diffusion
    from gendistill.priors.train_gan import GanTraining, train_gan
    from gendistill.progress import progress

    hide_bars()
    kind, train = {"diffusion": (PriorTraining, train_diffusion), "gan": (GanTraining, train_gan)}[family]
    settings = construct(kind, (), given_settings(PRIOR_SETTINGS, words))
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
@click.option(
    "--pretrained_model_name_or_path",
    "pretrained",
    required=True,
    metavar="PRIOR",
    help="A hub id, a folder, or 'TextToImage(\"...\", guidance=4.0)', 'LatentDiffusion(\"...\", rows=(5,))'.",
)
@click.option("--revision", help="Of the hub repository.")
@click.option("--variant", help="Of the files, such as fp16.")
@click.option(
    "--train_data", required=True, metavar="SOURCE", help="A folder of class folders, 'Parquet(train=\"...\")' ..."
)
@click.option(
    "--prompts", metavar="TEMPLATE", help="What is said for a class: 'a photo of {article} {name}', Prompts(...)"
)
@click.option(
    "--objectives",
    multiple=True,
    metavar="OBJECTIVE",
    help="Wanted beside the diffusion loss, 'Representativeness(weight=0.002)' ...; may be given several times.",
)
@click.option(
    "--output_dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of what comes out."
)
@click.option("--resume_from_checkpoint", metavar="latest|PATH", help="Go on with an interrupted training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Everything random follows from it.")
@options_of(TUNING_SETTINGS)
@click.option("--push_to_hub", is_flag=True, help="Upload the folder when it is finished.")
@click.option("--hub_model_id", help="Repository to upload to; by default called as the folder is.")
@click.option("--hub_token", help="Token that may write; by default that of `hf auth login`.")
@device
def finetune(
    pretrained: str,
    revision: str | None,
    variant: str | None,
    train_data: str,
    prompts: str | None,
    objectives: tuple[str, ...],
    output_dir: Path,
    resume_from_checkpoint: str | None,
    seed: int,
    push_to_hub: bool,
    hub_model_id: str | None,
    hub_token: str | None,
    device: str,
    **words: Any,
) -> None:
    """Train a diffusion prior further on your pictures.

    Text-to-image pipelines and class-conditional DiT. Low-rank changes come out as pipe.load_lora_weights(FOLDER) takes them,
    everything else as a pipeline for DiffusionPipeline.from_pretrained(FOLDER); so too low-rank changes of DiT and PixArt,
    which have no such loader.
    """
    if (hub_model_id or hub_token) and not push_to_hub:
        raise click.UsageError("--hub_model_id and --hub_token do nothing without --push_to_hub")
    from gendistill import ranks
    from gendistill.environment import pick_device
    from gendistill.fields import construct, fit
    from gendistill.finetuning import FineTuning
    from gendistill.finetuning import finetune as train
    from gendistill.objectives.base import Objective
    from gendistill.overrides import read_value
    from gendistill.priors.named import framed, prior_of
    from gendistill.progress import progress
    from gendistill.upload import repository, upload

    hide_bars()
    settings = construct(FineTuning, (), given_settings(TUNING_SETTINGS, words))
    read = [read_value(word) for word in objectives]
    wanted = [one for value in read for one in (value if isinstance(value, tuple | list) else (value,))]
    prior = prior_of(pretrained, revision=revision, variant=variant, prompts=prompts)
    real = framed(_source(train_data, "--train_data"), prior, settings.resolution)
    to = repository(hub_model_id or output_dir.name, hub_token) if push_to_hub and ranks.first() else None
    with resumable("Run the same command with --resume_from_checkpoint latest to go on."):
        folder = train(
            prior,
            real,
            output_dir,
            settings,
            fit(wanted, tuple[Objective, ...], "--objectives"),
            device=pick_device(device),
            seed=seed,
            progress=progress,
            resume_from_checkpoint=resume_from_checkpoint,
            command=shlex.join(_without("--hub_token", ["gendistill", *sys.argv[1:]])),
        )
    if to is not None:
        upload(folder, to, hub_token)
    click.echo(f"{folder}")


@cli.command()
@click.argument("path")
@changes
@click.option("--real", metavar="SOURCE", help="The real data to compare with, where the set does not say it itself.")
@click.option(
    "--protocol", metavar="NAME", help="A named protocol, Protocol(...), or a pipeline whose protocol to take."
)
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="File of results, which `gendistill compare` reads."
)
@device
def evaluate(
    path: str, changes: tuple[str, ...], real: str | None, protocol: str | None, to: Path | None, device: str
) -> None:
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
        report = evaluate_path(path, against, chosen, pick_device(device))
    click.echo(str(report))
    if to is not None:
        from gendistill.distilled import load
        from gendistill.evaluation.results import of_report
        from gendistill.store import write_json

        write_json(to, of_report(report, Path(path).name, (against or load(path).recipe.real).open()))


@cli.command()
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
    help="What is labelled, 'Views((Shift(4), Flip()), mix=None)' ...; by default the recipe's.",
)
@click.option("--real", metavar="SOURCE", help="The real data, where the set does not name them itself.")
@click.option(
    "--protocol",
    metavar="NAME",
    help="How students learn: a named protocol, Protocol(...), or a pipeline whose to take.",
)
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
    test pictures stay closed. The folder that comes out is read by evaluate and export as a run is.

    PATH is a run. Words of the form path=value change the protocol: students=5, training.epochs=300.
    """
    if (teachers is None) != (average is None):
        raise click.UsageError(
            "--teachers and --average go together: whether logits or probabilities are averaged has no default"
        )
    if temperature is not None and teachers is None:
        raise click.UsageError("--temperature is that of labels by --teachers; the recipe's labeler has its own")
    from gendistill.environment import pick_device
    from gendistill.fields import construct, fit
    from gendistill.formatting import bytes_of
    from gendistill.overrides import alter_all, read_change, read_value

    limit = bytes_of(budget)
    chosen = alter_all(_protocol(protocol), [read_change(word.removeprefix("protocol.")) for word in changes])
    against = None if real is None else _source(real, "--real")
    from gendistill.labelers.relabel import Relabel
    from gendistill.progress import progress
    from gendistill.relabeling import relabel as label
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
            device=pick_device(device),
            progress=progress,
            command=shlex.join(["gendistill", *sys.argv[1:]]),
        )
    click.echo(f"{done}\n\n{done.folder}")


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
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Folder for compare.html and results.json."
)
def compare(runs: tuple[str, ...], to: Path | None) -> None:
    """Put any number of runs side by side.

    Prints what may be compared and which differences are more than chance. --to also writes a page, and all numbers as a file
    of results that others can add to.

    RUN is a run, or a file of results: JSON such as {"rows": [{"set": ..., "labels": ..., "student": ..., "protocol": ...,
    "data": ..., "bytes": ..., "mean": ..., "n": ...}]}; published numbers say "published": true and their "rule". NAME=RUN
    calls it otherwise; runs of one name are one set at several sizes.
    """
    from gendistill.evaluation.compare import compare as side_by_side
    from gendistill.evaluation.compare_page import write

    found = side_by_side(runs)
    click.echo(str(found))
    if to is not None:
        click.echo(f"\n{write(found, to)}")


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


def one_of(resume: bool, overwrite: bool) -> None:
    """Refuse both at once."""
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")


def _run(recipe: Any, protocol: Any, out: Path, *, device: str, **words: Any) -> None:
    """Do it, and say where it is and what it is worth."""
    from gendistill import ranks
    from gendistill.environment import pick_device
    from gendistill.experiment import run

    hide_bars()
    with resumable("Finished shards are kept; run the same command with --resume (and without --overwrite) to go on."):
        command = shlex.join(["gendistill", *sys.argv[1:]])
        done = run(recipe, protocol, out, device=pick_device(device), command=command, **words)
    if ranks.first():
        click.echo(f"{done.report}\n\n{done.folder / 'dataset'}\n{done.folder / 'report.html'}")


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


def _without(option: str, words: list[str]) -> list[str]:
    """The words of a command line, less an option and its value: what is secret is in no card."""
    kept, skip = [], False
    for word in words:
        if not skip and word != option and not word.startswith(f"{option}="):
            kept.append(word)
        skip = word == option
    return kept


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
