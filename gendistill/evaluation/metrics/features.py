"""What a feature function sees in pictures, block by block and checked.

Any function from pixels in [0, 1] to (n, d) will do: `features_of` a classifier, a CLIP's `encode_image`, or the Inception of
torch-fidelity, which wants bytes: ``lambda pixels: inception((255 * pixels).byte())[0]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from gendistill.context import passing
from gendistill.nets import ensemble
from gendistill.types import Images, Pixels, UserError

See: TypeAlias = Callable[[Pixels], Tensor]
"""From pixels (n, c, h, w) in [0, 1] to features (n, d)."""

HELD_BYTES = 1 << 30
"""Features up to this size are kept between two looks at the same pictures; more are made anew."""


def features_of(net: nn.Module) -> See:
    """What the head of a classifier sees; of a module without ``features``, its logits."""
    return partial(ensemble.features, [net])


def blocks(images: Images, see: See, device: str | torch.device = "cpu") -> Iterator[Tensor]:
    """Features of all pictures in order, a block at a time, where `exact` puts them.

    Raises:
        UserError: there is no picture, or the function gives something else than finite (n, d).
    """
    if not len(images):
        raise UserError("there is no picture to look at")
    for block in torch.arange(len(images)).split(passing(images.shape, device)):
        with torch.no_grad():
            found = see(images.pixels(block, device))
        if found.ndim != 2 or len(found) != len(block):
            raise UserError(
                f"a feature function gives (n, d) for n pictures; this one gave {tuple(found.shape)} for {len(block)}"
            )
        if not bool(found.isfinite().all()):
            raise UserError(f"features of pictures {int(block[0])} to {int(block[-1])} are not all finite")
        yield found.float().to(exact(device))


def features(images: Images, see: See, device: str | torch.device = "cpu") -> Tensor:
    """Features of all pictures, (n, d) float32, where `exact` puts them."""
    return torch.cat(list(blocks(images, see, device)))


def looks(images: Images, see: See, device: str | torch.device = "cpu") -> Callable[[], Iterator[Tensor]]:
    """`blocks`, as often as one calls for them: kept after the first time where they are small."""
    held: list[Tensor] = []

    def look() -> Iterator[Tensor]:
        if held:
            yield from held
            return
        seen, fits = [], True
        for found in blocks(images, see, device):
            fits = fits and len(images) * found.shape[1] * found.element_size() <= HELD_BYTES
            if fits:
                seen.append(found)
            yield found
        if fits:
            held.extend(seen)

    return look


def check_alike(images: Images, real: Images) -> None:
    """Raise `UserError` if the pictures of a set have other channels than the real ones."""
    if images.shape[0] != real.shape[0]:
        raise UserError(
            f"pictures of {images.shape[0]} channels are compared with real ones of {real.shape[0]}: is this set of other data?"
        )


def exact(device: str | torch.device) -> torch.device:
    """Where distances are computed in float64: on the device, or beside it where it knows no such numbers (Apple's)."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device


def rows_within(entries: int, columns: int) -> int:
    """How many rows of so many columns make about ``entries`` numbers, at least one."""
    return max(1, entries // max(columns, 1))
