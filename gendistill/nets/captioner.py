"""Captions of pictures, by any image-to-text model of transformers: BLIP, GIT, ViT-GPT2, LLaVA, Qwen-VL ..."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gendistill.pictures import to_pil, viewable
from gendistill.system.store import fingerprint, fingerprint_files, fingerprint_state
from gendistill.types import Stored, UserError

QUESTION = "Describe this picture in one sentence."
"""What a model that chats is told where nothing else is given."""


@dataclass(frozen=True, eq=False, repr=False)
class LoadedCaptioner:
    """An image-to-text model that was loaded elsewhere. Two are equal where their weights are, and what they are shown and say.

    model      it is frozen and moved to the device
    processor  of pictures and texts; or of pictures alone, and then ``tokenizer`` says what the model's words are
    """

    model: nn.Module
    processor: Any
    tokenizer: Any = None

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights, of what the processor makes of a picture and a question, and of the words."""
        probe = inputs(self, to_pil(torch.arange(3 * 40 * 40).remainder(251).to(torch.uint8).view(3, 40, 40)), QUESTION)
        return fingerprint(
            fingerprint_state(self.model),
            *(item for name, value in sorted(probe.items()) for item in (name, value)),
            sorted(self.words.get_vocab().items()),
        )

    @property
    def words(self) -> Any:
        """The tokenizer."""
        return self.tokenizer or self.processor.tokenizer

    def __repr__(self) -> str:
        return f"LoadedCaptioner(<{type(self.model).__name__} {self.fingerprint}>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoadedCaptioner) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


@dataclass(frozen=True)
class Captioner:
    """An image-to-text model of transformers.

    source          hub id, folder, or loaded: a pipeline "image-text-to-text", or LoadedCaptioner(model, processor)
    ask             what the model is told beside the picture; "" for nothing, and for a model that chats for `QUESTION`
    max_new_tokens  of a caption
    dtype           of the weights
    revision        of the checkpoint's files
    """

    source: Any = "Salesforce/blip-image-captioning-large"
    ask: str = ""
    max_new_tokens: int = 40
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    revision: str | None = None

    def __post_init__(self) -> None:
        given = self.source
        if not isinstance(given, str | LoadedCaptioner) and hasattr(given, "model") and hasattr(given, "processor"):
            loaded = LoadedCaptioner(given.model, given.processor or given.image_processor, given.tokenizer)
            object.__setattr__(self, "source", loaded)
        if not isinstance(self.source, str | LoadedCaptioner):
            raise UserError(
                f"source={given!r}: give a hub id, a folder, a pipeline of transformers, or LoadedCaptioner(model, processor)"
            )
        if self.max_new_tokens < 1 or self.dtype not in ("float32", "float16", "bfloat16"):
            raise UserError(f"max_new_tokens must be at least 1 and dtype that of floating point numbers, got {self}")

    @cached_property
    def fingerprint(self) -> str:
        """What its captions follow from; of a hub id its name and revision, of a folder its files."""
        return fingerprint(self, fingerprint_files(self.source) if isinstance(self.source, str) else [])

    def check(self) -> None:
        """Raise `UserError` if the model is of a kind that describes no pictures. Reads no weights."""
        if isinstance(self.source, str):
            from transformers import AutoConfig, AutoModelForImageTextToText

            config = AutoConfig.from_pretrained(self.source, revision=self.revision)
            if type(config) not in AutoModelForImageTextToText._model_mapping:
                raise UserError(
                    f"{self.source!r} is of the kind {config.model_type!r}, which describes no pictures; BLIP, GIT, ViT-GPT2, "
                    "LLaVA and others that transformers lists for image-text-to-text do"
                )

    def load(self, device: torch.device, weights: bool = True) -> LoadedCaptioner:
        """The model, frozen and in eval mode; without ``weights`` one that costs the same."""
        if isinstance(self.source, LoadedCaptioner):
            self.source.model.to(device).eval().requires_grad_(False)
            return self.source
        from transformers import (
            AutoConfig,
            AutoImageProcessor,
            AutoModelForImageTextToText,
            AutoProcessor,
            AutoTokenizer,
        )

        where: dict[str, Any] = {"pretrained_model_name_or_path": self.source, "revision": self.revision}
        kind: Any = AutoModelForImageTextToText
        dtype = getattr(torch, self.dtype)
        model = (
            kind.from_pretrained(**where, dtype=dtype)
            if weights
            else kind.from_config(AutoConfig.from_pretrained(**where)).to(dtype)
        )
        model = model.to(device).eval().requires_grad_(False)
        processor = AutoProcessor.from_pretrained(**where)
        if hasattr(processor, "image_processor"):
            return LoadedCaptioner(model, processor)
        return LoadedCaptioner(
            model, AutoImageProcessor.from_pretrained(**where), AutoTokenizer.from_pretrained(**where)
        )

    def describe(self, loaded: LoadedCaptioner, stored: Stored) -> tuple[str, ...]:
        """A caption of every picture, (n, c, h, w) uint8. One at a time: what it is then does not depend on the others."""
        return tuple(self._caption(loaded, one) for one in stored)

    @torch.no_grad()
    def _caption(self, loaded: LoadedCaptioner, one: Tensor) -> str:
        model: Any = loaded.model
        given = inputs(loaded, to_pil(viewable(one)).convert("RGB"), self.ask).to(model.device, dtype=model.dtype)
        said = model.generate(**given, max_new_tokens=self.max_new_tokens, do_sample=False, num_beams=1)[0].tolist()
        # Some models repeat what they were asked, between marks of their own.
        marks = set(loaded.words.all_special_ids)
        asked = [token for token in given.get("input_ids", torch.empty(1, 0))[0].tolist() if token not in marks]
        said = [token for token in said if token not in marks]
        answer = said[len(asked) :] if said[: len(asked)] == asked else said
        return " ".join(loaded.words.decode(answer).split())


def inputs(loaded: LoadedCaptioner, picture: Any, ask: str) -> Any:
    """A picture and what the model is told beside it, as its processor puts them."""
    processor = loaded.processor
    if getattr(processor, "chat_template", None):
        shown, told = {"type": "image", "image": picture}, {"type": "text", "text": ask or QUESTION}
        return processor.apply_chat_template(
            [{"role": "user", "content": [shown, told]}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    if not hasattr(processor, "tokenizer"):
        return processor(images=picture, return_tensors="pt")
    return processor(images=picture, **({"text": ask} if ask else {}), return_tensors="pt")
