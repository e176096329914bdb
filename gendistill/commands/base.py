"""What commands share: their options, and how words become recipes, protocols and real data."""

from __future__ import annotations

import ast
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gendistill.config.pipeline import Pipeline

EVALUATION = Path(__file__).resolve().parent.parent / "evaluation"
OF_PROTOCOL = "protocol."
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


def named_protocols() -> dict[str, str]:
    """The protocols of the field by name, each with the first paragraph of what is written below it. Imports none of them."""
    found: dict[str, str] = {}
    for file in ("protocols.py", "timm_protocols.py"):
        body = ast.parse((EVALUATION / file).read_text(encoding="utf-8")).body
        for node, after in zip(body, [*body[1:], ast.Pass()], strict=True):
            match node, after:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=maker), args=args)),
                    ast.Expr(value=ast.Constant(value=str() as told)),
                ):
                    origin = args[0].id if args and isinstance(args[0], ast.Name) else ""
                    if maker == "Protocol" or (maker == "replace" and origin in found):
                        found[name] = " ".join(told.partition("\n\n")[0].split())
    return found


protocol = click.option(
    "--protocol",
    metavar="NAME",
    help=f"How students learn: {', '.join(named_protocols())}; Protocol(...), or a pipeline whose to take.  [default: SCREENING]",
)


def typed(without: str = "") -> str:
    """The command line of this process, less an option whose value is a secret."""
    words = ["gendistill", *sys.argv[1:]]
    return shlex.join(less(without, words) if without else words)


def one_of(resume: bool, overwrite: bool) -> None:
    """Refuse both at once."""
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")


def is_protocols(word: str) -> bool:
    """Whether a word of a command line changes the protocol of a pipeline."""
    return word.startswith(OF_PROTOCOL)


def stated(name: str) -> Pipeline:
    """The pipeline of this name, or of the file at this path; what it calls recipe and protocol are such."""
    from gendistill.config.pipeline import find_pipeline

    found = find_pipeline(name)  # a mistyped name is told before what takes seconds is imported
    from gendistill.evaluation.protocol import Protocol
    from gendistill.recipe import Recipe
    from gendistill.types import UserError

    for what, kind in (("recipe", Recipe), ("protocol", Protocol)):
        if not isinstance(value := getattr(found, what), kind):
            line = line_of(found.path, what)
            raise UserError(f"{found.path}, line {line}: {what} must be a {kind.__name__}, not {value!r}")
    return found


def line_of(file: Path, name: str) -> int:
    """The line of a Python file where a name stands last on the left of "=", or is imported; 1 where it is neither."""
    found = 1
    for node in ast.walk(ast.parse(file.read_bytes())):
        match node:
            case ast.Name(id=word, ctx=ast.Store()) if word == name:
                found = max(found, node.lineno)
            case ast.alias(name=word, asname=other) if name in (word, other):
                found = max(found, node.lineno)
    return found


def altered(name: str, changes: tuple[str, ...]) -> Pipeline:
    """The pipeline of this name after the changes of a command line."""
    from dataclasses import replace

    found = stated(name)
    from gendistill.config.overrides import override

    recipe, protocol = override(found.recipe, found.protocol, changes)
    from gendistill.evaluation.protocol import said

    named = [
        path for path, _, _ in (word.removeprefix(OF_PROTOCOL).partition("=") for word in changes if is_protocols(word))
    ]
    return replace(found, recipe=recipe, protocol=said(protocol, named))


def source_of(text: str, option: str) -> Any:
    """Real data from a source expression, or from the path of a folder of images or of a Parquet file."""
    from gendistill.config.fields import construct, fit
    from gendistill.config.overrides import read_value
    from gendistill.config.parts import parts
    from gendistill.types import Source

    value = read_value(text)
    if isinstance(value, str) and Path(value).exists():
        return construct(parts()["Parquet" if value.endswith(".parquet") else "Folder"], (), {"train": value})
    return fit(value, Source, option)


def less(option: str, words: list[str]) -> list[str]:
    """The words of a command line, less an option and its value: what is secret is in no card."""
    kept, skip = [], False
    for word in words:
        if not skip and word != option and not word.startswith(f"{option}="):
            kept.append(word)
        skip = word == option
    return kept


def protocol_of(text: str | None, changes: tuple[str, ...]) -> Any:
    """The protocol an option names, after the changes of a command line."""
    from gendistill.config.overrides import alter_all, read_change
    from gendistill.evaluation.protocol import said

    given = [read_change(word.removeprefix(OF_PROTOCOL)) for word in changes]
    return said(alter_all(named_protocol(text), given), [path for path, _ in given])


def named_protocol(text: str | None) -> Any:
    """The protocol an option names, as it is."""
    from gendistill.config.fields import fit, nearest
    from gendistill.config.overrides import read_value
    from gendistill.config.parts import named_values
    from gendistill.config.pipeline import list_pipelines
    from gendistill.evaluation.protocols import SCREENING, Protocol
    from gendistill.types import UserError

    if text is None:
        return SCREENING
    if text in [listed.name for listed in list_pipelines()]:
        return stated(text).protocol
    named = [name for name, value in named_values().items() if isinstance(value, Protocol)]
    value = read_value(text)
    if isinstance(value, str):
        raise UserError(f"there is no protocol {text!r}{nearest(text, named)}\nprotocols: {', '.join(sorted(named))}")
    return fit(value, Protocol, "--protocol")
