"""A diffusers checkpoint on disk or on the hub: its configs without its weights, and its parts, nothing left over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch

from gendistill.hub.published import reading
from gendistill.types import UserError

Configs = Mapping[str, Mapping[str, Any]]
"""The config of every part that was asked for, by name, and of the pipeline itself, "index"."""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def read_index(source: str, revision: str | None, what: str, looked_for: str) -> dict[str, Any]:
    """``model_index.json``: which class the pipeline and each of its parts is of.

    Raises:
        UserError: there is none, or what cannot be a name of the hub is no folder here, for which the hub is not asked.
    """
    if not HUB_NAME.fullmatch(source) and not Path(source).exists():
        raise UserError(
            f"there is no folder {source!r}: `gendistill train-prior` writes one, and a {what} of the hub is called owner/name"
        )
    with reading(source, what, looked_for):
        kind: Any = diffusers.DiffusionPipeline
        return dict(kind.load_config(source, revision=revision))


def read_config(source: str, kind: Any, name: str, revision: str | None = None) -> dict[str, Any]:
    """The config of a part of class ``kind``."""
    return dict(kind.load_config(source, subfolder=name, revision=revision))


def load_part(
    source: str,
    kind: Any,
    name: str,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    subfolder: str | None = None,
    **more: Any,
) -> Any:
    """A network of a checkpoint, in the folder of its name if no other is given.

    Raises:
        UserError: it does not load, or its weights do not fit its config, to the last key.
    """
    try:
        part, found = kind.from_pretrained(
            source,
            subfolder=name if subfolder is None else subfolder,
            revision=revision,
            output_loading_info=True,
            dtype=dtype,
            **more,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"the {name} of {source!r} does not load: {error}") from error
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if found[problem]:
            raise UserError(
                f"the {name} of {source!r} does not fit its config: {problem.replace('_', ' ')} "
                f"{list(found[problem])[:5]}; is the checkpoint complete and its config.json its own?"
            )
    return part


def configs_of(pipe: Any) -> Configs:
    """The configs of a loaded ``DiTPipeline``, as `configs` gives those of a checkpoint."""
    names: dict[str, str] = {}
    for label, row in pipe.labels.items():  # a loaded pipeline keeps its names here, not in its config
        names[str(row)] = f"{names[str(row)]}, {label}" if str(row) in names else label
    return {
        "index": {**pipe.config, "id2label": names or pipe.config.get("id2label")},
        "vae": dict(pipe.vae.config),
        "transformer": dict(pipe.transformer.config),
    }


def configs(source: str, revision: str | None = None) -> Configs:
    """The configs "index", "vae" and "transformer" of a class-conditional pipeline: a hub id or folder.

    Raises:
        UserError: there is no such pipeline.
    """
    what, looked_for = "class-conditional diffusers pipeline", "model_index.json, vae/ and transformer/"
    index = read_index(source, revision, what, looked_for)
    with reading(source, what, looked_for):
        vae = read_config(source, getattr(diffusers, index["vae"][1]), "vae", revision)
        transformer = read_config(source, diffusers.DiTTransformer2DModel, "transformer", revision)
    return {"index": index, "vae": vae, "transformer": transformer}


def load_pipeline(source: str, revision: str | None = None) -> Any:
    """The class-conditional pipeline of a hub id or folder, float32.

    Raises:
        UserError: a part does not load, or its weights do not fit its config, to the last key.
    """
    index = configs(source, revision)["index"]
    vae = load_part(source, getattr(diffusers, index["vae"][1]), "vae", revision)
    transformer = load_part(source, diffusers.DiTTransformer2DModel, "transformer", revision)
    scheduler = getattr(diffusers, index["scheduler"][1]).from_pretrained(
        source, subfolder="scheduler", revision=revision
    )
    return diffusers.DiTPipeline(vae=vae, transformer=transformer, scheduler=scheduler)


def fewer_pixels(vae: Mapping[str, Any]) -> int:
    """How many times smaller than a picture's side a latent's side is, by the config of an autoencoder."""
    levels = len(vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or ()) or 4
    return 2 ** (levels - 1)
