"""Does every objective get what it asks for: its value before and after, against its own unsteered run.

    python benchmarks/it_steers.py cifar10 --train ... --test ... --size 32 --prior cifar10_dit

The same seeds are sampled once plainly; then their latents are moved by forty steps of Adam along the objective, alone. Where an
objective asks networks, both ends are measured by others of its kind, of another seed, which steered nothing. Beside the value
stands the change in pixels, root mean square in [0, 1].
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from scene import Scene, arguments, device

from gendistill import parts
from gendistill.context import Context, together
from gendistill.execute import first_draft
from gendistill.images import Subset
from gendistill.nets.trained import Student, Trained
from gendistill.objectives.base import Objective
from gendistill.objectives.zero_shot import ZeroShot
from gendistill.progress import progress
from gendistill.runs import open_context
from gendistill.stages import Unit
from gendistill.steering.optimize import Optimize
from gendistill.steering.render import decode
from gendistill.steering.sample import Sample
from gendistill.store import write_json
from gendistill.types import Draft, Synthetic

RESULTS = Path(__file__).parent / "results"
LEFT_OUT = (ZeroShot,)
"""Needs weights that are not trained here."""
CLASSES, IPC, STEPS = (0, 1), 10, 40


def objectives(scene: Scene) -> list[Objective]:
    """Every objective of the package at the size of the scene, with weight 1."""
    kinds = [kind for kind in parts.parts().values() if issubclass(kind, Objective) and kind not in LEFT_OUT]
    return [replace(scene.fitted(kind()), weight=1.0) for kind in sorted(kinds, key=lambda kind: kind.__name__)]


def others(value: Any) -> Any:
    """The same settings asking networks of another seed."""
    if isinstance(value, tuple):
        return tuple(others(item) for item in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changed = {f.name: others(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Trained | Student):
        changed["seed"] = value.seed + 5
    return replace(value, **changed)


@torch.no_grad()
def value(objective: Objective, draft: Draft, context: Context) -> float:
    """The objective's value per picture: mean over twenty draws of what it draws anew at every step."""
    loss = objective.bind(replace(context, seed=context.seed + 100))  # networks drawn at random are others as well
    found = []
    for step in range(20):
        with torch.enable_grad():
            asked = Synthetic(
                draft.prior,
                {name: part.clone().requires_grad_() for name, part in draft.latents.items()},
                draft.ids,
                draft.labels,
                conditions=draft.conditions,
                step=step,
            )
            found.append(float(loss(asked).sum().detach()))
    return sum(found) / len(found) / len(draft)


def pixels(draft: Draft, context: Context) -> torch.Tensor:
    """What is seen of a draft."""
    with torch.no_grad():
        return decode(draft.prior, draft.latents, together(context.real.train.shape)).clamp(0, 1)


def main() -> None:
    given = arguments(__doc__).parse_args()
    scene = Scene.of(given)
    recipe = scene.recipe("diffusion", IPC)
    whole = replace(open_context(recipe, device(), torch.float32, progress), ipc=IPC)
    made = torch.cat([whole.real.train.where(index)[:IPC] for index in range(len(whole.real.classes))])
    context = replace(whole.of(CLASSES), made=Subset(whole.real.train, made))
    plain = Sample(scheduler="DDIM", steps=scene.steps, cfg=1.5)(
        first_draft(Unit(CLASSES, 0, IPC, IPC), context), context
    )
    before, rows = pixels(plain, context), []
    for objective in objectives(scene):
        moved = Optimize((objective,), steps=STEPS, lr=0.02)(plain, context)
        judge = others(objective)
        row = {
            "objective": type(objective).__name__,
            "before": value(judge, plain, context),
            "after": value(judge, moved, context),
            "pixels": float((pixels(moved, context) - before).square().mean().sqrt()),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
        about = {"date": str(datetime.date.today()), "cores": os.cpu_count(), "n": len(plain), "steps": STEPS}
        write_json(RESULTS / f"it-steers-{given.name}.json", {**about, "rows": rows})


if __name__ == "__main__":
    main()
