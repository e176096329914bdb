"""Class-conditional GANs as `gendistill train-prior --family gan` makes them, by hub id, folder or loaded object.

StyleGAN2 (Karras et al., CVPR 2020), https://arxiv.org/abs/1912.04958, is what the generator is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from gendistill.hub import published
from gendistill.hub.published import reading
from gendistill.priors import discriminator, repository
from gendistill.priors.base import Prior
from gendistill.priors.checkpoint import load_part
from gendistill.priors.class_rows import label_rows
from gendistill.priors.loaded_gan import LoadedGan
from gendistill.priors.style_generator import StyleGenerator
from gendistill.system.store import fingerprint_state
from gendistill.types import RealData, UserError


@dataclass(frozen=True)
class Gan(Prior):
    """A generator that was trained by ``train-prior --family gan``.

    source    hub id, folder, or a loaded ``StyleGenerator``
    rows      row of each class of the data, where names cannot tell
    revision  of the hub repository
    """

    source: Any
    rows: tuple[int, ...] | None = None
    revision: str | None = None
    loads = LoadedGan

    def __post_init__(self) -> None:
        if not isinstance(self.source, str | StyleGenerator):
            raise UserError(f"source={self.source!r}: give a hub id, a folder, or a loaded StyleGenerator")

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name in ("rows", "revision") if getattr(self, name) is not None]
        return f"Gan({', '.join([self._whose(), *shown])})"

    def origin(self) -> dict[str, str]:
        """Name and licence, as the checkpoint's own card states it."""
        return published.card(self.source) if isinstance(self.source, str) else {"name": repr(self)}

    def check(self, data: RealData) -> None:
        """Compare the config with the data: class names, channels, size. Reads no weights."""
        config = self._config()
        self._rows(data, config)
        repository.check_pictures(self._whose(), (config["channels"], config["resolution"], config["resolution"]), data)

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedGan:
        """Load the generator; every tensor of the checkpoint must be used and every weight found."""
        rows = self._rows(data, self._config())
        judge = None
        if isinstance(self.source, str):
            judge = partial(discriminator.load, self.source, self.revision)
        return LoadedGan(self._net(), rows, device, dtype, judge)

    def _whose(self) -> str:
        if isinstance(self.source, str):
            return repr(self.source)
        return f"<{type(self.source).__name__} {fingerprint_state(self.source)}>"

    def _config(self) -> Mapping[str, Any]:
        if not isinstance(self.source, str):
            return dict(self.source.config)
        with reading(self.source, "generator", "config.json"):
            config: Any = StyleGenerator.load_config(self.source, revision=self.revision)
        if config.get("_class_name") != StyleGenerator.__name__:
            raise UserError(
                f"{self.source!r} holds {config.get('_class_name', 'something else')}, not a generator that "
                "`train-prior --family gan` made"
            )
        return config

    def _rows(self, data: RealData, config: Mapping[str, Any]) -> tuple[int, ...]:
        by_id = {wnid: int(row) for row, wnid in (config.get("id2wnid") or {}).items()}
        if self.rows is None and all(c.wnid in by_id for c in data.classes):
            return tuple(by_id[str(c.wnid)] for c in data.classes)
        return label_rows(data.classes, self.rows, config["num_classes"], config.get("id2label") or {}, self._whose())

    def _net(self) -> StyleGenerator:
        if not isinstance(self.source, str):
            return deepcopy(self.source)
        return load_part(self.source, StyleGenerator, "generator", self.revision, subfolder="")
