"""Some teachers asked together: their mean probabilities, and their features side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from gendistill.context import Context, together
from gendistill.nets import trained
from gendistill.nets.reference import Reference
from gendistill.types import Class, Pixels, Stored, UserError
from gendistill.work import Work


def members(part: str, given: Iterable[object]) -> tuple[Reference, ...]:
    """References of at least one teacher; ``part`` is who asks.

    Raises:
        UserError: there is none, or something else is among them.
    """
    found = trained.as_references(given)
    if not found:
        raise UserError(f"{part} needs at least one teacher, for example Trained(ConvNet())")
    return found


def check(references: Iterable[Reference], classes: Sequence[Class] = ()) -> None:
    """Raise `UserError` if one of the teachers cannot be had, or does not know the given classes. Loads no weights."""
    for reference in references:
        trained.check(reference, classes)


def load(references: Iterable[Reference], context: Context) -> list[nn.Module]:
    """The teachers, frozen, loaded once while this stage lasts."""
    return [context.lasting(("net", one), lambda one=one: trained.load(one, context)) for one in references]


def origins(references: Iterable[Reference], licence: str) -> list[dict[str, str]]:
    """What a card says of them; ``licence`` is that of the real pictures."""
    return [trained.origin(reference, licence) for reference in references]


def probabilities(nets: Sequence[nn.Module], pixels: Pixels) -> Tensor:
    """The mean over teachers of their probabilities, (n, k) float32."""
    return torch.stack([net(pixels).float().softmax(1) for net in nets]).mean(0)


def features(nets: Sequence[nn.Module], pixels: Pixels) -> Tensor:
    """What the heads of the teachers see, side by side, (n, d) float32. Of a module without ``features``, its logits."""
    return torch.cat([getattr(net, "features", net)(pixels).flatten(1).float() for net in nets], 1)


@torch.no_grad()
def look(stored: Stored, see: Callable[[Pixels], Tensor], context: Context) -> Tensor:
    """What ``see`` makes of 8-bit pictures, on the CPU, block by block."""
    blocks = stored.split(together(stored.shape))
    return torch.cat([see(block.to(context.device).float() / 255).cpu() for block in blocks])


def work(references: Iterable[Reference], context: Context, pictures: int, shared: bool = False) -> Iterable[Work]:
    """Training of the teachers that are trained in place, and their passes over so many pictures."""
    references = list(references)
    for reference in references:
        yield from trained.work(reference, context)
    nets = [trained.load(reference, replace(context, dry=True)) for reference in references]
    probe = torch.zeros(
        min(together(context.real.train.shape), max(pictures, 1)), *context.real.train.shape, device=context.device
    )

    @torch.no_grad()
    def once() -> Tensor:
        return features(nets, probe)

    yield Work("features", pictures / len(probe), once, shared=shared, rows=len(probe), each="class")
