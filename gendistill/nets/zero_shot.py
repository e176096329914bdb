"""Zero-shot classifiers: CLIP (Radford et al., ICML 2021), https://arxiv.org/abs/2103.00020, compares pictures with class names.

    logit_k = scale cos( image(picture), mean_templates text(template with name k) )

Names of models and weights are open_clip's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gendistill.context import Context
from gendistill.nets.presented import presented
from gendistill.nets.reference import Reference, tenth
from gendistill.prompts import called, check_templates, filled
from gendistill.system.store import fingerprint, fingerprint_files, fingerprint_state
from gendistill.types import Class, Images, Pixels, UserError

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


@dataclass(frozen=True)
class Clip(Reference):
    """A zero-shot classifier: it knows the classes of the data by their names, and was trained on none of their pictures.

    model       of open_clip, by name, "hf-hub:owner/name" or a folder; or loaded (with another tokenizer than CLIP's own:
                LoadedCLIP(model, tokenizer))
    pretrained  open_clip's name of the weights, or the path of a file (one of OpenAI's needs the model's -quickgelu name);
                without meaning for a repository, a folder or a loaded model
    templates   prompts with {} where the name of the class goes, or what else `Prompts` knows; their embeddings are averaged
    """

    model: Any = "ViT-B-32"
    pretrained: str = "openai"
    templates: tuple[str, ...] = ("a photo of a {}.",)

    def __post_init__(self) -> None:
        if isinstance(self.model, nn.Module):
            object.__setattr__(self, "model", LoadedCLIP(self.model))
        if not isinstance(self.model, str | LoadedCLIP):
            raise UserError(f"model={self.model!r}: give open_clip's name of a model, or a loaded one")
        object.__setattr__(self, "templates", check_templates(self.templates))

    @property
    def name(self) -> str:
        """What a card calls it."""
        if isinstance(self.model, LoadedCLIP):
            return repr(self.model)
        return f"{self.model}, {self.pretrained}" if schema(self.model) == self.model else self.model

    def load(self, context: Context) -> nn.Module:
        """The classifier of the data's classes."""
        return self.classifier(context.real.classes, context.device, weights=not context.dry)

    def see(self, context: Context) -> Callable[[Pixels], Tensor]:
        """The pictures among the texts, whatever these are."""
        return self.classifier(context.real.classes, context.device, weights=not context.dry).embed

    def origin(self, licence: str) -> dict[str, str]:
        """Its name."""
        return {"name": f"{self.name}, zero-shot"}

    def unseen(self, context: Context) -> Images:
        """A tenth of the training pictures: it was trained on captions, not on these pictures with their classes."""
        return tenth(context)

    def identity(self, context: Context) -> str:
        """Its settings, and what is in the files that lie here."""
        places = [one for one in (self.model, self.pretrained) if isinstance(one, str) and Path(one).exists()]
        if not places:
            return repr(self)
        found = context.lasting(("files", self), lambda: fingerprint(*map(fingerprint_files, places)))
        return f"{self!r} {found}"

    def check(self, classes: Sequence[Class] = ()) -> None:
        """Fetch the weights if they are not here.

        Raises:
            UserError: there is no such model, or there are no such weights, or they cannot be fetched.
        """
        if not isinstance(self.model, LoadedCLIP):
            fetch(self.model, self.pretrained)

    def classifier(self, classes: Sequence[Class], device: torch.device, weights: bool = True) -> ZeroShotClassifier:
        """The classifier of these classes, frozen; without ``weights`` one that costs the same."""
        loaded = self.model
        if not isinstance(loaded, LoadedCLIP):
            loaded = load_clip(loaded, self.pretrained, weights)
        return zero_shot(loaded, classes, self.templates, device)


def schema(model: str) -> str:
    """A model as open_clip is told of it: a folder has a prefix there."""
    return f"local-dir:{model}" if Path(model).is_dir() else model


