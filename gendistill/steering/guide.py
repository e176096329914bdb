"""Guidance: how the gradient of an objective changes the clean estimate while a picture is sampled.

clean <- clean - weight * scale(level) * gradient
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from gendistill.config.settled import check_choices
from gendistill.context import Context
from gendistill.draft import Draft, Loss, Synthetic
from gendistill.objectives.base import Objective, named
from gendistill.priors.small_decoder import as_decoder, load_decoder
from gendistill.steering.blown_out import blown_out, unusual
from gendistill.steering.in_parts import Term, backward
from gendistill.steering.latent_range import FLAT, LARGEST, size_and_spread
from gendistill.steering.render import decode
from gendistill.steering.scales import LEAST_ALPHA, Constant, Scale
from gendistill.types import Conditions, Diverged, Estimate, Latents, Level, Pixels, UserError

NOISIEST = 20.0
"""Root mean square beyond which the noise that a clean estimate stands for left what any noise has, 1: where noise is high,
guides that work pass the range of clean latents for a while."""


OVERSHOOTS = 2.0
"""Share of the way to where a gradient is zero from which every step ends further away than it began."""


@dataclass(frozen=True)
class Guide:
    """An objective that steers sampling.

    objective   what is wanted; its weight is the strength
    window      (from, to) in training time, 1 = noise: guidance acts where from <= time <= to
    scale       strength by level
    gradient    where it is taken: "clean", at the clean estimate; "noisy", at the noisy latent the objective looks at;
                "denoiser", at the noisy latent through the network that made the estimate
    matched     make the gradient of every picture as long as the noise it holds (IGD)
    before_cfg  move the conditional estimate only, before classifier-free guidance
    decoder     a small decoder that stands in for the prior's own where the gradient needs pixels: hub id, folder or a
                loaded ``AutoencoderTiny``; None for the prior's own
    """

    objective: Objective
    window: tuple[float, float] = (0.0, 1.0)
    scale: Scale = Constant()
    gradient: Literal["clean", "noisy", "denoiser"] = "clean"
    matched: bool = False
    before_cfg: bool = False
    decoder: Any = None

    def __post_init__(self) -> None:
        low, high = self.window
        if not 0 <= low < high <= 1:
            raise UserError(
                f"window={self.window} must be (from, to) in training time with 0 <= from < to <= 1; 1 is noise"
            )
        check_choices(self)
        if self.before_cfg and self.gradient == "denoiser":
            raise UserError(
                "before_cfg=True moves the conditional estimate alone: take its gradient at 'clean' or 'noisy'"
            )
        self._check_strength()
        object.__setattr__(self, "decoder", as_decoder(self.decoder))

    def _check_strength(self) -> None:
        weight, curvature = self.objective.weight, self.objective.curvature
        if not 0 < weight < math.inf:
            raise UserError(f"a guide needs an objective with a weight above 0, {self.objective} has {weight}")
        if curvature and (self.scale.constant or 0) * self.stiffness >= OVERSHOOTS:
            raise UserError(
                f"{type(self.objective).__name__} with weight={weight:g} and {self.scale} overshoots further at every step: "
                f"it diverges from {OVERSHOOTS / curvature:g} on; 0.05 to 1 is usual"
            )

    @property
    def stiffness(self) -> float:
        """How far a scale of 1 moves the estimate, as a share of its way to where the gradient is zero; 0 where it is not known."""
        return (
            0.0
            if self.matched or self.gradient != "clean"
            else self.objective.weight * (self.objective.curvature or 0.0)
        )

    def acts(self, level: Level) -> bool:
        """Whether ``level`` lies in the window."""
        return self.window[0] <= float(level.time) <= self.window[1]


def check_pulls(guides: Sequence[Guide], cfg: float, steps: Iterable[tuple[Level, Level]]) -> None:
    """Raise `UserError` where guides overshoot at every one of these steps, (level, the one below), that any acts at.

    Those that act together add up, and classifier-free guidance multiplies what comes before it.
    """
    totals = []
    for level, after in steps:
        acting = [guide for guide in guides if guide.acts(level)]
        pulls = [one.scale(level, after) * one.stiffness * (cfg if one.before_cfg else 1.0) for one in acting]
        totals += [sum(pulls)] if pulls else []
    if min(totals, default=0.0) >= OVERSHOOTS:
        raise UserError(
            f"{named(guide.objective for guide in guides)} overshoot further at every step: together, and with cfg={cfg:g} for "
            f"what comes before it, they move the estimate {min(totals):.3g} times its way; below {OVERSHOOTS:g} it converges, "
            "lower a weight"
        )


@dataclass(frozen=True)
class BoundGuide:
    """A guide with its loss and the decoder of its gradient."""

    guide: Guide
    loss: Loss
    decode: Callable[[Latents], Pixels] | None


@dataclass(frozen=True)
class Moment:
    """Where sampling is when guidance acts: the noisy latent the network saw, its level, the next level below."""

    draft: Draft
    x: Tensor
    conditions: Conditions
    level: Level
    after: Level
    step: int
    made: Draft | None
    chunk: int


def bind(guides: Sequence[Guide], context: Context) -> list[BoundGuide]:
    """Every guide with its objective bound to the real pictures of the context."""
    return [
        BoundGuide(
            guide,
            guide.objective.bind(context),
            None if guide.decoder is None else load_decoder(guide.decoder, context),
        )
        for guide in guides
    ]


def displaced(estimate: Estimate, bound: Sequence[BoundGuide], now: Moment, names: Callable[[Tensor], str]) -> Estimate:
    """The estimate moved against the gradients of all guides, each taken where the estimate was.

    Where a guide works through the denoiser, ``now.x`` requires grad and ``estimate.clean`` was computed from it.

    Raises:
        Diverged: a gradient is not finite, or the estimate left the range of latents or shows nothing any more; names step,
            class and objective.
    """
    start = estimate.clean.detach()
    shift = torch.zeros_like(start)
    for item in bound:
        guide = item.guide
        moved = guide.objective.weight * guide.scale(now.level, now.after) * gradient(item, estimate, start, now)
        _refuse_what_is_no_picture(start, moved, guide, now, names)
        shift = shift + moved
    return Estimate(start - shift, None if estimate.log_variance is None else estimate.log_variance.detach())


def _refuse_what_is_no_picture(
    start: Tensor, moved: Tensor, guide: Guide, now: Moment, names: Callable[[Tensor], str]
) -> None:
    """Raise `Diverged` where a guide moved the estimate beyond `largest`, or made it flat; two means while all is well.

    An estimate that was flat, or within a tenth as large before is not the guide's work, unless it left what any network says.
    """
    size, spread = size_and_spread(start - moved)
    beyond, flat = ~(size <= largest(now.level)), spread < FLAT
    if not (beyond | flat).any():
        return
    before, shown = size_and_spread(start)
    lost = ~torch.isfinite(before)
    if lost.any():
        raise Diverged(
            f"the prior's own estimate is no number at step {now.step} (time {float(now.level.time):.2f}) for class "
            f"{names(now.draft.labels[lost.cpu()])}, before {named([guide.objective])} guides it: lower cfg, or the weights of "
            "the guides that acted before"
        )
    beyond &= ~(size <= 1.1 * before) | ~(size <= max(NOISIEST, largest(now.level)))
    flat &= shown >= FLAT
    bad = beyond | flat
    if bad.any():
        if beyond.any():
            what = f"has a root mean square of {float(size[beyond].max()):.3g}, latents of pictures are near 1"
        else:
            what = f"is the same at every place, to {float(spread[flat].max()):.1g}: a picture of it shows nothing"
        raise Diverged(
            f"guidance by {named([guide.objective])} diverged at step {now.step} "
            f"(time {float(now.level.time):.2f}) for class {names(now.draft.labels[bad.cpu()])}: the clean estimate {what}; "
            f"lower its weight, narrow its window, or use another scale than {guide.scale}"
        )


def largest(level: Level) -> float:
    """Root mean square that a clean estimate may have at a level."""
    return max(LARGEST, NOISIEST * float(level.sigma) / max(float(level.alpha), LEAST_ALPHA))


def refuse_what_guides_left(draft: Draft, bound: Sequence[BoundGuide], step: int, context: Context) -> None:
    """Raise `Diverged` where a guided chain ended, with ``step``, beyond what latents of pictures have, or blown out or blank.

    Latents by twice the limit of a step: here nothing tells what the network alone had made.
    """
    (x,) = draft.latents.values()
    size = size_and_spread(x)[0]
    bad = ~(size <= 2 * LARGEST)
    if bad.any():
        labels = draft.labels[bad.cpu()]
        what = f"the latents have a root mean square of {float(size.max()):.3g}, those of pictures are near 1"
    elif unusual(draft.latents) and (found := blown_out(draft, context)):
        labels, what = found
    else:
        return
    raise Diverged(
        f"guidance by {named(item.guide.objective for item in bound)} diverged by the last step, {step}, for class "
        f"{context.name_classes(labels)}: {what}; lower a weight, or narrow a window"
    )


def gradient(item: BoundGuide, estimate: Estimate, start: Tensor, now: Moment) -> Tensor:
    """The gradient of a bound guide, (n, *latent_shape).

    Raises:
        UserError: it is to be taken at the noisy latent, and the objective does not look at it.
    """
    guide, prior = item.guide, now.draft.prior
    clean = (estimate.clean if guide.gradient == "denoiser" else start).detach()
    clean.requires_grad_(guide.gradient != "noisy")
    x = now.x.detach().requires_grad_(guide.gradient != "clean")
    synthetic = Synthetic(
        prior,
        {next(iter(now.draft.latents)): clean},
        now.draft.ids,
        now.draft.labels,
        x=x,
        level=now.level,
        conditions=now.conditions,
        step=now.step,
        made=now.made,
        decode=item.decode or (lambda latents: decode(prior, latents, now.chunk)),
    )
    with torch.enable_grad():
        backward([Term(1.0, guide.objective.scope, item.loss)], synthetic, now.chunk)
    if guide.gradient == "noisy" and x.grad is None:
        raise UserError(
            f"{type(guide.objective).__name__} does not look at the noisy latent: give its guide gradient='clean', "
            "or 'denoiser'"
        )
    # There may be nothing to steer by yet, such as at the first picture of a class.
    found = torch.zeros_like(start) if x.grad is None else x.grad
    if clean.grad is not None and guide.gradient == "denoiser":
        (through,) = torch.autograd.grad(estimate.clean, now.x, clean.grad, retain_graph=True)
        found = found + through
    elif clean.grad is not None:
        found = clean.grad
    return _as_long_as_noise(found, start, now) if guide.matched else found


def _as_long_as_noise(found: Tensor, clean: Tensor, now: Moment) -> Tensor:
    """The gradient scaled, per picture, to the length of the noise that the latent holds if the estimate is right."""
    noise = (now.x.detach() - float(now.level.alpha) * clean) / max(float(now.level.sigma), 1e-6)
    length = found.flatten(1).norm(dim=1)
    factor = torch.where(length > 0, noise.flatten(1).norm(dim=1) / length, 0)  # no gradient has no direction
    return found * factor.view(-1, *[1] * (found.dim() - 1))
