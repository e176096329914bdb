"""Zero-shot classifiers: CLIP (Radford et al., ICML 2021), https://arxiv.org/abs/2103.00020, compares pictures with class names.

    logit_k = scale cos( image(picture), mean_templates text(template with name k) )

Names of models and weights are open_clip's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill.store import fingerprint, fingerprint_state
from gendistill.types import Class, Pixels, UserError

log = logging.getLogger("gendistill")

Tokenizer: TypeAlias = Callable[[list[str]], Tensor]


@dataclass(frozen=True, eq=False, repr=False)
class LoadedCLIP:
    """An open_clip model that was loaded elsewhere. Two are equal where their weights and their tokens are.

    net        the model; it is copied, and stays as it is
    tokenizer  texts to tokens; None for the byte pairs of CLIP
    """

    net: nn.Module
    tokenizer: Tokenizer | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights and of what a text is to the tokenizer."""
        return fingerprint(fingerprint_state(self.net), self.tokens(["The quick brown fox jumps over the lazy dog."]))

    def tokens(self, texts: list[str]) -> Tensor:
        """(texts, length) int64."""
        if self.tokenizer is not None:
            return self.tokenizer(texts)
        from open_clip import SimpleTokenizer  # takes seconds to import, and few recipes need it

        return SimpleTokenizer(context_length=getattr(self.net, "context_length", 77))(texts)

    def __repr__(self) -> str:
        return f"LoadedCLIP(<{type(self.net).__name__} {self.fingerprint}>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoadedCLIP) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def load_clip(model: str, pretrained: str, weights: bool = True) -> LoadedCLIP:
    """The model of this name on the CPU in float32, from open_clip's cache or the hub; without ``weights``, untrained.

    Raises:
        UserError: there is no such model, or its weights are not here and cannot be fetched.
    """
    import open_clip

    # Without this, open_clip gives weights that were trained with QuickGELU (OpenAI's) another activation, and only warns.
    quick = bool(open_clip.get_pretrained_cfg(model, pretrained).get("quick_gelu", False))
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        net = open_clip.create_model(
            model,
            pretrained=pretrained if weights else None,
            force_quick_gelu=quick,
            require_pretrained=weights,
            pretrained_text=False,
        )
        return LoadedCLIP(net, open_clip.get_tokenizer(model))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"open_clip cannot load {model!r} with weights {pretrained!r}: {error}\n"
            f"Where there is no network, fetch them once where there is, by "
            f"open_clip.create_model({model!r}, pretrained={pretrained!r}), and copy the cache of the hub (HF_HOME) here; "
            "or give a loaded open_clip model as model"
        ) from error
    finally:
        root.handlers[:] = before  # open_clip logs by the root logger, which adds a handler that would repeat our lines


class ZeroShotClassifier(nn.Module):
    """A classifier made of a CLIP and one embedded prompt per class: pixels in [0, 1] in, logits out."""

    prompts: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, clip: nn.Module, prompts: Tensor, preprocess: dict[str, Any]) -> None:
        """``prompts`` (k, d) have norm 1; ``preprocess`` is open_clip's configuration of the model."""
        super().__init__()
        self.clip = clip
        size = preprocess["size"]
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.mode = "bilinear" if preprocess.get("interpolation") == "bilinear" else "bicubic"
        self.register_buffer("prompts", prompts)
        from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

        self.register_buffer("mean", torch.tensor(preprocess.get("mean", OPENAI_DATASET_MEAN)).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess.get("std", OPENAI_DATASET_STD)).view(1, -1, 1, 1))

    def forward(self, pixels: Pixels) -> Tensor:
        """Logits, (n, k), differentiable. Pictures are square, so all of open_clip's ways to resize are one."""
        x = pixels.expand(-1, 3, -1, -1)
        if x.shape[-2:] != self.size:
            x = F.interpolate(x, self.size, mode=self.mode, antialias=True, align_corners=False)
        seen = self.clip.encode_image((x - self.mean) / self.std, normalize=True)  # pyright: ignore[reportCallIssue]
        return self.clip.logit_scale.exp() * seen @ self.prompts.T  # pyright: ignore


@torch.no_grad()
def zero_shot(
    loaded: LoadedCLIP, classes: Sequence[Class], templates: Sequence[str], device: torch.device
) -> ZeroShotClassifier:
    """A frozen classifier in eval mode; the prompts of a class are embedded together, averaged, and brought to norm 1."""
    from open_clip import get_model_preprocess_cfg

    clip: Any = deepcopy(loaded.net).float().to(device).eval()
    names = [one.name.replace("_", " ") for one in classes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        log.warning("classes of one name cannot be told apart by prompts: %s", ", ".join(twice))
    embedded = [
        clip.encode_text(loaded.tokens([template.format(name) for template in templates]).to(device), normalize=True)
        for name in names
    ]
    prompts = F.normalize(torch.stack([rows.mean(0) for rows in embedded]), dim=1)
    return (
        ZeroShotClassifier(clip, prompts, dict(get_model_preprocess_cfg(clip))).to(device).eval().requires_grad_(False)
    )