def fetch(model: str, pretrained: str) -> None:
    """Bring the weights of a model into open_clip's cache, if they are not there.

    Raises:
        UserError: it cannot be done.
    """
    import open_clip
    from open_clip.pretrained import download_pretrained_from_hf

    kind, _, place = schema(model).rpartition(":")
    with advised(model, pretrained):
        if kind == "local-dir":
            found = {path.suffix for path in Path(place).iterdir()} & {".safetensors", ".bin", ".pt", ".pth"}
            if not (Path(place) / "open_clip_config.json").is_file() or not found:
                raise UserError(
                    f"{place} holds no CLIP: open_clip_config.json and the weights beside it are looked for"
                )
        elif kind == "hf-hub":
            download_pretrained_from_hf(place)
        elif model not in open_clip.list_models():
            raise UserError(f"open_clip has no model called {model!r}{close(model, open_clip.list_models())}")
        elif not Path(pretrained).is_file():
            tags = open_clip.list_pretrained_tags_by_model(model)
            if pretrained not in tags:
                raise UserError(f"open_clip has no weights {pretrained!r} of {model}, but {', '.join(tags) or 'none'}")
            open_clip.download_pretrained(open_clip.get_pretrained_cfg(model, pretrained))


def close(name: str, names: Sequence[str]) -> str:
    """``; near: A, B`` for the names most like a wrong one."""
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; near: {', '.join(near)}" if near else ""


@contextmanager
def advised(model: str, pretrained: str) -> Iterator[None]:
    """Turn what open_clip says of a model that it cannot load into what the user can do, and keep its logging to itself."""
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        yield
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"open_clip cannot load {model!r} with weights {pretrained!r}: {error}\n"
            f"Where there is no network, fetch them once where there is, by "
            f"open_clip.create_model({model!r}, pretrained={pretrained!r}), and copy the cache of the hub (HF_HOME) here; "
            "or give a loaded open_clip model as model"
        ) from error
    finally:
        root.handlers[:] = before  # open_clip logs by the root logger, which adds a handler that would repeat our lines


def load_clip(model: str, pretrained: str, weights: bool = True) -> LoadedCLIP:
    """The model of this name on the CPU in float32, from open_clip's cache or the hub; without ``weights``, untrained.

    Raises:
        UserError: there is no such model, or its weights are not here and cannot be fetched.
    """
    import open_clip

    told = schema(model)
    tag = pretrained if ":" not in told else None

    # Without this, open_clip gives weights that were trained with QuickGELU (OpenAI's) another activation, and only warns.
    quick = bool(tag and open_clip.get_pretrained_cfg(model, tag).get("quick_gelu", False))
    with advised(model, pretrained):
        net = open_clip.create_model(
            told,
            pretrained=tag if weights else None,
            load_weights=weights,
            force_quick_gelu=quick,
            require_pretrained=weights,
            pretrained_text=False,
        )
        return LoadedCLIP(net, open_clip.get_tokenizer(told))


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
        return self.clip.logit_scale.exp() * self.embed(pixels) @ self.prompts.T  # pyright: ignore

    def embed(self, pixels: Pixels) -> Tensor:
        """The pictures among the texts, (n, d), of length 1."""
        x = presented(pixels, self.size, self.mode, self.mean, self.std)
        return self.clip.encode_image(x, normalize=True)  # pyright: ignore[reportCallIssue]


@torch.no_grad()
def zero_shot(
    loaded: LoadedCLIP, classes: Sequence[Class], templates: Sequence[str], device: torch.device
) -> ZeroShotClassifier:
    """A frozen classifier in eval mode; the prompts of a class are embedded together, averaged, and brought to norm 1."""
    from open_clip import get_model_preprocess_cfg

    clip: Any = deepcopy(loaded.net).float().to(device).eval()
    names = [called(one) for one in classes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        log.warning("classes of one name cannot be told apart by prompts: %s", ", ".join(twice))
    embedded = [
        clip.encode_text(whole([filled(template, one) for template in templates], loaded).to(device), normalize=True)
        for one in classes
    ]
    prompts = F.normalize(torch.stack([rows.mean(0) for rows in embedded]), dim=1)
    return (
        ZeroShotClassifier(clip, prompts, dict(get_model_preprocess_cfg(clip))).to(device).eval().requires_grad_(False)
    )


def whole(texts: list[str], loaded: LoadedCLIP) -> Tensor:
    """The tokens of some texts. What more words do not change was cut, or would be by one word more.

    Raises:
        UserError: a text does not fit; open_clip would cut it and go on.
    """
    tokens = loaded.tokens(texts)
    longer = loaded.tokens([f"{text} word" for text in texts])
    cut = [text for text, mine, other in zip(texts, tokens, longer, strict=True) if torch.equal(mine, other)]
    if cut:
        raise UserError(f"{cut[0]!r} is longer than CLIP reads, {tokens.shape[1]} tokens: shorten the templates")
    return tokens
