"""Class-conditional latent diffusion: any diffusers ``DiTPipeline`` checkpoint, by hub id, folder or loaded object.

Peebles & Xie, ICCV 2023, https://arxiv.org/abs/2212.09748. The head may predict noise, velocity, the sample or a flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gendistill.hub import published
from gendistill.priors.base import Prior
from gendistill.priors.checkpoint import Configs, configs, configs_of, fewer_pixels, load_pipeline
from gendistill.priors.class_rows import label_rows
from gendistill.priors.loaded_dit import NULL_ROW, LoadedLatentDiffusion
from gendistill.system.store import fingerprint, fingerprint_state
from gendistill.types import RealData, UserError


@dataclass(frozen=True)
class LatentDiffusion(Prior):
    """A diffusers class-conditional latent diffusion checkpoint.

    source        hub id, folder, or a loaded ``DiTPipeline``
    rows          label row of each class of the data, where names cannot tell
    cfg_channels  latent channels that guidance changes: None all (diffusers), 3 as in DiT's own sampler
    revision      of the hub repository
    """

    source: Any
    rows: tuple[int, ...] | None = None
    cfg_channels: int | None = None
    revision: str | None = None
    loads = LoadedLatentDiffusion

    def __repr__(self) -> str:
        shown = [
            repr(self.source)
            if isinstance(self.source, str)
            else f"<{type(self.source).__name__} {_object_hash(self.source)}>"
        ]
        shown += [
            f"{name}={getattr(self, name)!r}"
            for name in ("rows", "cfg_channels", "revision")
            if getattr(self, name) is not None
        ]
        return f"LatentDiffusion({', '.join(shown)})"

    def origin(self) -> dict[str, str]:
        """Name and licence, as the checkpoint's own card states it."""
        return published.card(self.source) if isinstance(self.source, str) else {"name": repr(self)}

    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of the pictures the checkpoint makes. Reads no weights."""
        configs = self._configs()
        side = configs["transformer"]["sample_size"] * fewer_pixels(configs["vae"])
        return configs["vae"].get("in_channels", 3), side, side

    def check(self, data: RealData) -> None:
        """Compare the configs with the data: class names, channels, size. Reads no weights."""
        configs = self._configs()
        self._rows(data, configs)
        transformer = configs["transformer"]
        (made, side, _), (channels, height, width) = self.shape(), data.train.shape
        if made != channels:
            raise UserError(
                f"{self} decodes {made} channels, the data has {channels}; "
                f"set channels={made} in `real`, or train a prior on this data with train-prior"
            )
        if (height, width) != (side, side):
            raise UserError(
                f"{self} makes {side} x {side} pictures, the data is {height} x {width}; set size={side} in `real`"
            )
        if transformer.get("num_embeds_ada_norm", 1000) != NULL_ROW:
            raise UserError(
                f"{self} has {transformer['num_embeds_ada_norm']} label rows; diffusers puts the null class at row 1000, "
                "so guidance needs num_embeds_ada_norm=1000"
            )

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedLatentDiffusion:
        """Load denoiser and autoencoder; every key of the checkpoint must be used and every weight found."""
        pipe = load_pipeline(self.source, self.revision) if isinstance(self.source, str) else self.source
        configs = self._configs()
        names = {str(row): str(name) for row, name in (configs["index"].get("id2label") or {}).items()}
        return LoadedLatentDiffusion(pipe, self._rows(data, configs), self.cfg_channels, device, dtype, names)

    def _rows(self, data: RealData, configs: Mapping[str, Any]) -> tuple[int, ...]:
        whose = str(self.source) if isinstance(self.source, str) else repr(self)
        return label_rows(data.classes, self.rows, NULL_ROW, configs["index"].get("id2label") or {}, whose)

    def _configs(self) -> Configs:
        return configs(self.source, self.revision) if isinstance(self.source, str) else configs_of(self.source)


def _object_hash(pipe: Any) -> str:
    return fingerprint(fingerprint_state(pipe.transformer), fingerprint_state(pipe.vae))
