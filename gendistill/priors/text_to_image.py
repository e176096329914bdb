"""Text-to-image diffusion: any diffusers pipeline of a family in `families`, by hub id, folder or loaded object.

Rombach et al., CVPR 2022, https://arxiv.org/abs/2112.10752. Classes are asked for by prompts, see `gendistill.prompts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import diffusers
import torch
import transformers
from torch import nn

from gendistill.hub import published
from gendistill.hub.published import reading
from gendistill.priors import repository
from gendistill.priors.base import Prior
from gendistill.priors.checkpoint import Configs, fewer_pixels, load_part, read_config, read_index
from gendistill.priors.families.base import Family, family_of
from gendistill.priors.loaded_text_to_image import LoadedTextToImage
from gendistill.prompts import Prompts
from gendistill.system.store import fingerprint, fingerprint_state
from gendistill.types import RealData, UserError

WHAT = "text-to-image diffusers pipeline"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class TextToImage(Prior):
    """A diffusers text-to-image checkpoint: Stable Diffusion 1 to 3.5, SDXL, PixArt, Sana, Flux.

    source               hub id, folder, or a loaded pipeline. A safety checker is not loaded: nothing here asks it
    prompts              what is said for a class, and the negative prompt
    size                 side of the pictures it draws, in pixels. None: the checkpoint's own, and the data must be of it. A
                         number (also the checkpoint's own) may differ from the data's size: real pictures are brought to it
                         before they are encoded, and drawn ones to the data's after they are decoded, by bicubic interpolation
                         (antialiased, differentiable)
    guidance             strength told to a network that guidance was distilled into (Flux dev, latent consistency models);
                         None for the stock pipeline's. It is not ``cfg``, which is 1 for such networks
    max_sequence_length  most tokens of a prompt, for text encoders that have no bound of their own; None as the stock pipeline
    dtype                of network and text encoders; None for that of the run. The autoencoder runs in float32
    variant, revision    of the checkpoint's files
    load_options         what else ``from_pretrained`` is told, such as quantization_config or device_map
    offload              "model" or "sequential": parts wait on the CPU for their turn. Guides then take their gradient at "clean"
    """

    source: Any
    prompts: Prompts = Prompts()
    size: int | None = None
    guidance: float | None = None
    max_sequence_length: int | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    variant: str | None = None
    revision: str | None = None
    load_options: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()
    offload: Literal["model", "sequential"] | None = None
    loads = LoadedTextToImage

    def __post_init__(self) -> None:
        options = self.load_options.items() if isinstance(self.load_options, Mapping) else self.load_options
        object.__setattr__(self, "load_options", tuple((str(name), value) for name, value in options))
        for name in ("size", "max_sequence_length", "guidance"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"{name}={value} must be above 0, or None")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise UserError(f"dtype={self.dtype!r}: {', '.join(DTYPES)} or None")
        if self.offload not in (None, "model", "sequential"):
            raise UserError(f"offload={self.offload!r}: 'model', 'sequential' or None")
        if not isinstance(self.source, str) and (self.load_options or self.variant or self.revision):
            raise UserError(
                "a loaded pipeline is loaded: load_options, variant and revision are for a hub id or folder"
            )

    def __repr__(self) -> str:
        changed = [f.name for f in fields(self) if f.name != "source" and getattr(self, f.name) != f.default]
        return f"TextToImage({', '.join([self._whose(), *(f'{name}={getattr(self, name)!r}' for name in changed)])})"

    @property
    def negative(self) -> str:
        """The negative prompt."""
        return self.prompts.negative

    def origin(self) -> dict[str, str]:
        """Name and licence, as the checkpoint's own card states it."""
        return published.card(self.source) if isinstance(self.source, str) else {"name": self._whose()}

    def own_size(self) -> int:
        """Side of the pictures the checkpoint was made for, in pixels. Reads no weights."""
        return self.shape()[-1]

    def takes_guidance(self) -> bool:
        """Whether guidance was distilled into its network, so that ``cfg`` is 1. Reads no weights."""
        configs, family = self._configs()
        return family.takes_guidance(configs[family.network])

    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of the pictures the checkpoint was made for. Reads no weights."""
        configs, family = self._configs()
        side = family.side_of(configs[family.network], fewer_pixels(configs["vae"]))
        return configs["vae"].get("in_channels", 3), side, side

    def check(self, data: RealData) -> None:
        """Compare the configs with the data, and the prompts with the text encoders. Reads no weights."""
        configs, family = self._configs()
        network, vae = configs[family.network], configs["vae"]
        factor = fewer_pixels(vae)
        if family.channels(network) != vae["latent_channels"]:
            raise UserError(
                f"the {family.network} of {self._whose()} takes {family.channels(network)} channels and its autoencoder makes "
                f"{vae['latent_channels']}: it needs more than a prompt (such as a picture to fill in), or does not fit"
            )
        own = family.side_of(network, factor)
        self._check_size(self.size or own, own, factor * family.patch(network), family.largest(network, factor))
        _, height, width = data.train.shape
        if self.size is None and height == width != own:
            raise UserError(
                f"{self._whose()} makes {own} x {own} pictures, the data is {height} x {width}; to draw at {own} and bring the "
                f"pictures to the data's size, set size={own} in the prior"
            )
        comes_out = height if self.size else own
        repository.check_pictures(self._whose(), (vae.get("in_channels", 3), comes_out, comes_out), data)
        if self.guidance is not None and not family.takes_guidance(network):
            raise UserError(
                f"guidance={self.guidance:g} is for networks that guidance was distilled into, and {self._whose()} is none: "
                "its guidance is the cfg of Sample"
            )
        self.prompts.check(data.classes)
        prompts = [prompt for one in data.classes for prompt in self.prompts.each(one)]
        family.check_lengths([*prompts, self.prompts.negative], self._tokenizers(configs), self.max_sequence_length)

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedTextToImage:
        """Load all parts; every key of denoiser and autoencoder must be used and every weight found."""
        dtype = DTYPES[self.dtype] if self.dtype else dtype
        if self.offload and device.type == "cpu":
            raise UserError(f"offload={self.offload!r} needs a device to offload from; on the CPU leave it out")
        configs, family = self._configs()
        pipe = self._pipeline(configs, family, dtype) if isinstance(self.source, str) else self.source
        side = self.size or family.side_of(configs[family.network], fewer_pixels(configs["vae"]))
        ways = family(pipe, side, self.max_sequence_length, self.guidance)
        return LoadedTextToImage(
            pipe, ways, self.prompts, data.classes, data.train.shape[-1], device, dtype, self.offload
        )

    def _check_size(self, side: int, own: int, step: int, most: int | None) -> None:
        if side % step:
            raise UserError(f"size={side}: {self._whose()} draws multiples of {step} px; its own size is {own}")
        if most is not None and side > most:
            raise UserError(f"size={side}: {self._whose()} draws at most {most} px; its own size is {own}")

    def _pipeline(self, configs: Configs, family: type[Family], dtype: torch.dtype) -> Any:
        source, index = self.source, configs["index"]
        options: dict[str, Any] = {"dtype": dtype, "variant": self.variant, "revision": self.revision}
        options |= dict(self.load_options)
        if "safety_checker" in index:
            options |= {"safety_checker": None, "requires_safety_checker": False}
        if not self.load_options:  # which may say how these two are to be loaded
            for name, kind in ((family.network, dtype), ("vae", torch.float32)):
                more = {"variant": self.variant} if self.variant else {}
                options[name] = load_part(source, _class(index, name), name, self.revision, kind, **more)
        with reading(source, WHAT, "its parts, as model_index.json lists them"):
            return getattr(diffusers, index["_class_name"]).from_pretrained(source, **options)

    def _configs(self) -> tuple[Configs, type[Family]]:
        if not isinstance(self.source, str):
            family = family_of(type(self.source).__name__, "the given pipeline")
            network = getattr(self.source, family.network)
            return {"index": {}, "vae": dict(self.source.vae.config), family.network: dict(network.config)}, family
        looked_for = "model_index.json, and the configs of the parts it lists"
        index = read_index(self.source, self.revision, WHAT, looked_for)
        family = family_of(index.get("_class_name", "pipeline without a name"), repr(self.source))
        with reading(self.source, WHAT, looked_for):
            names = ("vae", family.network)
            parts = {name: read_config(self.source, _class(index, name), name, self.revision) for name in names}
        return {"index": index, **parts}, family

    def _tokenizers(self, configs: Configs) -> Mapping[str, Any]:
        if not isinstance(self.source, str):
            parts = self.source.components.items()
            return {name: part for name, part in parts if name.startswith("tokenizer") and part is not None}
        with reading(self.source, WHAT, "its tokenizers"):
            return {
                name: getattr(transformers, entry[1]).from_pretrained(
                    self.source, subfolder=name, revision=self.revision
                )
                for name, entry in configs["index"].items()
                if name.startswith("tokenizer") and entry[1] is not None
            }

    def _whose(self) -> str:
        """The source, as a reader knows it; what it holds where it has no name."""
        if isinstance(self.source, str):
            return repr(self.source)
        parts = [part for part in self.source.components.values() if isinstance(part, nn.Module)]
        return f"<{type(self.source).__name__} {fingerprint(*map(fingerprint_state, parts))}>"


def _class(index: Mapping[str, Any], name: str) -> Any:
    return getattr(diffusers, index[name][1])
