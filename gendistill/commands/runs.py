"""Commands that make sets: run, generate, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gendistill.commands.base import altered, changes, device, dtype, one_of, out, overwrite, pipeline, resume, typed
from gendistill.commands.console import hide_bars, resumable
from gendistill.commands.options import given_settings, options_of, settings_of

FROM_PROMPTS = [
    one
    for one in settings_of(Path(__file__).resolve().with_name("from_prompts.py"), "FromPrompts")
    if one.name != "soft"
]

OVERRIDES = """

    Words of the form path=value change the recipe: ipc=10, steering.1.cfg=2.0, 'prior=LatentDiffusion("folder")',
    'real=Folder("train", test="test", size=64)'. The protocol is changed by protocol.path=value. Values are Python
    literals or parts; other words are strings.
"""


@click.command()
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
    chosen = altered(pipeline, changes)
    _run(chosen.recipe, chosen.protocol, out, resume=resume, overwrite=overwrite, device=device, dtype=dtype)


@click.command()
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
    from gendistill.commands.from_prompts import FromPrompts
    from gendistill.config.fields import construct
    from gendistill.evaluation.protocols import SCREENING

    told = construct(FromPrompts, (), {**given_settings(FROM_PROMPTS, words), "soft": soft})
    _run(told.recipe(), SCREENING, out, resume=resume, overwrite=overwrite, device=device, dtype=dtype)


@click.command()
@pipeline
@changes
@device
@dtype
def plan(pipeline: str, changes: tuple[str, ...], device: str, dtype: str) -> None:
    """Say what a run would do and cost.

    Times one step, runs nothing else and writes nothing.
    """
    chosen = altered(pipeline, changes)
    from gendistill.experiments.plan import plan as make_plan

    hide_bars()
    click.echo(str(make_plan(chosen.recipe, chosen.protocol, device, dtype)))


for command in (run, plan):
    command.help = f"{command.help}{OVERRIDES}"


def _run(recipe: Any, protocol: Any, out: Path, **words: Any) -> None:
    """Do it, and say where it is and what it is worth."""
    from gendistill.experiments.experiment import run
    from gendistill.system import ranks

    hide_bars()
    with resumable("Finished shards are kept; run the same command with --resume (and without --overwrite) to go on."):
        command = typed()
        done = run(recipe, protocol, out, command=command, **words)
    if ranks.first():
        click.echo(f"{done}")
