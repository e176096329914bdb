"""Image classifiers of transformers, https://github.com/huggingface/transformers: from the hub or from a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from gendistill.hub import published
from gendistill.nets.pretrained import Pretrained, Sight
from gendistill.types import UserError

WHAT, LOOKED_FOR = "image classifier of transformers", "config.json, preprocessor_config.json and weights"
CONFIGS, WEIGHTS = ("config.json",), (".safetensors", ".safetensors.index.json")
PICKLED = (".bin", ".bin.index.json")
BILINEAR = 2
"""What PIL calls it."""


@dataclass(frozen=True)
class TransformersClassifier(Pretrained):
    """An image classifier of transformers, which sees pictures as its processor does and answers for the data's classes alone.

    source    hub id or folder
    classes   what its outputs are, in their order: a WordNet id or a name for each, or the name of one of timm's subsets of
              ImageNet; empty where the network itself says it
    revision  of the checkpoint's files
    saw       the pictures it was trained on, for the card; empty for what its own card says
    """

    source: str
    classes: tuple[str, ...] | str = ()
    revision: str | None = None
    saw: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", self.classes if isinstance(self.classes, str) else tuple(self.classes))

    @cached_property
    def checked(self) -> set[str]:
        """Fingerprints of the pictures whose class order it was found to share."""
        return set()

    @property
    def whose(self) -> str:
        """The source."""
        return repr(self.source)

    @property
    def files(self) -> tuple[str, ...]:
        """The folder."""
        return (self.source,) if Path(self.source).exists() else ()

    @cached_property
    def config(self) -> Any:
        """The configuration of the network. Reads no weights.

        Raises:
            UserError: there is none, or it is of another kind.
        """
        from transformers import AutoConfig, AutoModelForImageClassification

        with published.reading(self.source, WHAT, LOOKED_FOR):
            found = AutoConfig.from_pretrained(self._folder(CONFIGS))
        if type(found) not in AutoModelForImageClassification._model_mapping:
            raise UserError(
                f"{self.source!r} is of the kind {found.model_type!r}, which classifies no pictures; ViT, ResNet, ConvNeXT, Swin "
                "and others that transformers lists for image classification do"
            )
        return found

    def labels(self) -> Mapping[int, str]:
        """As the config says, where it does not only number them."""
        names = {int(row): str(name) for row, name in (self.config.id2label or {}).items()}
        return {} if all(re.fullmatch(r"LABEL_\d+", name) for name in names.values()) else names

    def outputs(self) -> int:
        """As the config says."""
        return int(self.config.num_labels)

    def build(self, weights: bool) -> tuple[nn.Module, Sight]:
        """What transformers makes of the folder.

        Raises:
            UserError: weights are missing, such as those of a head that was never trained.
        """
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        kind: Any = AutoModelForImageClassification
        with published.reading(self.source, WHAT, LOOKED_FOR):
            sight = sight_of(AutoImageProcessor.from_pretrained(self._folder(CONFIGS)), self.source)
            if not weights:
                return kind.from_config(self.config), sight
            net, found = kind.from_pretrained(self._weights(), dtype=torch.float32, output_loading_info=True)
        for problem in ("missing_keys", "mismatched_keys", "error_msgs"):
            if found[problem]:
                raise UserError(
                    f"the weights of {self.source!r} are no whole classifier: {problem.replace('_', ' ')} "
                    f"{sorted(map(str, found[problem]))[:3]}; give a checkpoint that was fine-tuned to classify"
                )
        return net, sight

    def fetch(self) -> None:
        """Bring the files into the hub's cache."""
        published.weighed(self._weights(), self.whose)

    def card(self) -> dict[str, str]:
        """Of the repository."""
        return published.card(self.source)

    def _folder(self, endings: tuple[str, ...]) -> Path:
        return published.folder_of(self.source, endings, self.revision)

    def _weights(self) -> Path:
        """The folder with configs and weights: safetensors, or pickled ones where there are no others."""
        found = self._folder(CONFIGS + WEIGHTS)
        return found if any(found.glob("*.safetensors")) else self._folder(CONFIGS + PICKLED)


def sight_of(processor: Any, whose: str) -> Sight:
    """How a processor of transformers shows a picture to its network, as four pictures of one colour tell.

    Kinds of processors differ in what they scale by, how often they normalise, and in the order of channels; all of them are
    x_c -> (x_o(c) - mean_c) / std_c.

    Raises:
        UserError: it mixes colours.
    """
    black, *colours = (_shown(processor, colour) for colour in ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)))
    side = tuple(black.shape[1:])
    gains = torch.stack([_middle(one) for one in colours], 1) - _middle(black)[:, None]  # (channels, colours)
    order = gains.abs().argmax(1)
    gain = gains.gather(1, order[:, None]).flatten()
    if len(order) != 3 or not torch.allclose(gains.abs().sum(1), gain.abs(), rtol=1e-3) or bool((gain == 0).any()):
        raise UserError(
            f"the processor of {whose!r} does not show red, green and blue one by one, so it cannot be followed"
        )
    config: Mapping[str, Any] = getattr(processor, "data_config", {})  # of timm's networks in transformers
    bilinear = BILINEAR in (getattr(processor, "resample", None),) or config.get("interpolation") == "bilinear"
    return Sight(
        None if side == (PROBE, PROBE) and not getattr(processor, "do_resize", True) else (side[0], side[1]),
        "bilinear" if bilinear else "bicubic",
        tuple((-_middle(black) / gain).tolist()),
        tuple((1 / gain).tolist()),
        () if order.tolist() == [0, 1, 2] else tuple(order.tolist()),
    )


PROBE = 48
"""Side of the pictures of one colour, in pixels."""


def _shown(processor: Any, colour: tuple[int, int, int]) -> Tensor:
    return processor(images=Image.new("RGB", (PROBE, PROBE), colour), return_tensors="pt")["pixel_values"][0]


def _middle(shown: Tensor) -> Tensor:
    """The colour in the middle, (channels,) float64: a processor may fill up the border."""
    return shown[:, shown.shape[1] // 2, shown.shape[2] // 2].double()
