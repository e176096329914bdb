"""How the pictures of a set lie among real ones, in the space of chosen features.

Fréchet distance: "GANs trained by a two time-scale update rule" (Heusel et al., NeurIPS 2017), https://arxiv.org/abs/1706.08500.
    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))      of the normals fitted to both
Precision and recall: "Improved precision and recall metric" (Kynkäänniemi et al., NeurIPS 2019), https://arxiv.org/abs/1904.06991.
    share of pictures inside a real ball, share of real ones inside a ball of the set's   (Eq. 1 and 2)
Density and coverage: "Reliable fidelity and diversity metrics" (Naeem et al., ICML 2020), https://arxiv.org/abs/2002.09797.
    real balls around a picture, over k: the mean; share of real balls that hold a picture   (Eq. 3 and 4)

A ball reaches from a point to its k-th nearest neighbour among its own; its surface counts, as Eq. 1 of 2019 has it (the code of
2020 leaves it out, which differs for ties alone). All depend on the number of pictures, the distance and the recall of small sets
most: compare sets of one size, and random real pictures of that size with them. A real picture in a set is its own neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gendistill.evaluation.metrics.features import See, check_alike, features, rows_within
from gendistill.images import Subset
from gendistill.types import Images, UserError

ENTRIES = 1 << 25
"""Distances held at once, 256 MiB in float64."""

TIE = 1 + 1e-9
"""Distances this near to a radius reach it. The set's own real pictures end on surfaces exactly, up to rounding."""


@dataclass(frozen=True)
class Fidelity:
    """Where a set lies among real pictures.

    frechet    distance of the fitted normals, squared, >= 0; 0 is best
    precision  share of the set's pictures that are near real ones, in [0, 1]
    recall     share of the real pictures that are near the set's, in [0, 1]
    density    how densely real pictures surround the set's: 1 for more real ones, above where it keeps to their cores
    coverage   share of the real pictures that have one of the set's for a neighbour, in [0, 1]
    pictures   of the set
    real       real pictures they were compared with
    k          neighbours that make a radius
    """

    frechet: float
    precision: float
    recall: float
    density: float
    coverage: float
    pictures: int
    real: int
    k: int


def fidelity(
    images: Images,
    real: Images,
    see: See,
    device: str | torch.device = "cpu",
    k: int = 5,
    most: int = 50_000,
) -> Fidelity:
    """Compare a set with real training pictures, of which ``most`` are taken, evenly spaced.

    Raises:
        UserError: too few pictures for k neighbours, other channels, or features that are not finite.
    """
    check_alike(images, real)
    check_enough(len(images), min(len(real), most), k)
    if len(real) > most:
        real = Subset(real, torch.linspace(0, len(real) - 1, most).long())
    ours, theirs = features(images, see, device), features(real, see, device)
    if ours.shape[1] != theirs.shape[1]:
        raise UserError(
            f"features of the set have {ours.shape[1]} numbers and those of the real pictures {theirs.shape[1]}: their sizes are "
            f"{images.shape[1:]} and {real.shape[1:]}, bring them to one"
        )
    return Fidelity(frechet(ours, theirs), *neighbourhoods(ours, theirs, k), len(ours), len(theirs), k)


def check_enough(pictures: int, real: int, k: int) -> None:
    """Raise `UserError` unless every picture has k neighbours among its own, and a covariance can be fitted."""
    if k < 1:
        raise UserError(f"k={k}: a radius needs at least one neighbour")
    for count, what in ((pictures, "the set"), (real, "the real data")):
        if count <= k:
            raise UserError(
                f"k={k} neighbours of each picture need at least {k + 1} pictures, {what} has {count}"
                + (f": use k={count - 1} or less" if count > 1 else "")
            )


def frechet(ours: Tensor, theirs: Tensor) -> float:
    """Fréchet distance, squared, between normals fitted to features (n, d) and (m, d) of at least two pictures each.

    With C = F^T F, the eigenvalues of C C' that are not 0 are those of F C' F^T, which is symmetric and, for a set smaller than d,
    small: no noise of the many eigenvalues that are 0 gets under the root.
    """
    few, many = sorted((ours, theirs), key=len)
    if len(few) < 2:
        raise UserError("a Fréchet distance needs at least two pictures on either side")
    (mean, root), (other, covariance) = rooted(few), moments(many)
    shared = torch.linalg.eigvalsh(root @ covariance @ root.T).clamp_min(0).sqrt().sum()
    apart = (mean - other).square().sum() + root.square().sum() + covariance.trace() - 2 * shared
    return max(float(apart), 0.0)


def moments(points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and unbiased covariance (d, d) in float64, block by block."""
    parts = points.split(rows_within(ENTRIES, points.shape[1]))
    total = torch.zeros(points.shape[1], dtype=torch.float64, device=points.device)
    products = torch.zeros(points.shape[1], points.shape[1], dtype=torch.float64, device=points.device)
    for part in parts:
        total += part.double().sum(0)
    mean = total / len(points)
    for part in parts:
        away = part.double() - mean
        products += away.T @ away
    return mean, products / (len(points) - 1)


def rooted(points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,), and F (r, d) with r = min(n, d) whose F^T F is the unbiased covariance, in float64."""
    if len(points) <= points.shape[1]:
        mean = points.double().mean(0)
        return mean, (points.double() - mean) / (len(points) - 1) ** 0.5
    mean, covariance = moments(points)
    values, vectors = torch.linalg.eigh(covariance)
    return mean, (vectors * values.clamp_min(0).sqrt()).T


def neighbourhoods(ours: Tensor, theirs: Tensor, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage of features (n, d) among real ones (m, d)."""
    check_enough(len(ours), len(theirs), k)
    mine, real = radii(ours, k), radii(theirs, k)
    around = torch.zeros(len(ours), dtype=torch.long, device=ours.device)
    reached = covered = 0
    for rows in torch.arange(len(theirs)).split(rows_within(ENTRIES, len(ours))):
        apart = distances(theirs[rows], ours)  # (rows, n)
        inside = apart <= TIE * real[rows, None]
        around += inside.sum(0)
        covered += int(inside.any(1).sum())
        reached += int((apart <= TIE * mine).any(1).sum())
    precision, density = (around > 0).double().mean(), around.double().mean() / k
    return float(precision), reached / len(theirs), float(density), covered / len(theirs)


def radii(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th nearest other one, (n,) float64. A twin is another one."""
    parts = points.split(rows_within(ENTRIES, len(points)))
    return torch.cat([distances(part, points).kthvalue(k + 1, dim=1).values for part in parts])


def distances(some: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances, (n, m) float64; the float64 copy of the others is made block by block."""
    parts = others.split(rows_within(ENTRIES, others.shape[1]))
    return torch.cat([torch.cdist(some.double(), part.double()) for part in parts], 1)
