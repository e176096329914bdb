"""Class-conditional latent diffusion: any diffusers ``DiTPipeline`` checkpoint, by hub id, folder or loaded object.

Peebles & Xie, ICCV 2023, https://arxiv.org/abs/2212.09748. The head may predict noise, velocity, the sample or a flow, with
or without a learned variance; it always answers with the clean latent:

    noise   clean = (x - sigma e) / alpha        velocity   clean = alpha x - sigma v        flow   clean = x - s v
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor, nn

from gendistill import seeds
from gendistill.priors.base import Prior
from gendistill.priors.class_rows import class_rows
from gendistill.priors.schedule import Schedule
from gendistill.store import fingerprint, fingerprint_state
from gendistill.types import LATENT, Conditions, Estimate, Ids, Labels, Latents, Level, Pixels, RealData, UserError

NULL_ROW = 1000
"""The row that asks for no class, fixed by diffusers' ``DiTPipeline``."""


def rows_like(value: float | Tensor, x: Tensor) -> float | Tensor:
    """A number per picture, shaped to multiply ``x``."""
    return value.view(-1, *[1] * (x.dim() - 1)) if isinstance(value, Tensor) else value


def from_noise(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent from predicted noise."""
    return (x - rows_like(level.sigma, x) * head) / rows_like(level.alpha, x)


def from_velocity(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent from predicted v = alpha noise - sigma clean (Salimans & Ho, 2022)."""
    return rows_like(level.alpha, x) * x - rows_like(level.sigma, x) * head


def from_flow(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent from predicted noise - clean."""
    return x - rows_like(level.sigma, x) * head


def from_sample(head: Tensor, x: Tensor, level: Level) -> Tensor:
    """Clean latent, predicted as it is."""
    return head


HEADS: Mapping[str, Callable[[Tensor, Tensor, Level], Tensor]] = {
    "epsilon": from_noise,
    "v_prediction": from_velocity,
    "flow_prediction": from_flow,
    "sample": from_sample,
}
HEAD_ERRORS: Mapping[Callable, Callable[[Level], float | Tensor]] = {
    from_noise: lambda level: level.alpha / level.sigma,
    from_velocity: lambda level: 1 / level.sigma,
    from_flow: lambda level: 1 / level.sigma,
    from_sample: lambda level: 1.0,
}
"""How far off the head is where its clean latent is off by 1: the factor in the lines above, turned round."""


def placed(module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    """The module on a device, in eval mode and frozen; cast only where its dtype differs."""
    if next(module.parameters()).dtype != dtype:
        module = deepcopy(module).to(dtype)  # the user's own module stays as it is
    module = module.to(device)
    return module.eval().requires_grad_(False)


class LoadedLatentDiffusion:
    """A denoiser and an autoencoder, frozen, in eval mode (so that label dropout is off).

    latent_shape   (c, h, w) of a latent, scaled to unit variance
    encoder        fingerprint of what encoding follows from; `fingerprint` is that of everything
    cfg_channels   latent channels that classifier-free guidance changes
    """

    def __init__(
        self,
        pipe: Any,
        rows: tuple[int, ...],
        cfg_channels: int | None,
        device: torch.device,
        dtype: torch.dtype,
        names: Mapping[str, str] | None = None,
    ):
        """Take a loaded pipeline; the denoiser runs in ``dtype``, the autoencoder and all arithmetic in float32.

        ``names`` is what the checkpoint calls its label rows.
        """
        self.names = names
        self.denoiser = placed(pipe.transformer, device, dtype)
        self.vae = placed(pipe.vae, device, torch.float32)
        config = self.denoiser.config
        self.schedule = Schedule(type(pipe.scheduler).__name__, pipe.scheduler.config)
        self.head = HEADS[
            "flow_prediction" if self.schedule.flow else self.schedule.config.get("prediction_type", "epsilon")
        ]
        self.latent_shape = (config.in_channels, config.sample_size, config.sample_size)
        self.cfg_channels = config.in_channels if cfg_channels is None else cfg_channels
        self.device, self.dtype = device, dtype
        self.rows = torch.tensor(rows, device=device)
        self.null_row = NULL_ROW
        vae = self.vae.config
        self.scale, self.shift = vae.get("scaling_factor", 1.0) or 1.0, vae.get("shift_factor") or 0.0
        mean, std = vae.get("latents_mean"), vae.get("latents_std")
        if mean is not None and std is not None:
            column = {"device": device, "dtype": torch.float32}
            self.shift = torch.tensor(mean, **column).view(1, -1, 1, 1)
            self.scale = self.scale / torch.tensor(std, **column).view(1, -1, 1, 1)
        self.encoder = fingerprint(fingerprint_state(self.vae), self.scale, self.shift)
        schedule = sorted((key, str(value)) for key, value in self.schedule.config.items())
        weights = fingerprint_state(self.denoiser)
        self.fingerprint = fingerprint(
            self.encoder, weights, rows, str(dtype), self.cfg_channels, self.schedule.name, schedule
        )

    def noise(self, seed: int, ids: Ids) -> Latents:
        """Standard normal latents, one random stream per picture."""
        return {LATENT: seeds.normal(seeds.streams(ids, seed, "noise"), self.latent_shape).to(self.device)}

    def encode(self, pixels: Pixels) -> Tensor:
        """The latent of each picture: the mean of the posterior where the autoencoder has one."""
        answer = self.vae.encode(pixels * 2 - 1)
        if hasattr(answer, "latent_dist"):  # AutoencoderKL
            raw = answer.latent_dist.mode()
        else:  # AutoencoderTiny, AutoencoderDC
            raw = answer.latents if hasattr(answer, "latents") else answer.latent
        return (raw - self.shift) * self.scale

    def decode(self, latents: Latents) -> Pixels:
        """Pixels, not clamped."""
        return self.vae.decode(latents[LATENT].float() / self.scale + self.shift).sample * 0.5 + 0.5

    def condition(self, labels: Labels) -> Conditions:
        """Ask for these classes of the data; the null rows ask for none."""
        rows = self.rows[labels.to(self.device)]
        return Conditions({"class": rows}, {"class": torch.full_like(rows, self.null_row)})

    def denoise(self, x: Tensor, level: Level, conditions: Conditions) -> Estimate:
        """The clean estimate of ``x``, float32; at ``level`` scalar or one per picture."""
        with self._asked(conditions) as rows:
            answer = self.denoiser(x.to(self.dtype), timestep=self._time(x, level), class_labels=rows).sample.float()
        head, rest = answer[:, : x.shape[1]], answer[:, x.shape[1] :]
        return Estimate(self.head(head, x.float(), level), rest if rest.shape[1] else None)

    def features(self, x: Tensor, level: Level, conditions: Conditions, layers: tuple[float, float]) -> Tensor:
        """Tokens after the transformer blocks of these shares of the depth, averaged over the blocks: (n, tokens x width).

        Later blocks are not computed.
        """
        blocks, found = self.denoiser.transformer_blocks, []
        first, last = (round(share * len(blocks)) for share in layers)
        last = max(last, first + 1)
        with self._asked(conditions) as rows:
            tokens = self.denoiser.pos_embed(x.to(self.dtype))
            for number, block in enumerate(blocks[:last]):
                tokens = block(tokens, timestep=self._time(x, level), class_labels=rows)
                if number >= first:
                    found.append(tokens.float())
        return torch.stack(found).mean(0).flatten(1)

    def embed(self, conditions: Conditions) -> Conditions:
        """The rows of the label tables of all blocks, (n, blocks, width): diffusers' DiT has one table per block."""

        def rows(asked: Tensor) -> Tensor:
            return torch.stack([table(asked) for table in self._tables()], 1).float()

        return Conditions(
            {"class": rows(conditions.values["class"])}, {name: rows(null) for name, null in conditions.null.items()}
        )

    def trainable(self) -> nn.Module:
        """A copy of the denoiser in float32, on the CPU and in eval mode, to be trained."""
        return deepcopy(self.denoiser).float().cpu().eval().requires_grad_(True)

    def with_denoiser(self, denoiser: nn.Module) -> LoadedLatentDiffusion:
        """This prior with another denoiser in the place of its own. Its fingerprint does not follow weights that change."""
        other = copy(self)
        other.denoiser, other.dtype = denoiser, torch.float32
        other.fingerprint = fingerprint(self.fingerprint, "another denoiser")
        return other

    def head_error(self, level: Level) -> float | Tensor:
        """Error of what the head predicts for an error of 1 of the clean estimate."""
        return HEAD_ERRORS[self.head](level)

    def save(self, folder: Path) -> None:
        """Write a stock ``DiTPipeline`` folder: denoiser, autoencoder, scheduler, names of the label rows."""
        scheduler = getattr(diffusers, self.schedule.name + "Scheduler").from_config(self.schedule.config)
        pipe = diffusers.DiTPipeline(self.denoiser, self.vae, scheduler)
        if self.names:
            pipe.register_to_config(id2label=dict(self.names))
        pipe.save_pretrained(str(folder), safe_serialization=True)

    def reload(self, folder: Path) -> LoadedLatentDiffusion:
        """The prior of a folder that `save` wrote, with the label rows and the guided channels of this one."""
        pipe = LatentDiffusion(str(folder))._load_pipeline()
        rows = tuple(self.rows.tolist())
        return LoadedLatentDiffusion(pipe, rows, self.cfg_channels, self.device, self.dtype, self.names)

    def _time(self, x: Tensor, level: Level) -> Tensor:
        time = torch.as_tensor(level.time, dtype=torch.float32, device=x.device) * self.schedule.total
        return time.expand(len(x))

    def _tables(self) -> list[torch.nn.Module]:
        return [block.norm1.emb.class_embedder.embedding_table for block in self.denoiser.transformer_blocks]

    @contextmanager
    def _asked(self, conditions: Conditions) -> Iterator[Tensor]:
        """Label rows for the denoiser. Embedded conditions take the place of what its tables answer."""
        asked = conditions.values["class"]
        if not asked.is_floating_point():
            yield asked
            return

        def answer(number: int) -> Callable[..., Tensor]:
            return lambda table, rows, found: asked[:, number].to(found.dtype)

        hooks = [table.register_forward_hook(answer(number)) for number, table in enumerate(self._tables())]
        try:
            yield torch.zeros(len(asked), dtype=torch.long, device=asked.device)
        finally:
            for hook in hooks:
                hook.remove()


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
        if not isinstance(self.source, str):
            return {"name": repr(self)}
        known = {"name": self.source, "source": self.source}
        try:
            card = Path(self.source) / "README.md" if Path(self.source).is_dir() else self.source
            licence = ModelCard.load(card).data.to_dict().get("license")
        except (OSError, ValueError, HfHubHTTPError):
            return known
        return {**known, "licence": str(licence)} if licence else known

    def check(self, data: RealData) -> None:
        """Compare the configs with the data: class names, channels, size. Reads no weights."""
        configs = self._configs()
        self._rows(data, configs)
        vae, transformer = configs["vae"], configs["transformer"]
        channels, height, width = data.train.shape
        if vae.get("in_channels", 3) != channels:
            raise UserError(
                f"{self} decodes {vae.get('in_channels', 3)} channels, the data has {channels}; "
                f"set channels={vae.get('in_channels', 3)} in `real`, or train a prior on this data with train-prior"
            )
        levels = len(vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or ()) or 4
        side = transformer["sample_size"] * 2 ** (levels - 1)
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
        pipe = self._load_pipeline() if isinstance(self.source, str) else self.source
        configs = self._configs()
        names = {str(row): str(name) for row, name in (configs["index"].get("id2label") or {}).items()}
        return LoadedLatentDiffusion(pipe, self._rows(data, configs), self.cfg_channels, device, dtype, names)

    def _rows(self, data: RealData, configs: Mapping[str, Any]) -> tuple[int, ...]:
        if self.rows is None:
            names = {int(row): name for row, name in (configs["index"].get("id2label") or {}).items()}
            return class_rows(data.classes, names, str(self.source) if isinstance(self.source, str) else repr(self))
        if len(self.rows) != len(data.classes) or not all(0 <= row < NULL_ROW for row in self.rows):
            raise UserError(
                f"rows={self.rows} must hold one row in 0 .. 999 for each of the {len(data.classes)} classes of the data"
            )
        return self.rows

    def _configs(self) -> dict[str, Mapping[str, Any]]:
        if not isinstance(self.source, str):
            pipe = self.source
            names: dict[str, str] = {}
            for label, row in pipe.labels.items():  # a loaded pipeline keeps its names here, not in its config
                names[str(row)] = f"{names[str(row)]}, {label}" if str(row) in names else label
            return {
                "index": {**pipe.config, "id2label": names or pipe.config.get("id2label")},
                "vae": dict(pipe.vae.config),
                "transformer": dict(pipe.transformer.config),
            }

        def config(of: Any, **where: str) -> dict[str, Any]:
            found = of.load_config(self.source, revision=self.revision, **where)
            return dict(found)

        try:
            index = config(diffusers.DiffusionPipeline)
            vae = config(getattr(diffusers, index["vae"][1]), subfolder="vae")
            transformer = config(diffusers.DiTTransformer2DModel, subfolder="transformer")
        except (OSError, KeyError, ValueError) as error:
            raise UserError(
                f"no class-conditional diffusers pipeline at {self.source!r} (looked for model_index.json, vae/ and "
                f"transformer/): {str(error).splitlines()[0]}. Without a network, give the folder of a downloaded copy"
            ) from error
        return {"index": index, "vae": vae, "transformer": transformer}

    def _load_pipeline(self) -> Any:
        index = self._configs()["index"]
        parts = {}
        for name in ("vae", "transformer"):
            kind: Any = diffusers.DiTTransformer2DModel if name == "transformer" else getattr(diffusers, index[name][1])
            try:
                parts[name], found = kind.from_pretrained(
                    self.source, subfolder=name, revision=self.revision, output_loading_info=True, dtype=torch.float32
                )
            except (OSError, ValueError, RuntimeError) as error:
                raise UserError(f"the {name} of {self.source!r} does not load: {error}") from error
            for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
                if found[problem]:
                    raise UserError(
                        f"the {name} of {self.source!r} does not fit its config: {problem.replace('_', ' ')} "
                        f"{list(found[problem])[:5]}; is the checkpoint complete and its config.json its own?"
                    )
        scheduler = getattr(diffusers, index["scheduler"][1]).from_pretrained(
            self.source, subfolder="scheduler", revision=self.revision
        )
        return diffusers.DiTPipeline(scheduler=scheduler, **parts)


def _object_hash(pipe: Any) -> str:
    return fingerprint(fingerprint_state(pipe.transformer), fingerprint_state(pipe.vae))
