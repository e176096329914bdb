"""Imports point one way, and what is packaged is what is there."""

from __future__ import annotations

import ast
import fnmatch
import graphlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gendistill"

LAYERS = (
    "errors types capabilities work draft classifier_free images pictures seeds system config context formatting hub provenance "
    "wordnet prompts",
    "nets views learning anchors",
    "priors data",
    "objectives",
    "steering labelers",
    "recipe running distilled finetuning toys",
    "evaluation exporting relabeling experiments testing commands cli __main__",
)
"""A file or folder may import from its own line and from those above it."""

LAZY = {
    ("running", "evaluation"): "`load` also reads what was exported, as the evaluation reads sets of others",
    (
        "distilled",
        "exporting",
    ): "Distilled.hf() is the exporter's table in memory; only who asks for it needs the exporter",
}
"""Imports that point the other way, inside a function, and why."""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules below gendistill that a file imports, and whether they are imported when the file is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
            if node.module == "gendistill":
                names = [f"gendistill.{alias.name}" for alias in node.names]
        yield from ((name, id(node) not in late) for name in names)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_every_file_imports_only_from_its_layer_and_those_before():
    level = {name: i for i, line in enumerate(LAYERS) for name in line.split()}
    wrong = []
    for module, path in modules().items():
        if module == "gendistill":
            continue  # the public surface names everything and imports nothing until asked
        mine = module.split(".")[1]
        assert mine in level, f"{module} has no layer yet: add it to LAYERS"
        for name, at_once in imports(path):
            if not name.startswith("gendistill."):
                continue
            theirs = name.split(".")[1]
            allowed = (mine, theirs) in LAZY and not at_once
            if level[theirs] > level[mine] and not allowed:
                wrong.append(f"{module} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_module_needs_itself_to_be_imported():
    known = modules()
    graph = {
        module: {name for name, at_once in imports(path) if at_once and name in known and name != "gendistill"}
        for module, path in known.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_nothing_imports_a_pipeline():
    for module, path in modules().items():
        for name, _ in imports(path):
            assert not re.match(r"(gendistill\.)?pipelines\b", name), f"{module} imports {name}"


def test_packages_are_the_tree():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("*.py")}
    assert all((ROOT / name.replace(".", "/") / "__init__.py").exists() for name in there)
    assert sorted(listed["packages"]) == sorted({*there, "gendistill.pipelines"})


def test_every_other_file_is_package_data():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["gendistill"]
    for path in PACKAGE.rglob("*"):
        name = path.relative_to(PACKAGE).as_posix()
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), (
                f"{name} would be missing from the wheel"
            )


def test_every_library_is_declared():
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower().replace("-", "_") for line in lines}
    called = {"PIL": "pillow", "sklearn": "scikit_learn", "open_clip": "open_clip_torch"}
    for module, path in modules().items():
        for name, _ in imports(path):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ("gendistill", ""):
                assert called.get(top, top) in declared, (
                    f"{module} imports {top}, which pyproject.toml does not declare"
                )
