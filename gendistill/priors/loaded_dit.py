"""A class-conditional latent diffusion pipeline with its weights: encodes, decodes, denoises, shows its features, can be tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from gendistill.priors.loaded_diffusion import LoadedDiffusion, placed
from gendistill.priors.schedule import Schedule
from gendistill.types import Conditions, Labels, Level

NULL_ROW = 1000
"""The row that asks for no class, fixed by diffusers' ``DiTPipeline``."""


class LoadedLatentDiffusion(LoadedDiffusion):
    """A DiT and an autoencoder. In eval mode its label dropout is off.

    names  what the checkpoint calls its label rows
    """

    denoiser: Any
    pipeline = diffusers.DiTPipeline
    lora_layers = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")

    def __init__(
        self,
        pipe: Any,
        rows: tuple[int, ...],
        cfg_channels: int | None,
        device: torch.device,
        dtype: torch.dtype,
        names: Mapping[str, str] | None = None,
    ):
        """Take a loaded pipeline."""
        config = pipe.transformer.config
        super().__init__(
            placed(pipe.transformer, device, dtype),
            placed(pipe.vae, device, torch.float32),
            Schedule(type(pipe.scheduler).__name__, variance_of(config) | dict(pipe.scheduler.config)),
            (config.in_channels, config.sample_size, config.sample_size),
            device,
            dtype,
            rows,
            cfg_channels,
        )
        self.names = names
        self.rows = torch.tensor(rows, device=device)
        self.null_row = NULL_ROW

    def condition(self, labels: Labels) -> Conditions:
        """Ask for these classes of the data; the null rows ask for none."""
        rows = self.rows[labels.to(self.device)]
        return Conditions({"class": rows}, {"class": torch.full_like(rows, self.null_row)})

    def answer(self, x: Tensor, time: Tensor, conditions: Conditions) -> Tensor:
        """What the transformer says."""
        with self._asked(conditions) as rows:
            return self.denoiser(x, timestep=time, class_labels=rows).sample

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

    def save(self, folder: Path) -> None:
        """Write a stock ``DiTPipeline`` folder: denoiser, autoencoder, scheduler, names of the label rows."""
        parts: Any = {"transformer": self.denoiser, "vae": self.vae, "scheduler": self.scheduler()}
        pipe = self.pipeline(**parts)
        if self.names:
            pipe.register_to_config(id2label=dict(self.names))
        pipe.save_pretrained(str(folder), safe_serialization=True)

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


def variance_of(config: Any) -> dict[str, str]:
    """What a denoiser says of its variance. The public DiT predicts it, and comes with a scheduler that does not know."""
    return {"variance_type": "learned_range"} if config.out_channels == 2 * config.in_channels else {}
