"""Pictures that steering blew out or blanked: black and white, or of one value, where real ones of their class are not.

An autoencoder squashes what it decodes, so latents may be two or three times as large as those of pictures and their pixels still
lie in [0, 1], most of them at its ends. So pictures are judged, but only where latents look unusual, since decoding costs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gendistill.context import Context, together
from gendistill.draft import Draft
from gendistill.steering.latent_range import size_and_spread
from gendistill.steering.render import decode
from gendistill.types import Latents, Pixels

UNUSUAL = 1.5
"""Root mean square of latents, by what is usual, from which their pictures are looked at."""
PALE = 0.3
"""Deviation between places, by what is usual, below which they are."""
REAL = 50
"""Real pictures of a class that tell what is usual."""
END = 1.5 / 255
"""A value this near to 0 or 1 is black or white."""
MORE = 0.5
"""Share of black and white values by which a class may have more than its real pictures: published methods go to 0.48."""
PALER = 5.0
"""How many times less its pictures may deviate from one value than the flattest real one: those of published methods reach 4.6."""
PHOTOGRAPHS = (torch.tensor([0.05, 0.8]), torch.tensor([0.03]))
"""Shares and deviations where there are no real pictures to tell, as small photographs have them."""


def unusual(latents: Latents, begun: dict[str, tuple[Tensor, Tensor]] | None = None) -> bool:
    """Whether pictures of these latents are worth a look; ``begun``: sizes and spreads to go by where they are not near 1."""
    for name, value in latents.items():
        (size, spread), (first, shown) = (
            size_and_spread(value),
            (begun or {}).get(name, (torch.ones(()), torch.ones(()))),
        )
        maps = value.dim() == 4 and value[0, 0].numel() > 1
        if bool((~(size <= UNUSUAL * first.clamp_min(1.0)) | (maps & (spread < PALE * shown))).any()):
            return True
    return False


@torch.no_grad()
def blown_out(draft: Draft, context: Context) -> tuple[Tensor, str] | None:
    """The classes whose pictures are none any more, (n,), and in words what they are; None where all are.

    A class is judged by the mean over its pictures here. With m and M the mean and the largest share of black and white values
    in up to `REAL` real pictures of the class, and n pictures, it is saturated beyond

        m + max( 1/2, ( (1 + max(M, 1/2)) / 2 - m ) / sqrt(n) )

    so that a single picture may be as extreme as a real one; and blank where its deviation between places is a fifth of that of the
    flattest real picture.
    """
    bad, said = [], ""
    for label in draft.labels.unique().tolist():
        mine = draft[torch.nonzero(draft.labels == label).flatten()]
        share, deviation = (
            one.mean().item() for one in shares(decode(mine.prior, mine.latents, together(context.real.train.shape)))
        )
        shown, flattest = usual(context, label)
        usually = shown.mean().item()
        one = (1 + max(shown.max().item(), 0.5)) / 2
        if share > usually + max(MORE, (one - usually) / math.sqrt(len(mine))):
            what = f"{share:.0%} of the values of its pictures are black or white, of real ones {usually:.0%}"
        elif deviation < flattest.min().item() / PALER:
            what = f"its pictures deviate from one value by {deviation:.2g}, real ones by {flattest.min().item():.2g} or more"
        else:
            continue
        bad, said = [*bad, label], said or what
    return (torch.tensor(bad), said) if bad else None


def shares(pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Share of values that are black or white, and deviation between places, of each picture, (n,) both."""
    flat = pixels.float().clamp(0, 1).flatten(2)
    return ((flat < END) | (flat > 1 - END)).float().mean((1, 2)), flat.std(2, correction=0).mean(1)


def usual(context: Context, label: int) -> tuple[Tensor, Tensor]:
    """`shares` of real pictures of a class, spread evenly over them."""

    def look() -> tuple[Tensor, Tensor]:
        where = context.real.train.where(label)
        if not len(where):
            return PHOTOGRAPHS
        chosen = where[torch.linspace(0, len(where) - 1, min(REAL, len(where))).long()]
        parts = chosen.split(together(context.real.train.shape))
        share, deviation = zip(*(shares(context.real.train.pixels(part)) for part in parts), strict=True)
        return torch.cat(share), torch.cat(deviation)

    return context.once(("shares", label), look)
