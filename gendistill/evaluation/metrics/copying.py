"""Whether pictures are copies of real ones: each beside its nearest real picture, in pixels or in chosen features.

    ratio_i = | f(s_i) - f(r) | / | f(r) - f(r') |      r the real picture nearest to s_i, r' the real one nearest to r

A picture of the set counts as it is or mirrored, whichever is nearer, for priors are trained on both. A distance by itself says
little, since empty pictures are near to everything; the ratio says whether a picture is nearer to a real one than other real ones
are. Far below 1 is a copy. "Extracting training data from diffusion models" (Carlini et al., USENIX
2023), https://arxiv.org/abs/2301.13188, divides by the mean distance to the 50 real pictures nearest to s_i instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gendistill.evaluation.metrics.features import See, blocks, check_alike, looks, rows_within
from gendistill.types import Images, Pixels, UserError

SIDE = 64
"""Larger pictures are brought to this size before their pixels are compared: a copy survives it, and its noise does not."""

ENTRIES = 1 << 25
"""Numbers of the set's pictures that are compared at once, 256 MiB in float64."""

TWIN = 1e-5
"""Real pictures nearer than this, as a share of their norm, are one picture: features are float32, and differ by their block."""


@dataclass(frozen=True)
class Neighbour:
    """A picture's nearest real one.

    picture   position in the set
    real      position in the real pictures
    distance  between the two: of `in_pixels`, root mean square of the differences, in [0, 1]
    ratio     to the distance of the real one to the next other one
    """

    picture: int
    real: int
    distance: float
    ratio: float


@dataclass(frozen=True)
class Copying:
    """How near a set is to single real pictures: its pictures in order, each with its nearest real one."""

    neighbours: tuple[Neighbour, ...]

    @property
    def closest(self) -> tuple[Neighbour, ...]:
        """The same, likeliest copy first."""
        return tuple(sorted(self.neighbours, key=lambda one: one.ratio))

    def share(self, below: float = 0.5) -> float:
        """Share of the pictures with a lower ratio, in [0, 1]."""
        return sum(one.ratio < below for one in self.neighbours) / len(self.neighbours)


def in_pixels(pixels: Pixels) -> Tensor:
    """The pixels themselves, (n, d), scaled so that a distance is the root mean square of the differences."""
    if max(pixels.shape[-2:]) > SIDE:
        pixels = F.adaptive_avg_pool2d(pixels, (min(SIDE, pixels.shape[-2]), min(SIDE, pixels.shape[-1])))
    flat = pixels.flatten(1)
    return flat / flat.shape[1] ** 0.5


def copying(images: Images, real: Images, see: See = in_pixels, device: str | torch.device = "cpu") -> Copying:
    """The real picture nearest to each of a set, of any class.

    Real pictures pass twice, a block at a time; twins of the nearest one (`TWIN`) do not count as others.

    Raises:
        UserError: other channels or sizes, features that are not finite, or no two real pictures that differ.
    """
    check_alike(images, real)
    look, found = looks(real, see, device), []
    both = zip(blocks(images, see, device), blocks(images, mirrored(see), device), strict=True)
    for each in gathered(torch.stack(ways, 1) for ways in both):  # (n, 2, d)
        points = each.flatten(0, 1).double()
        place, there = nearest(points, look())
        distance, way = (points - there).norm(dim=1).view(-1, 2).min(1)
        chosen = 2 * torch.arange(len(each), device=way.device) + way
        place, there = place[chosen], there[chosen]
        _, other = nearest(there, look(), beyond=TWIN * there.norm(dim=1))
        between = (there - other).norm(dim=1)
        if not bool(between.all()):
            raise UserError("the real pictures are all the same: there is no distance between them to compare with")
        found += [*zip(place.tolist(), distance.tolist(), (distance / between).tolist(), strict=True)]
    return Copying(tuple(Neighbour(picture, *one) for picture, one in enumerate(found)))


def mirrored(see: See) -> See:
    """The same of pictures whose left is their right."""
    return lambda pixels: see(pixels.flip(-1))


def nearest(points: Tensor, others: Iterable[Tensor], beyond: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Position of the nearest of the others, (n,), and that one itself, (n, d); the point where there is none.

    ``beyond`` (n,) leaves out what is not farther than this.
    """
    least = torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.device)
    place, there, seen = torch.zeros_like(least, dtype=torch.long), points.clone(), 0
    for block in others:
        if block.shape[1] != points.shape[1]:
            raise UserError(
                f"features of the set have {points.shape[1]} numbers and those of the real pictures {block.shape[1]}: bring the "
                "pictures to one size"
            )
        apart = torch.cdist(points, block.double())  # (n, block)
        if beyond is not None:
            apart[apart <= beyond[:, None]] = torch.inf
        value, index = apart.min(1)
        nearer = value < least
        least, place = torch.where(nearer, value, least), torch.where(nearer, seen + index, place)
        there[nearer] = block.double()[index[nearer]]
        seen += len(block)
    return place, there


def gathered(parts: Iterable[Tensor]) -> Iterable[Tensor]:
    """Blocks put together as long as they are small, so that real pictures pass seldom."""
    held: list[Tensor] = []
    for part in parts:
        if held and sum(map(len, held)) + len(part) > rows_within(ENTRIES, part[0].numel()):
            yield torch.cat(held)
            held = []
        held.append(part)
    if held:
        yield torch.cat(held)
