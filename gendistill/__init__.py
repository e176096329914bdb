"""Dataset distillation with generative models.

A recipe says which real data, which prior, which steering towards which objectives, and who labels; `distill` runs it.

    from gendistill import distill, evaluate, export, load
"""

# Names are imported on first use: `gendistill --help` must not wait for torch.
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gendistill.system.environment import version

if TYPE_CHECKING:
    from gendistill.config.overrides import alter as alter
    from gendistill.distilled import Distilled as Distilled
    from gendistill.evaluation.comparing.compare import compare as compare
    from gendistill.evaluation.evaluate import evaluate as evaluate
    from gendistill.evaluation.ranking.rank import rank as rank
    from gendistill.experiments.experiment import run as run
    from gendistill.experiments.plan import plan as plan
    from gendistill.exporting.cite import cite as cite
    from gendistill.exporting.export import export as export
    from gendistill.finetuning import finetune as finetune
    from gendistill.recipe import Recipe as Recipe
    from gendistill.relabeling.relabel import relabel as relabel
    from gendistill.running.distill import distill as distill
    from gendistill.running.load import load as load
    from gendistill.types import Images as Images

_HOMES = {
    "Distilled": "distilled",
    "Images": "types",
    "Recipe": "recipe",
    "alter": "config.overrides",
    "cite": "exporting.cite",
    "compare": "evaluation.comparing.compare",
    "distill": "running.distill",
    "evaluate": "evaluation.evaluate",
    "export": "exporting.export",
    "finetune": "finetuning",
    "load": "running.load",
    "plan": "experiments.plan",
    "rank": "evaluation.ranking.rank",
    "relabel": "relabeling.relabel",
    "run": "experiments.experiment",
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
    "finetune",
    "load",
    "plan",
    "rank",
    "relabel",
    "run",
]
__version__ = version()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gendistill' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"gendistill.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
