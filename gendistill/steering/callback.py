"""Our guides for a stock diffusers pipeline: as its ``callback_on_step_end``.

    steered = as_callback([Guide(ModePull(weight=0.3))], pipe, real, labels=[0, 1], prompts=prompts, latents=latents)
    images = pipe(prompts, latents=latents, callback_on_step_end=steered).images

A callback sees the latents x' after a step, not the clean estimate c the step was made with. A solver of one step without
noise is an affine map of c and the latents x before it,

    x' = a x + b c,        so        c = (x' - a x) / b        and a displacement d of c moves x' by b d.

a and b are found by asking the scheduler itself, with x, c = 1, 0 and 0, 1. So DDIM (eta 0), Euler and flow-matching Euler are
steered as by `Sample`, to rounding. A multistep solver mixes the estimates of earlier steps into x': there c is the one
that the step as a whole stands for, b that of a step without a past, and the solver's memory keeps the estimates as they were,
which is near what `Sample` does but not the same. Solvers that add noise or evaluate twice a step are refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.callbacks import PipelineCallback
from torch import Tensor

from gendistill.context import Context, together
from gendistill.data.given import as_source
from gendistill.draft import Draft
from gendistill.priors.loaded_text_to_image import LoadedTextToImage
from gendistill.priors.schedule import Schedule, Solver
from gendistill.priors.text_to_image import TextToImage
from gendistill.steering.guide import BoundGuide, Guide, Moment, bind, displaced
from gendistill.system.store import Store, cache_root
from gendistill.types import LATENT, Conditions, Estimate, RealData, Source, UserError

ONE_STEP = ("DDIM", "EulerDiscrete", "FlowMatchEulerDiscrete")
MULTISTEP = ("DPMSolverMultistep", "DEISMultistep")
LEAST_SHARE = 1e-6
"""Steps in which the clean estimate has less weight than this say nothing of it."""


def as_callback(
    guides: Sequence[Guide],
    pipe: Any,
    real: RealData | Source | Any,
    labels: Sequence[int],
    *,
    prompts: Sequence[str] | None = None,
    latents: Tensor | None = None,
    size: int | None = None,
    store: Store | None = None,
    seed: int = 0,
) -> GuidedSteps:
    """A callback that steers the pictures of the next call of a stock text-to-image pipeline.

    Args:
        guides: take their gradients at the clean estimate after classifier-free guidance, or at the noisy latent.
        pipe: the pipeline that will be called.
        real: the pictures that the guides' objectives look at: data, a source of them, or a loaded ``datasets.Dataset``.
        labels: the class of each picture of the call, an index into the classes of ``real``.
        prompts: of the pictures of the call, for objectives that ask the network something; None for "a photo of a CLASS".
        latents: what the call is given as ``latents``; without them the first step cannot be steered, and is not.
        size: side of the pictures of the call in pixels; None for the pipeline's own.
        store: where what is costly to make of the real pictures is kept; None for the user's cache.
        seed: of the objectives' own randomness.

    Raises:
        UserError: the pipeline or a guide cannot be driven from here, or the data do not fit.
    """
    for guide in guides:
        if guide.before_cfg or guide.gradient == "denoiser":
            raise UserError(
                "a callback sees what a step made of the estimate, not the network: before_cfg=True and gradient='denoiser' "
                f"need our own loop, Sample(guides=({guide},))"
            )
    data = real if isinstance(real, RealData) else as_source(real).open()
    wrong = [label for label in labels if not 0 <= label < len(data.classes)]
    if wrong or not labels:
        raise UserError(f"labels={list(labels)}: give the class of each picture, 0 to {len(data.classes) - 1}")
    if prompts is not None and (isinstance(prompts, str) or len(prompts) != len(labels)):
        raise UserError(f"prompts={prompts!r}: give one for each of the {len(labels)} pictures that labels names")
    device, dtype = pipe._execution_device, pipe.dtype
    prior = _prior(pipe, data, size).load(data, device, dtype)
    context = Context(
        real=data, store=store or Store(cache_root()), device=device, dtype=dtype, seed=seed,
        ipc=max(Counter(labels).values()), block=len(labels), prior=prior, classes=tuple(sorted(set(labels))),
    )  # fmt: skip
    return GuidedSteps(bind(guides, context), context, prior, labels, prompts, latents)


def _prior(pipe: Any, data: RealData, size: int | None) -> TextToImage:
    """The pipeline as a prior that draws pictures of this size; those of the data are brought to it."""
    prior = TextToImage(pipe)
    side = size or prior.own_size()
    prior = TextToImage(pipe, size=side)
    prior.check(data)
    return prior


class GuidedSteps(PipelineCallback):
    """Moves the latents after every step as the guides move the clean estimate. One for each call of the pipeline."""

    def __init__(
        self,
        guides: Sequence[BoundGuide],
        context: Context,
        prior: LoadedTextToImage,
        labels: Sequence[int],
        prompts: Sequence[str] | None,
        latents: Tensor | None,
    ) -> None:
        """``prompts`` and ``latents`` as the call is given them, or None: it draws them itself, and prompts are the classes'."""
        super().__init__()
        self.guides, self.context, self.prior = list(guides), context, prior
        rows = torch.tensor(labels)
        turns = [list(labels[:at]).count(label) for at, label in enumerate(labels)]
        ids = torch.stack([rows, torch.tensor(turns), torch.zeros_like(rows)], 1)
        said = tuple(prompts or prior.prompts(rows))
        self.draft = Draft(prior, {LATENT: torch.empty(0)}, ids, rows, torch.ones(len(rows)), prompts=said)
        self.conditions: Conditions = prior.condition_on(said)
        self.given, self.before = latents, None

    @property
    def tensor_inputs(self) -> list[str]:
        """What the pipeline hands over and takes back."""
        return ["latents"]

    def callback_fn(self, pipeline: Any, step_index: int, timesteps: Any, callback_kwargs: dict[str, Any]) -> dict:
        """The latents after a step, moved.

        Raises:
            UserError: the scheduler, its steps or the number of pictures are not what can be steered.
            Diverged: a gradient is not finite, or the estimate left the range of latents.
        """
        packed = callback_kwargs["latents"]
        x = self._open(packed)
        if len(x) != len(self.draft):
            raise UserError(f"the call makes {len(x)} pictures, and labels names the classes of {len(self.draft)}")
        solver = self._solver(pipeline)
        before = self._begin(solver) if step_index == 0 else self.before
        if before is not None:
            x = self._moved(solver, step_index, before, x)
            callback_kwargs["latents"] = self.prior.family.packed(x).to(packed.dtype)
        self.before = x
        return callback_kwargs

    def _open(self, packed: Tensor) -> Tensor:
        """Latents (n, c, h, w) in float32."""
        return self.prior.family.unpacked(packed.float(), self.prior.latent_shape[-1])

    def _begin(self, solver: Solver) -> Tensor | None:
        """The scheduler's variable before the first step, as the pipeline makes it of what it is given."""
        if self.given is None:
            return None
        x = self._open(self.given.to(self.context.device))
        return x * solver.scheduler.init_noise_sigma if solver.exploding else x

    def _solver(self, pipeline: Any) -> Solver:
        """A scheduler as the pipeline's, at its first step."""
        own = pipeline.scheduler
        name = type(own).__name__.removesuffix("Scheduler")
        noisy = str(own.config.get("algorithm_type", "")).startswith("sde")
        if name not in (*ONE_STEP, *MULTISTEP) or noisy:
            raise UserError(
                f"{name} adds noise, evaluates twice or looks back, so that a callback cannot tell the clean estimate: set "
                f"pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config), or one of {', '.join(ONE_STEP)}, or take our "
                "own loop, Sample"
            )
        schedule = Schedule(name, own.config, self.prior.schedule.timing)
        solver = schedule.solver(name, own.num_inference_steps)
        if solver.steps != [float(t) for t in own.timesteps]:
            raise UserError("the call was given timesteps or sigmas of its own: give num_inference_steps alone")
        return solver

    def _moved(self, solver: Solver, step: int, before: Tensor, x: Tensor) -> Tensor:
        level, after = solver.levels[step], solver.after(step)
        acting = [item for item in self.guides if item.guide.acts(level)]
        solver.enter(before, step)
        seen, chunk = solver.network_input(before, step), together(self.context.real.train.shape)
        keeps, share = weights(solver, step)
        if not acting or abs(share) < LEAST_SHARE:
            return x
        clean = (x - keeps * before) / share
        now = Moment(self.draft, seen, self.conditions, level, after, step, None, chunk)
        moved = displaced(Estimate(clean), acting, now, self.context.name_classes).clean
        return x + share * (moved - clean)


def weights(solver: Solver, step: int) -> tuple[float, float]:
    """A and b of a step: what a scheduler without a past makes of x = 1 with a clean estimate of 0, and the other way round."""
    device = solver.scheduler.timesteps.device
    x = torch.tensor([1.0, 0.0], device=device).view(2, 1, 1, 1)
    solver.enter(x, step)
    seen = solver.network_input(x, step)
    after = solver.step(Estimate(1 - x), seen, x, step, [])
    keeps, share = after.flatten().tolist()
    return keeps, share
