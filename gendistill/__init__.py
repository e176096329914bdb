"""Dataset distillation with generative models.

A recipe says which real data, which prior, which steering towards which objectives, and who labels; `distill` runs it.

    from gendistill import distill, evaluate, export, load
"""

# Names are imported on first use: `gendistill --help` must not wait for torch.
from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gendistill.environment import version

if TYPE_CHECKING:
    from gendistill.cite import cite as cite
    from gendistill.distilled import Distilled as Distilled
    from gendistill.distilled import load as load
    from gendistill.evaluation.compare import compare as compare
    from gendistill.evaluation.evaluate import evaluate as evaluate
    from gendistill.export import export as export
    from gendistill.overrides import alter as alter
    from gendistill.recipe import Recipe as Recipe
    from gendistill.relabeling import relabel as relabel
    from gendistill.runs import distill as distill
    from gendistill.types import Images as Images

_HOMES = {
    "Distilled": "distilled",
    "Images": "types",
    "Recipe": "recipe",
    "alter": "overrides",
    "cite": "cite",
    "compare": "evaluation.compare",
    "distill": "runs",
    "evaluate": "evaluation.evaluate",
    "export": "export",
    "load": "distilled",
    "relabel": "relabeling",
}

__all__ = [
    "Distilled",
    "Images",
    "Recipe",
    "alter",
    "cite",
    "compare",
    "distill",
    "evaluate",
    "export",
    "load",
    "relabel",
]
__version__ = version()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gendistill' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"gendistill.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Package(ModuleType):
    """Importing the module ``gendistill.export`` would put it in place of the function `export`; so too with `cite`."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
