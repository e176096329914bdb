"""Commands that only tell something: list, cite, env."""

from __future__ import annotations

import click

from gendistill.commands.base import altered, changes, named_protocols


@click.command("list")
@click.option("--protocols", is_flag=True, help="The protocols that evaluate and relabel know by name.")
def list_(protocols: bool) -> None:
    """List the pipelines, one published method each."""
    from gendistill.config.pipeline import list_pipelines

    found = named_protocols() if protocols else {listed.name: listed.title for listed in list_pipelines()}
    width = max(map(len, found), default=0)
    for name, title in found.items():
        click.echo(f"{name:<{width}}  {title}")


@click.command()
@click.argument("pipeline", required=False, metavar="[PIPELINE]")
@changes
def cite(pipeline: str | None, changes: tuple[str, ...]) -> None:
    """Print BibTeX for a pipeline and its parts."""
    from gendistill.exporting.cite import cite as entries

    click.echo(entries(*([] if pipeline is None else [altered(pipeline, changes)])), nl=False)


@click.command()
def env() -> None:
    """Print versions, devices and what is missing."""
    from gendistill.system.environment import describe

    click.echo(describe())
