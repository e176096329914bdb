"""StyleGAN-XL, the class-conditional GAN that GLaD distils through, from the authors' pickles or a converted folder.

StyleGAN-XL (Sauer et al., SIGGRAPH 2022), https://arxiv.org/abs/2202.00273. A pickle is read without running anything in it,
converted once to safetensors and a config.json in the cache, and always loaded from there. Pictures agree with the authors'
reference operators on small networks; the published weights were not at hand when this was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gendistill import seeds
from gendistill.hub import published
from gendistill.priors import repository
from gendistill.priors.base import Prior
from gendistill.priors.class_rows import label_rows
from gendistill.priors.spaces import Hierarchy
from gendistill.priors.stylegan_xl_file import WEIGHTS, convert
from gendistill.priors.stylegan_xl_net import StyleganXlNet
from gendistill.system.store import Store, cache_root, fingerprint, fingerprint_file, fingerprint_state, read_tensors
from gendistill.types import Ids, Labels, Latents, Pixels, RealData, UserError

FIELDS = (
    "resolution",
    "channels",
    "num_classes",
    "z_dim",
    "w_dim",
    "embedding",
    "mapping_layers",
    "mapping_rate",
    "output_scale",
    "input",
    "layers",
)


class LoadedStyleganXL(Hierarchy):
    """A frozen generator.

    spaces  z       noise, with the row of its class: {z, class}, and the class's mean style where there is truncation
            w       one style for all layers: {w}
            w+      a style for the input and for each layer: {w+}
            f0      Fourier features: {f0, w+}, where w+ holds the styles that are still to be used
            f1 ...  the maps after so many layers, as GLaD counts them; the last is what becomes colours
    """

    def __init__(
        self, net: StyleganXlNet, truncation: float, rows: tuple[int, ...], device: torch.device, dtype: torch.dtype
    ):
        """Take a network, kept in float32; its convolutions run in ``dtype``. Class i of the data is its row ``rows[i]``."""
        self.net = net.to(device, torch.float32).eval().requires_grad_(False)
        self.truncation, self.device, self.dtype = truncation, device, dtype
        self.rows = torch.tensor(rows, device=device)
        self.latent_shape = (net.mapping.embed_proj.weight.shape[0],)
        self.layers = len(net.synthesis.names)
        self.spaces = ("z", "w", "w+", *(f"f{index}" for index in range(self.layers)))
        self.fingerprint = fingerprint(fingerprint_state(net), truncation, rows, str(dtype))

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal noise, one random stream per picture."""
        return {"z": seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape).to(self.device)}

    def generate(self, noise: Latents, labels: Labels) -> Latents:
        """Noise with the row of its class, as real numbers that may be changed."""
        rows, mapping = self.rows[labels.to(self.device)], self.net.mapping
        latents = {"z": noise["z"].to(self.device), "class": mapping.embed.weight[rows]}
        return latents if self.truncation == 1 else {**latents, "centre": mapping.w_avg[rows]}

    def step(self, latents: Latents, index: int) -> Latents:
        """One space further."""
        if index == 0:
            style = self.net.mapping(latents["z"], latents["class"])
            return {"w": style if self.truncation == 1 else latents["centre"].lerp(style, self.truncation)}
        if index == 1:
            return {"w+": latents["w"].unsqueeze(1).expand(-1, self.layers + 1, -1)}
        styles, synthesis = latents["w+"], self.net.synthesis
        if index == 2:
            maps = synthesis.input(styles[:, 0])
        else:
            maps = synthesis.layer(index - 3)(latents[self.spaces[index]], styles[:, 0], self.dtype)
        return {self.spaces[index + 1]: maps.float(), "w+": styles[:, 1:]}

    def render(self, latents: Latents) -> Pixels:
        """The last layer makes colours, centred on [0, 1]."""
        synthesis = self.net.synthesis
        colours = synthesis.layer(self.layers - 1)(latents[self.spaces[-1]], latents["w+"][:, 0], self.dtype)
        return colours.float() * (synthesis.scale * 0.5) + 0.5


@dataclass(frozen=True)
class StyleganXL(Prior):
    """A class-conditional StyleGAN-XL checkpoint.

    source      a published pickle (*.pkl) on disk, a folder it was converted to, or a hub id with the files of such a folder
    truncation  how far a style may be from the mean of its class, in (0, 1]; less is more typical and less varied
    rows        label row of each class of the data, where names cannot tell
    revision    of the hub repository
    """

    source: str
    truncation: float = 1.0
    rows: tuple[int, ...] | None = None
    revision: str | None = None
    loads = LoadedStyleganXL

    def __post_init__(self) -> None:
        if not 0 < self.truncation <= 1:
            raise UserError(f"truncation={self.truncation} must be above 0 and at most 1")
        if self.source.startswith(("http://", "https://")):
            raise UserError(f"download {self.source} first, and give the file: source=FILE.pkl")

    def origin(self) -> dict[str, str]:
        """Name and licence, as the checkpoint's own card states it."""
        return {"name": self.source} if self._pickle() else published.card(self.source)

    def check(self, data: RealData) -> None:
        """Compare the config with the data: class names, channels, size. A pickle is converted first; else no weights are read."""
        config = self._config(self._folder((repository.CONFIG,)))
        self._rows(data, config)
        side = config["resolution"]
        repository.check_pictures(repr(self.source), (config["channels"], side, side), data)

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedStyleganXL:
        """Load the generator; every tensor of the checkpoint must be used and every weight found."""
        folder = self._folder((repository.CONFIG, WEIGHTS))
        config = self._config(folder)
        rows = self._rows(data, config)
        net = StyleganXlNet(config)
        repository.fill(net, read_tensors(repository.file(folder, WEIGHTS)), repr(self.source))
        return LoadedStyleganXL(net, self.truncation, rows, device, dtype)

    def _pickle(self) -> Path | None:
        return Path(self.source) if Path(self.source).suffix == ".pkl" else None

    def _folder(self, endings: tuple[str, ...]) -> Path:
        pickled = self._pickle()
        if pickled is None:
            return published.folder_of(self.source, endings, self.revision)
        if not pickled.is_file():
            raise UserError(f"there is no file {pickled}; download a class-conditional model of StyleGAN-XL there")
        key = {"pickle": fingerprint_file(pickled), "layout": 1}
        return Store(cache_root()).folder("stylegan_xl", key, lambda folder: convert(pickled, folder))

    def _config(self, folder: Path) -> Mapping[str, Any]:
        config = repository.config(folder)
        missing = [name for name in FIELDS if name not in config]
        if missing:
            raise UserError(f"the config of {self.source!r} does not describe a StyleGAN-XL: no {', '.join(missing)}")
        for layer in config["layers"]:
            if len(layer["up_filter"] or [0]) != 1:
                raise UserError(
                    f"layer {layer['name']} of {self.source!r} has a filter for upsampling of {layer['up_filter']} numbers; those "
                    "that are read here are one row, applied along both axes"
                )
        return config

    def _rows(self, data: RealData, config: Mapping[str, Any]) -> tuple[int, ...]:
        return label_rows(data.classes, self.rows, config["num_classes"], config.get("id2label"), repr(self.source))
