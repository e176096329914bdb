"""Does every objective get what it asks for: its value before and after, against its own unsteered run.

    python benchmarks/it_steers.py cifar10 --train ... --test ... --size 32 --prior cifar10_dit

Ten pictures of two classes are sampled plainly; then their latents are moved by forty steps of Adam along the objective, alone.
Where an objective asks networks, both ends are measured by others of its kind, of another seed, which steered nothing; where it
asks the denoiser, by a smaller one that learned the same latents from nothing. Beside the value stands the change in pixels, root
mean square in [0, 1]. All of it once for every seed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from diffusers import DiffusionPipeline
from ledger import RESULTS, about, add, failed, less, read, settle
from scene import Scene, arguments, device

from gendistill.capabilities import Denoises, LoadedPrior
from gendistill.config import parts
from gendistill.context import Context, together
from gendistill.draft import Draft, Synthetic
from gendistill.images import Subset
from gendistill.nets.trained import Student, Trained
from gendistill.objectives.base import Objective
from gendistill.objectives.denoising import Denoising
from gendistill.objectives.zero_shot import ZeroShot
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.priors.parameters import Everything
from gendistill.priors.training.denoiser import build
from gendistill.priors.training.settings import PriorTraining
from gendistill.running.distill import open_context
from gendistill.running.execute import first_draft
from gendistill.running.stages import Unit
from gendistill.steering.finetune import FineTune
from gendistill.steering.optimize import Optimize
from gendistill.steering.render import decode
from gendistill.steering.sample import Sample
from gendistill.system.progress import progress

LEFT_OUT = (ZeroShot,)
"""Needs weights that are not trained here."""
CLASSES, IPC, STEPS, RATE, DRAWS = (0, 1), 10, 40, 0.02, 20
LEARNED = FineTune(parameters=Everything(), max_train_steps=4000, batch=60, learning_rate=1e-3, ema_decay=0.995, seed=5)
"""How the denoiser learned that judges what the prior's own was asked."""
SLOWER = {Denoising: 4}
"""So many times the steps, at a rate so much lower: by one noise a picture and step, latents wander at the others' rate."""


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


def value(objective: Objective, draft: Draft, context: Context) -> float:
    """The objective's value per picture: the mean over so many draws of what it draws anew at every step."""
    loss = objective.bind(replace(context, seed=context.seed + 100))  # networks drawn at random are others as well

    def once(step: int) -> float:
        latents = {name: part.clone().requires_grad_() for name, part in draft.latents.items()}  # some take a gradient
        seen = Synthetic(draft.prior, latents, draft.ids, draft.labels, conditions=draft.conditions, step=step)
        return float(loss(seen).sum().detach())

    return fmean(once(step) for step in range(DRAWS)) / len(draft)


@torch.no_grad()
def pixels(draft: Draft, context: Context) -> torch.Tensor:
    """What is seen of a draft."""
    return decode(draft.prior, draft.latents, together(context.real.train.shape)).clamp(0, 1)


def another_denoiser(scene: Scene, context: Context) -> LoadedPrior:
    """The scene's prior with another denoiser, which is trained once and kept."""
    pipeline: Any = DiffusionPipeline.from_pretrained(scene.prior)
    known = pipeline.transformer.config
    settings = PriorTraining(
        resolution=scene.size, downsample=scene.size // known.sample_size, latent_channels=known.in_channels, patch_size=2,
        hidden_size=128, num_layers=4,
    )  # fmt: skip
    pipeline.transformer = build(settings, seed=5)
    fresh = LatentDiffusion(pipeline).load(context.real, context.device, context.dtype)
    return LEARNED.tune(replace(context, prior=fresh))


class Unsteered:
    """What every objective begins with: the plain samples of each seed, and the first real pictures as what was made before."""

    def __init__(self, scene: Scene, seeds: int) -> None:
        recipe = scene.recipe("diffusion", IPC)
        whole = replace(open_context(recipe, device(), torch.float32, progress), ipc=IPC)
        made = torch.cat([whole.real.train.where(index)[:IPC] for index in range(len(whole.real.classes))])
        context = replace(whole.of(CLASSES), made=Subset(whole.real.train, made))
        self.judge = another_denoiser(scene, whole.of(tuple(range(len(whole.real.classes)))))
        self.contexts = [replace(context, seed=seed) for seed in range(seeds)]
        sample = Sample(scheduler="DDIM", steps=scene.steps, cfg=1.5)
        self.plain = [sample(first_draft(Unit(CLASSES, 0, IPC, IPC), one), one) for one in self.contexts]

    def moved(self, objective: Objective) -> dict:
        """What an objective is before and after, and how far its pictures went, a number for every seed."""
        slower = SLOWER.get(type(objective), 1)
        steer, judge = Optimize((objective,), steps=slower * STEPS, lr=RATE / slower), others(objective)
        found: dict[str, Any] = {"objective": type(objective).__name__, "before": [], "after": [], "pixels": []}
        for context, plain in zip(self.contexts, self.plain, strict=True):
            moved = steer(plain, context)
            for end, draft in (("before", plain), ("after", moved)):
                found[end].append(value(judge, *self.judged(judge, draft, context)))
            far = (pixels(moved, context) - pixels(plain, context)).square().mean().sqrt()
            found["pixels"].append(float(far))
        return found

    def judged(self, objective: Objective, draft: Draft, context: Context) -> tuple[Draft, Context]:
        """The same pictures before another denoiser, where the objective asks one."""
        if Denoises not in objective.needs:
            return draft, context
        return replace(draft, prior=self.judge), replace(context, prior=self.judge)


def table(state: dict) -> str:
    """The rows as Markdown."""
    lines = ["| objective | before | after | change, 95 % | pixels |", "|---|---:|---:|---:|---:|"]
    for row in sorted(state["rows"], key=lambda row: row["objective"]):
        ends = " | ".join(f"{fmean(row[end]):.4g}" for end in ("before", "after"))
        far = fmean(row["pixels"])
        lines.append(f"| `{row['objective']}` | {ends} | {change(row)} | {far:.3f} |")
    return "\n\n".join(["\n".join(lines), *failed(state), about(state)])


def change(row: dict) -> str:
    """In per cent of what it was before, seed by seed, with its interval; as a difference where it may be below zero."""
    before, after = row["before"], row["after"]
    if min(before + after) > 0:
        return less([100 * now / then for then, now in zip(before, after, strict=True)], [100.0] * len(before)) + " %"
    return less(after, before)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="print what was measured so far, and measure nothing")
    given = parser.parse_args()
    file: Path = RESULTS / f"it-steers-{given.name}.json"
    if not given.table:
        settle(file, seeds=given.seeds, steps=STEPS, pictures=IPC * len(CLASSES))
        scene = Scene.of(given)
        start = Unsteered(scene, given.seeds)
        for objective in objectives(scene):
            name = type(objective).__name__
            add(file, name, {"objective": name}, lambda objective=objective: [start.moved(objective)])
    print(table(read(file)))


if __name__ == "__main__":
    main()
