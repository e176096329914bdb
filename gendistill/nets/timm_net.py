"""Any architecture of timm, untrained.

"PyTorch Image Models" (Wightman, 2019), https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gendistill.config.fields import nearest
from gendistill.nets.base import Classifier, Shape
from gendistill.types import Pixels, UserError

OURS = (
    "num_classes", "in_chans", "img_size", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path",
    "cache_dir", "features_only",
)  # fmt: skip
"""Options that are not the user's to give: the data say them, they load weights, or they take the head away."""


class TimmNet(Classifier):
    """A model of timm whose classifier was taken out of it, to be the head."""

    body: Any

    def layers(self, pixels: Pixels) -> list[Tensor]:
        """What each stage of a network shows, or each block of a transformer, (n, channels, h, w), and then the features, (n, d).

        Raises:
            UserError: timm does not tell the stages of this model.
        """
        if not hasattr(self.body, "forward_intermediates"):
            raise UserError(
                f"timm does not show the blocks of a {type(self.body).__name__}: use ConvNet(...) or ResNet(...)"
            )
        last, shown = self.body.forward_intermediates(self.normalised(pixels))
        return [*shown, self.body.forward_head(last).flatten(1)]


@dataclass(frozen=True)
class Timm:
    """An architecture by timm's name of it, with new weights; its channels, classes and size of pictures are those of the data.

    Dropout and stochastic depth are off, also where timm has them on (Swin), unless options speak of them.

    name     as ``timm.list_models()`` has it: "mobilenetv2_100", "efficientnet_b0", "vit_tiny_patch16_224" ...; the size in a
             name binds nothing
    stride   of the first convolution, None for timm's own; with 1, a network made for 224 px sees small pictures twice as large
    options  what else the architecture is told, a dictionary or pairs: {"patch_size": 4} for a transformer at 32 px, and
             {"patch_size": 2, "window_size": 4} for Swin
    """

    name: str
    stride: int | None = None
    options: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        import timm  # takes seconds, and few recipes need it

        options = self.options.items() if isinstance(self.options, Mapping) else self.options
        object.__setattr__(self, "options", tuple((str(name), _plain(name, value)) for name, value in options))
        known = timm.list_models()
        if self.name not in known:
            untagged = self.name.split(".")[0]
            told = (
                f"; what stands after the dot names weights, and these are new: {untagged!r}"
                if untagged in known
                else nearest(self.name, known) or "; timm.list_models() has all names"
            )
            raise UserError(f"timm has no architecture {self.name!r}{told}")
        ours = [name for name, _ in self.options if name in OURS]
        if ours:
            raise UserError(
                f"{ours[0]} is no option of Timm: classes, channels and size are the data's, weights are new"
            )
        if self.stride is not None and self.stride < 1:
            raise UserError(f"the stride of a convolution is at least 1, got {self.stride}")

    def __str__(self) -> str:
        told = [] if self.stride is None else [f"stride={self.stride}"]
        told += [f"{name}={value}" for name, value in self.options]
        return self.name + (f" ({', '.join(told)})" if told else "")

    def build(self, shape: Shape) -> Classifier:
        """A new network.

        Raises:
            UserError: the architecture does not take such pictures or options, or has no single head.
        """
        import timm

        given = {**dict(self.options), "num_classes": shape.classes, "in_chans": shape.channels}
        if getattr(timm.get_pretrained_cfg(self.name), "fixed_input_size", False):
            given["img_size"] = shape.size
        probe = torch.zeros(1, shape.channels, shape.size, shape.size)
        try:
            model: Any = timm.create_model(self.name, pretrained=False, **given)
            self._adapt(model, shape.size)
            net = TimmNet(model, _taken_head(model), shape)
            with torch.no_grad():
                answer = net.eval()(probe)
        except UserError:
            raise
        except Exception as error:  # a model of timm raises what it will where it cannot be
            raise UserError(f"timm cannot make {self} for pictures of {shape.size} px: {error}") from error
        if answer.shape != (1, shape.classes):
            raise UserError(f"{self} answers with shape {tuple(answer.shape)}, not with one logit per class")
        return net.train()

    def _adapt(self, model: Any, size: int) -> None:
        """What timm has no option for."""
        if self.stride is not None:
            name = model.pretrained_cfg.get("first_conv")
            first = model.get_submodule(name) if isinstance(name, str) else None
            if not isinstance(first, nn.Conv2d) or first.kernel_size == first.stride:
                raise UserError(
                    f'{self.name} has no first convolution whose stride could change; see options={{"patch_size": ...}}'
                )
            first.stride = (self.stride, self.stride)
        patch = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
        side = patch[0] if isinstance(patch, tuple) else patch
        if size % side:  # timm would leave out the last rows and columns
            raise UserError(
                f"{self} sees pictures in patches of {side} px, and {size} px are no multiple of that: "
                'give options={"patch_size": ...}'
            )
        if not any("drop" in name for name, _ in self.options):
            _without_chance(model)


def _plain(name: object, value: Any) -> Any:
    """A value that prints as the code that makes it, and hashes; lists become tuples."""
    if isinstance(value, list | tuple):
        return tuple(_plain(name, item) for item in value)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise UserError(f"option {name} of Timm must be a number, a string or a tuple of such, not {value!r}")
    return value


def _taken_head(model: Any) -> nn.Module:
    """The classifier of a model, which has none afterwards: what it answers then are the features."""
    head = model.get_classifier()
    if not isinstance(head, nn.Module) or isinstance(head, nn.ModuleList):
        raise UserError(f"a {type(model).__name__} of timm has no single head, and a classifier here has one")
    model.set_submodule(next(name for name, layer in model.named_modules() if layer is head), nn.Identity())
    if isinstance(head, nn.Conv2d):  # of 1x1, on maps of one place
        return nn.Sequential(nn.Unflatten(1, (-1, 1, 1)), head, nn.Flatten())
    return head


def _without_chance(model: nn.Module) -> None:
    """Turn off what draws from torch's global stream in training: the same recipe gives the same bits."""
    for layer in model.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.p = 0.0
        for name in ("drop_prob", "drop_rate"):  # of stochastic depth, and of dropout that is no layer of its own
            if hasattr(layer, name):
                setattr(layer, name, 0.0)
