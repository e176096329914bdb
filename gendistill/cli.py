"""The command line: all commands, and what belongs to none of them."""

from __future__ import annotations

import sys

import click

from gendistill.commands import about, judge, priors, runs, sets
from gendistill.commands.console import execute, prepare
from gendistill.system.environment import version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(version(), message="gendistill %(version)s")
def cli() -> None:
    """Dataset distillation with generative models."""
    prepare()


for command in (
    runs.run, runs.generate, runs.plan, priors.train_prior, priors.finetune, judge.evaluate, judge.rank, sets.relabel,
    judge.compare, sets.export, about.list_, about.cite, about.env,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line of this process."""
    sys.exit(execute(cli, sys.argv[1:]))
