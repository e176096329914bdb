"""Captions as prompts: VLCP (Zou et al., ICCV 2025), https://arxiv.org/abs/2506.23580.

Of every cluster of a class one caption is kept: the one that has most of what the captions of the cluster often say,

    caption = argmax_c sum_{w in c, w among the 30 most frequent words} count(w),

where words that tell nothing apart do not count: stop words, the words of the class, and those of most captions of the class.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from torch import Tensor

from gendistill.capabilities import Encodes, Prompted
from gendistill.context import Context, encoding
from gendistill.draft import Draft
from gendistill.hub import published
from gendistill.hub.published import reading
from gendistill.nets.captioner import Captioner, LoadedCaptioner
from gendistill.objectives.base import Scope
from gendistill.prompts import filled, placeholders, synonyms
from gendistill.steering.base import Steering
from gendistill.system.store import as_tensor, as_texts, fingerprint
from gendistill.types import LATENT, RealData, UserError
from gendistill.work import Work

log = logging.getLogger("gendistill")

FREQUENT = 30
"""Words of a cluster that count, the most frequent ones."""
EVERYWHERE = 0.7
"""Share of the captions of a class from which on a word tells nothing apart."""


@dataclass(frozen=True)
class Caption(Steering):
    """Ask for every picture by a caption of real ones: those of its class that are nearer to where it starts than to other starts.

    captioner  an image-to-text model
    template   of the prompt: {caption}, and what `Prompts` knows, such as {name} and {words}. Where the whole is longer than the
               prior's text encoder takes, the caption loses its last words, and that is said
    pictures   that are captioned for a picture, the nearest first: 1 is the medoid of a cluster, None all of it (VLCP)
    """

    captioner: Captioner = Captioner()
    template: str = "{name}, {caption}"
    pictures: int | None = 1
    looks_at_real = True

    def __post_init__(self) -> None:
        if "caption" not in placeholders(self.template, ("caption",)):
            raise UserError(f"the template {self.template!r} leaves the caption out: write {{caption}} where it goes")
        if self.pictures is not None and self.pictures < 1:
            raise UserError(f"pictures={self.pictures} must be at least 1, or None for all")

    @property
    def needs(self) -> tuple[type, ...]:
        """A prior that is asked in words, and tells how near pictures are."""
        return (Encodes, Prompted)

    @property
    def scope(self) -> Scope:
        """All starts of a class share its real pictures."""
        return "class"

    def origins(self, licence: str) -> list[dict[str, str]]:
        """The model."""
        source = self.captioner.source
        return [published.card(source) if isinstance(source, str) else {"name": repr(source)}]

    def check(self, data: RealData, ipc: int) -> None:
        """Raise `UserError` if the model cannot be had, or describes no pictures."""
        with self._reading():
            self.captioner.check()

    def __call__(self, draft: Draft, context: Context) -> Draft:
        """The draft, asked for by captions.

        Raises:
            UserError: there is no clean start whose neighbours could be described.
        """
        if LATENT not in draft.latents or float(draft.level.time) > 0:
            raise UserError(
                "Caption describes the real pictures near a start: put Start(anchors=Modes()) or the like before it"
            )
        prompts = [""] * len(draft)
        for index in draft.labels.unique().tolist():
            rows = torch.nonzero(draft.labels == index).flatten()
            captions = self._captions(draft.latents[LATENT][rows].flatten(1).cpu(), index, context)
            for row, prompt in zip(rows.tolist(), self._prompts(captions, index, draft, context), strict=True):
                prompts[row] = prompt
        conditions = cast(Prompted, draft.prior).condition_on(prompts)
        return replace(draft, conditions=conditions, prompts=tuple(prompts))

    def _captions(self, starts: Tensor, index: int, context: Context) -> list[str]:
        """The caption of each start (n, d) of a class."""
        near = shared_out(context.latents(index).flatten(1), starts, self.pictures)
        wanted = torch.cat(near).unique()
        more = {"captioner": self.captioner.fingerprint, "pictures": fingerprint(wanted)}

        def make() -> Mapping[str, Tensor]:
            loaded = context.lasting(("captioner", self.captioner), lambda: self._load(context))
            pictures = context.real.train.stored(context.real.train.where(index)[wanted])
            return {"captions": as_tensor(self.captioner.describe(loaded, pictures))}

        said = as_texts(context.kept("captions", index, more, make)["captions"])
        captions = dict(zip(wanted.tolist(), said, strict=True))
        dull = ENGLISH_STOP_WORDS | set(words(synonyms(context.real.classes[index]))) | everywhere(said)
        return [typical([captions[row] for row in rows.tolist()], dull) for rows in near]

    def _prompts(self, captions: Sequence[str], index: int, draft: Draft, context: Context) -> list[str]:
        """The captions in their template, each as much of it as the prior takes."""
        one, cut, found = context.real.classes[index], 0, []
        for caption in captions:
            parts = caption.split()
            for count in range(len(parts), -1, -1):
                text = filled(self.template, one, caption=" ".join(parts[:count])).strip()
                try:
                    cast(Prompted, draft.prior).condition_on([text])
                    break
                except UserError:
                    if count == 0:  # the template alone is too long
                        raise
            cut += count < len(parts)
            found.append(text)
        if cut:
            log.warning("%d of %d captions of %s are longer than the prior takes, and cut", cut, len(captions), one)
        return found

    def _load(self, context: Context) -> LoadedCaptioner:
        with self._reading():
            return self.captioner.load(context.device, weights=not context.dry)

    def _reading(self):
        return reading(
            str(self.captioner.source), "image-to-text model", "config.json, and the model and processor it names"
        )

    def work(self, draft: Draft, context: Context) -> Iterable[Work]:
        """Encoding, and the captions."""
        yield from encoding(context)
        count = sum(len(context.real.train.where(index)) for index in context.classes)
        if self.pictures is not None:
            count = min(count, self.pictures * len(draft))
        loaded = self._load(replace(context, dry=True))
        blank = torch.zeros(1, *context.real.train.shape, dtype=torch.uint8)
        yield Work("caption", count, lambda: self.captioner.describe(loaded, blank), shared=True, each="class")

    def imagined(self, draft: Draft, context: Context) -> Draft:
        """The same pictures, asked for otherwise, which costs what follows nothing."""
        return draft


def shared_out(real: Tensor, starts: Tensor, at_most: int | None) -> list[Tensor]:
    """The real points (m, d) that are nearest to each start (n, d), nearest first; one at least, if only as the nearest of all."""
    distance = torch.cdist(real, starts)
    owner, found = distance.argmin(1), []
    for number in range(len(starts)):
        mine = torch.nonzero(owner == number).flatten()
        if not len(mine):
            mine = distance[:, number].argmin().view(1)
        found.append(mine[distance[mine, number].argsort(stable=True)][:at_most])
    return found


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def everywhere(captions: Sequence[str]) -> set[str]:
    """Words that most captions have."""
    held = Counter(word for caption in captions for word in set(words(caption)))
    return {word for word, count in held.items() if count >= EVERYWHERE * len(captions)}


def typical(captions: Sequence[str], dull: Collection[str]) -> str:
    """The caption that has most of the most frequent words, of equals the first; ``dull`` words do not count."""
    counted = Counter(word for caption in captions for word in words(caption) if word not in dull)
    frequent = dict(counted.most_common(FREQUENT))
    scores = [sum(frequent.get(word, 0) for word in set(words(caption))) for caption in captions]
    return captions[scores.index(max(scores))]
