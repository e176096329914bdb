"""What an optimiser makes of latents: at every step whether they keep in range, ever more rarely whether their pictures do."""

from __future__ import annotations

import torch

from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.steering.blown_out import blown_out, unusual
from gendistill.steering.latent_range import FLAT, LARGEST, size_and_spread
from gendistill.types import Diverged, Latents


class Watch:
    """Refuses what moved too far from where it began, by names of variables: ``latent/...`` and ``condition/...``."""

    def __init__(self, variables: Latents, limited: bool, who: str, advice: str) -> None:
        """``variables`` as they begin; ``limited`` latents have a range of their own; errors say ``who`` and an ``advice``."""
        self.begun = {name: size_and_spread(value.detach()) for name, value in variables.items()}
        self.limited, self.who, self.advice = limited, who, advice

    @torch.no_grad()
    def check(self, variables: Latents, draft: Draft, step: int, context: Context) -> None:
        """Refuse latents that no picture has.

        Raises:
            Diverged: some are not finite, many times as large as they were, or flat.
        """
        for name, value in variables.items():
            (size, spread), (first, shown) = size_and_spread(value), self.begun[name]
            far = self.limited or name.startswith("condition/")
            beyond = ~(size <= (torch.inf if far else LARGEST * first.clamp_min(1.0)))
            flat = (spread < FLAT) & (shown >= FLAT) if value.dim() == 4 else torch.zeros_like(beyond)
            bad = beyond | flat
            if bad.any():
                if beyond.any():
                    what = f"have a root mean square of {float(size[beyond].max()):.3g}, and began with {float(first.mean()):.2g}"
                else:
                    what = (
                        f"are the same at every place, to {float(spread[flat].max()):.1g}: their pictures show nothing"
                    )
                raise self._diverged(step, context.name_classes(draft.labels[bad.cpu()]), f"{name} {what}")

    def look(self, moved: Draft, step: int, context: Context, sampled: bool = False) -> None:
        """Refuse pictures that are blown out or blank, where latents became unusual enough to look at them.

        Of latents that were ``sampled`` since, nothing is known of how they began.

        Raises:
            Diverged: a class has such pictures.
        """
        begun = {} if sampled else {name.partition("/")[2]: value for name, value in self.begun.items()}
        if unusual(moved.latents, begun) and (found := blown_out(moved, context)):
            raise self._diverged(step, context.name_classes(found[0]), found[1])

    def _diverged(self, step: int, classes: str, what: str) -> Diverged:
        return Diverged(f"{self.who} diverged at step {step} for class {classes}: {what}; {self.advice}")
