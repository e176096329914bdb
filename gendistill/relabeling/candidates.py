"""The labels that a budget of bytes buys: a few exact ones of each picture, many coarse ones, or what others make of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from gendistill.formatting import plural, spell_bytes
from gendistill.labelers.alternate import Alternate, Phases
from gendistill.labelers.base import Labeler
from gendistill.labelers.codecs.base import Codec
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half
from gendistill.labelers.codecs.top_k import TopK
from gendistill.labelers.cooling import Cooling
from gendistill.labelers.ensemble import Ensemble
from gendistill.labelers.hard import Hard
from gendistill.labelers.interpolate import Interpolate
from gendistill.labelers.relabel import Relabel
from gendistill.labelers.relabel_views import RelabelViews
from gendistill.learning.label_losses import AlignedDivergence, CosineDistance
from gendistill.types import Images, UserError

L = TypeVar("L", bound=Ensemble)
SHARES = (0.3, 0.1, 0.03, 0.01)
"""Of the classes that a candidate keeps, beside those that keep all."""
LPQLD_SHARE, LPQLD_TEMPERATURE = 0.1, 20.0
"""Of the classes that LPQLD keeps, and of its students' loss at first."""


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


def published(asked: Ensemble, images: Images, budget: int, most: int) -> list[Labeler]:
    """What others make of a budget, where it fits: LPQLD, GIFT and HALD of as many views, INFER of the pictures; and hard labels.

    LPQLD keeps a tenth of the classes in 16 bits, whose temperature cools from 20; the others keep all classes in 8 bits. LPQLD and
    GIFT bring their losses, HALD and INFER are learned as the training says. A loss that ``asked`` brings is the user's choice,
    beside which none of these is tried but hard labels.
    """
    n, classes = len(images), len(images.classes)
    if asked.loss is not None:
        return [Hard()]

    def views(codec: Codec, most: int, **more: Any) -> list[RelabelViews]:
        count = min(budget // (n * codec.bytes(classes)), most)
        return [like(RelabelViews, asked, codec=codec, count=count, **more)] if count else []

    found: list[Labeler] = []
    few = TopK(max(3, round(LPQLD_SHARE * classes)), Half())
    if few.k < classes:
        found += views(few, most, temperature=LPQLD_TEMPERATURE, cooling=Cooling(), loss=AlignedDivergence())
    found += views(EightBit(), most, loss=CosineDistance())
    found += map(Alternate, views(EightBit(), Phases().soft(most)))
    if getattr(asked, "views", Interpolate.views).mix is not None and n * EightBit().bytes(classes) <= budget:
        found.append(like(Interpolate, asked, codec=EightBit()))
    return [*found, Hard()]


def like(kind: type[L], asked: Ensemble, **more: object) -> L:
    """Another kind of labeler with the settings that both have."""
    shared = {one.name for one in fields(kind)} & {one.name for one in fields(asked)}
    return kind(**{**{name: getattr(asked, name) for name in shared}, **more})


def described(labeler: Labeler) -> str:
    """Labels of a candidate in words."""
    if isinstance(labeler, Hard):
        return "none, hard labels"
    if isinstance(labeler, Alternate):
        return f"{described(labeler.labeler)}, taking turns with hard ones"
    assert isinstance(labeler, Relabel | RelabelViews)
    words = [f"of {plural(labeler.count, 'view')}" if isinstance(labeler, RelabelViews) else "of the pictures"]
    words.append(str(labeler.codec))
    if isinstance(labeler, Interpolate):
        words.append("mixed as the pictures are")
    if isinstance(labeler, RelabelViews) and labeler.cooling is not None:
        words.append("cooled")
    if labeler.loss is not None:
        words.append(f"learned by {labeler.loss}")
    return ", ".join(words)
