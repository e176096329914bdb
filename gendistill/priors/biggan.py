"""BigGAN-deep, the class-conditional GAN of 2019, from the public ImageNet checkpoints at 128, 256 and 512 px.

BigGAN (Brock et al., ICLR 2019), https://arxiv.org/abs/1809.11096. The checkpoints ``biggan-deep-128``, ``-256`` and ``-512``
of https://github.com/huggingface/pytorch-pretrained-BigGAN are read as published: config.json and pytorch_model.bin, also
where the checkpoint's name stands in front. They hold the generator only.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gendistill import seeds
from gendistill.hub import published
from gendistill.priors import repository
from gendistill.priors.base import Prior
from gendistill.priors.biggan_net import BigGanNet, folded, side
from gendistill.priors.class_rows import label_rows
from gendistill.priors.spaces import Hierarchy
from gendistill.system.store import fingerprint, fingerprint_state
from gendistill.types import Ids, Labels, Latents, Pixels, RealData, UserError

WEIGHTS = "pytorch_model.bin"
FIELDS = ("z_dim", "channel_width", "num_classes", "layers", "attention_layer_position", "eps")


class LoadedBigGan(Hierarchy):
    """A frozen generator at one truncation.

    spaces  z          noise, with the row of its class: {z, class}
            condition  both in one, which every layer asks for again: {condition}
            f0         the first maps, 4 x 4: {f0, condition}
            f1 ...     the maps after each layer, attention being one; the last needs no condition: {f13}
    """

    def __init__(
        self, net: BigGanNet, truncation: float, rows: tuple[int, ...], device: torch.device, dtype: torch.dtype
    ):
        """Take a network whose weights are those of this truncation; class i of the data is its row ``rows[i]``."""
        self.net = net.to(device, dtype).eval().requires_grad_(False)
        self.truncation, self.device, self.dtype = truncation, device, dtype
        self.rows = torch.tensor(rows, device=device)
        self.latent_shape = (self.net.embeddings.out_features,)
        self.spaces = ("z", "condition", *(f"f{index}" for index in range(len(self.net.generator.layers) + 1)))
        self.fingerprint = fingerprint(fingerprint_state(self.net), truncation, rows, str(dtype))

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Normal noise cut off at two deviations and scaled by the truncation, one random stream per picture."""
        uniform = torch.stack(
            [torch.rand(self.latent_shape, generator=one) for one in seeds.streams(ids, seed, "noise")]
        )
        cut = math.erf(2 / math.sqrt(2))
        normal = torch.erfinv((2 * uniform - 1) * cut) * math.sqrt(2)
        return {"z": (self.truncation * normal).to(self.device)}

    def generate(self, noise: Latents, labels: Labels) -> Latents:
        """Noise with the row of its class, as real numbers that may be changed."""
        table = self.net.embeddings.weight.t()
        return {"z": noise["z"].to(self.device), "class": table[self.rows[labels.to(self.device)]].float()}

    def step(self, latents: Latents, index: int) -> Latents:
        """Through one layer, in the network's dtype; the latents stay float32."""
        if index == 0:
            return {"condition": torch.cat([latents["z"], latents["class"]], 1)}
        condition, generator = latents["condition"], self.net.generator
        if index == 1:
            maps = generator.start(condition.to(self.dtype))
        else:
            maps = generator.layers[index - 2](latents[f"f{index - 2}"].to(self.dtype), condition.to(self.dtype))
        reached = {self.spaces[index + 1]: maps.float()}
        return reached if index + 2 == len(self.spaces) else {**reached, "condition": condition}

    def render(self, latents: Latents) -> Pixels:
        """The picture, from [-1, 1] to [0, 1]."""
        return self.net.generator.finish(latents[self.spaces[-1]].to(self.dtype)).float() * 0.5 + 0.5


@dataclass(frozen=True)
class BigGan(Prior):
    """A BigGAN-deep checkpoint of pytorch-pretrained-biggan.

    source              hub id, folder, or a loaded ``BigGAN`` of that package
    truncation          how far noise may stray, in (0, 1]; less is more typical and less varied. Pictures follow its statistics
    rows                label row of each class of the data, where names cannot tell
    peer_interpolation  between the 51 truncations with statistics, give the two rows the wrong shares, as the package does
    revision            of the hub repository
    """

    source: Any
    truncation: float = 1.0
    rows: tuple[int, ...] | None = None
    peer_interpolation: bool = False
    revision: str | None = None
    loads = LoadedBigGan

    def __post_init__(self) -> None:
        if not 0 < self.truncation <= 1:
            raise UserError(f"truncation={self.truncation} must be above 0 and at most 1")

    def __repr__(self) -> str:
        shown = [f"truncation={self.truncation}"]
        shown += [f"{name}={getattr(self, name)!r}" for name in ("rows", "revision") if getattr(self, name) is not None]
        shown += ["peer_interpolation=True"] * self.peer_interpolation
        return f"BigGan({', '.join([self._whose(), *shown])})"

    def origin(self) -> dict[str, str]:
        """Name and licence, as the checkpoint's own card states it."""
        return published.card(self.source) if isinstance(self.source, str) else {"name": repr(self)}

    def check(self, data: RealData) -> None:
        """Compare the config with the data: class names, channels, size. Reads no weights."""
        config = self._config()
        self._rows(data, config)
        repository.check_pictures(self._whose(), (3, side(config), side(config)), data)

    def load(self, data: RealData, device: torch.device, dtype: torch.dtype) -> LoadedBigGan:
        """Load the generator; every tensor of the checkpoint must be used and every weight found."""
        config = self._config()
        rows = self._rows(data, config)
        net = BigGanNet(config)
        repository.fill(net, folded(self._state(), self.truncation, self.peer_interpolation), self._whose())
        return LoadedBigGan(net, self.truncation, rows, device, dtype)

    def _config(self) -> Mapping[str, Any]:
        if isinstance(self.source, str):
            config = repository.config(published.folder_of(self.source, (repository.CONFIG,), self.revision))
        else:
            config = self.source.config.to_dict()
        missing = [name for name in FIELDS if name not in config]
        if missing:
            raise UserError(f"the config of {self._whose()} does not describe a BigGAN-deep: no {', '.join(missing)}")
        if config.get("output_dim", side(config)) != side(config):
            raise UserError(
                f"the config of {self._whose()} says {config['output_dim']} px, its layers make {side(config)} px; is it its own?"
            )
        return config

    def _rows(self, data: RealData, config: Mapping[str, Any]) -> tuple[int, ...]:
        return label_rows(data.classes, self.rows, config["num_classes"], config.get("id2label"), self._whose())

    def _state(self) -> Mapping[str, Tensor]:
        if not isinstance(self.source, str):
            return {name: value.cpu() for name, value in self.source.state_dict().items()}
        path = repository.file(published.folder_of(self.source, (WEIGHTS,), self.revision), WEIGHTS)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise UserError(
                f"{path} is not a file of tensors and nothing else: {str(error).splitlines()[0]} Nothing in it was run"
            ) from error
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise UserError(f"{path} does not hold tensors by name, as the published checkpoints do")
        return state

    def _whose(self) -> str:
        if isinstance(self.source, str):
            return repr(self.source)
        return f"<{type(self.source).__name__} {fingerprint_state(self.source)}>"
