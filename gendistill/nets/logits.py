"""What a network answers to pictures, block by block and checked, to be measured as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gendistill.context import passing
from gendistill.nets.base import Classifier
from gendistill.types import Diverged, Images, Labels, UserError


@torch.no_grad()
def logits(net: nn.Module, images: Images, device: str | torch.device = "cpu") -> Tensor:
    """Logits of all pictures, (n, k) float32 on the CPU. The network is asked in eval mode and left as it was.

    Raises:
        UserError: the pictures have other channels, or other classes, than the network knows.
        Diverged: an answer is not finite.
    """
    check_channels(net, images)
    blocks = torch.arange(len(images)).split(passing(images.shape, device))
    with evaluating(net):
        found = torch.cat([net(images.pixels(block, device)).float().cpu() for block in blocks])
    wanted = (len(images), len(images.classes))
    if tuple(found.shape) != wanted:
        raise UserError(
            f"{type(net).__name__} answers {wanted[0]} pictures of {wanted[1]} classes with logits of shape {tuple(found.shape)}"
        )
    if not bool(found.isfinite().all()):
        raise Diverged(f"{type(net).__name__} answers with numbers that are not finite")
    return found


def check_channels(net: nn.Module, images: Images) -> None:
    """Raise `UserError` if there are no pictures, or if they have other channels than the classifier.

    One channel would pass unseen: normalisation by three spreads it over three.
    """
    if not len(images):
        raise UserError("there is no picture to ask the network about")
    if isinstance(net, Classifier) and net.mean.shape[1] != images.shape[0]:
        raise UserError(
            f"the network looks at {net.mean.shape[1]} channels, the pictures have {images.shape[0]}: give pictures of the data "
            "it was trained on"
        )


def check_logits(found: Tensor, labels: Labels) -> None:
    """Raise `UserError` unless these are finite logits (n, k) of n >= 1 pictures with a label in [0, k) each."""
    if found.ndim != 2 or not len(found) or labels.shape != found.shape[:1]:
        raise UserError(
            f"logits (n, k) and labels (n,) of at least one picture are wanted, got {tuple(found.shape)} and {tuple(labels.shape)}"
        )
    if not bool(found.isfinite().all()):
        raise UserError("the logits are not all finite")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= found.shape[1]:
        raise UserError(f"labels from {low} to {high} do not fit logits over {found.shape[1]} classes")


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Eval mode while this lasts."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
