"""The soft labels that a budget of bytes buys: a few exact ones of each picture, or many coarse ones."""

from __future__ import annotations

from dataclasses import fields
from typing import TypeVar

from gendistill.formatting import plural, spell_bytes
from gendistill.labelers.alternate import Alternate
from gendistill.labelers.base import Labeler
from gendistill.labelers.codecs.base import Codec
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.codecs.top_k import TopK
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.types import Images, UserError

L = TypeVar("L", bound=Ensemble)
SHARES = (0.3, 0.1, 0.03, 0.01)
"""Of the classes that a candidate keeps, beside those that keep all."""


def ladder(classes: int, temperature: float) -> list[Codec]:
    """Ways to keep a label, from the finest to the coarsest, each in fewer bytes than the one before.

    The rest is spread, which costs a byte, so that it has together what it had at the temperature that labels are learned at.
    """
    kept = sorted({max(2, round(share * classes)) for share in SHARES}, reverse=True)
    found: list[Codec] = []
    for codec in (Half(), EightBit(), *(TopK(k, EightBit(), spread=True, temperature=temperature) for k in kept)):
        if not found or codec.bytes(classes) < found[-1].bytes(classes):
            found.append(codec)
    return found


def candidates(asked: Ensemble, images: Images, budget: int, most: int) -> list[Labeler]:
    """Labelers within a budget: for each codec as many views as fit, ``most`` at most, and the finest label of the picture itself.

    What costs as much as another and keeps less is none: a coarser codec where a finer one has all views already.

    Raises:
        UserError: nothing fits.
    """
    n, classes, found, codecs = len(images), len(images.classes), [], ladder(len(images.classes), asked.temperature)
    for codec in codecs:
        each = n * codec.bytes(classes)
        count = min(budget // each, most)
        if count and not found:
            found.append(like(Relabel, asked, codec=codec))
        if count:
            found.append(like(RelabelViews, asked, codec=codec, count=count))
        if count == most:
            break
    if not found:
        least = n * codecs[-1].bytes(classes)
        raise UserError(
            f"{spell_bytes(budget)} hold no soft labels of {plural(n, 'picture')}: the smallest are {least} bytes, one a picture "
            f"by {codecs[-1]}; hard labels cost none of them"
        )
    return found


def like(kind: type[L], asked: Ensemble, **more: object) -> L:
    """Another kind of labeler with the settings that both have."""
    shared = {one.name for one in fields(kind)} & {one.name for one in fields(asked)}
    return kind(**{**{name: getattr(asked, name) for name in shared}, **more})


def described(labeler: Labeler) -> str:
    """Labels of a candidate in words."""
    if isinstance(labeler, Alternate):
        return f"{described(labeler.labeler)}, taking turns with hard ones"
    if isinstance(labeler, RelabelViews):
        return f"of {plural(labeler.count, 'view')}, {labeler.codec}"
    assert isinstance(labeler, Relabel)
    return f"of the pictures, {labeler.codec}"
