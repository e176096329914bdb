"""Pipelines: one published method per Python file, found by name in the package's folder or by the path of a file.

The folder is ``pipelines/`` of the repository; the wheel carries it inside the package. Listing reads the files without
running them. Running one runs Python code: do not run a file you do not trust.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
MODULE = "gendistill_pipeline_"
"""How the names of the modules begin that pipelines are run as."""


@dataclass(frozen=True)
class Listed:
    """A pipeline that was not run: its name, its file and its docstring."""

    name: str
    path: Path
    doc: str

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]


@dataclass(frozen=True)
class Pipeline(Listed):
    """A pipeline: also what its file states, a recipe and how the result is evaluated."""

    recipe: Any
    protocol: Any


def folder() -> Path:
    """Where the pipelines are: inside an installed wheel, else beside the package (a clone, an editable install)."""
    inside = PACKAGE / "pipelines"
    return inside if inside.is_dir() else PACKAGE.parent / "pipelines"


def list_pipelines() -> list[Listed]:
    """Every pipeline of the folder, by name, with its docstring. Imports nothing."""
    return [_listed(path) for path in sorted(folder().glob("*.py")) if not path.name.startswith("_")]


def find_pipeline(name: str) -> Pipeline:
    """The pipeline of this name, or of the Python file at this path.

    Raises:
        UserError: there is none, or its file is no Python or does not define `recipe` and `protocol`.
    """
    listed = next((found for found in list_pipelines() if found.name == name), None)
    if listed is None and name.endswith(".py") and Path(name).is_file():
        listed = _listed(Path(name).resolve())
    if listed is None:
        raise _unknown(name)
    stated = _run(listed)
    return Pipeline(listed.name, listed.path, listed.doc, stated["recipe"], stated["protocol"])


def _listed(path: Path) -> Listed:
    from gendistill.errors import UserError

    try:
        return Listed(path.stem, path, ast.get_docstring(ast.parse(path.read_bytes(), str(path))) or "")
    except SyntaxError as error:
        raise _unreadable(error, path) from None
    except ValueError as error:  # zeros inside
        raise UserError(f"{path} is no Python file: {error}") from None


def _run(listed: Listed) -> dict[str, Any]:
    from gendistill.errors import UserError

    # Parts defined in the file resolve their annotations through sys.modules; the prefix keeps a user's file called
    # `random.py` from becoming the module `random`.
    name = f"{MODULE}{listed.name}"
    spec = importlib.util.spec_from_file_location(name, listed.path)
    if spec is None or spec.loader is None:
        raise UserError(f"{listed.path} is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:  # what only the compiler sees, and files that this one imports
        raise _unreadable(error, listed.path) from None
    missing = [wanted for wanted in ("recipe", "protocol") if not hasattr(module, wanted)]
    if missing:
        raise UserError(f"{listed.path} defines no {' and no '.join(missing)}; a pipeline states both")
    return vars(module)


def _unreadable(error: SyntaxError, path: Path) -> Exception:
    from gendistill.errors import UserError

    place = f"{error.filename}, line {error.lineno}" if error.lineno else f"{path}"
    return UserError("\n  ".join([f"{place}: {error.msg}", *filter(None, [(error.text or "").strip()])]))


def _unknown(name: str) -> Exception:
    from gendistill.config.fields import nearest
    from gendistill.errors import UserError

    names = [found.name for found in list_pipelines()]
    if name.endswith(".py"):
        return UserError(f"there is no file {name}\npipelines: {', '.join(names)}")
    return UserError(f"there is no pipeline {name!r}{nearest(name, names)}\npipelines: {', '.join(names)}")
