"""A ``DiTPipeline`` checkpoint on disk or on the hub: its configs without its weights, and the whole of it, nothing left over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers
import torch

from gendistill.types import UserError


def configs_of(pipe: Any) -> dict[str, Mapping[str, Any]]:
    """The configs of a loaded pipeline, as `configs` gives those of a checkpoint."""
    names: dict[str, str] = {}
    for label, row in pipe.labels.items():  # a loaded pipeline keeps its names here, not in its config
        names[str(row)] = f"{names[str(row)]}, {label}" if str(row) in names else label
    return {
        "index": {**pipe.config, "id2label": names or pipe.config.get("id2label")},
        "vae": dict(pipe.vae.config),
        "transformer": dict(pipe.transformer.config),
    }


def configs(source: str, revision: str | None = None) -> dict[str, Mapping[str, Any]]:
    """The configs "index", "vae" and "transformer" of a hub id or folder.

    Raises:
        UserError: there is no class-conditional pipeline.
    """

    def config(of: Any, **where: str) -> dict[str, Any]:
        return dict(of.load_config(source, revision=revision, **where))

    try:
        index = config(diffusers.DiffusionPipeline)
        vae = config(getattr(diffusers, index["vae"][1]), subfolder="vae")
        transformer = config(diffusers.DiTTransformer2DModel, subfolder="transformer")
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"no class-conditional diffusers pipeline at {source!r} (looked for model_index.json, vae/ and "
            f"transformer/): {str(error).splitlines()[0]}. Without a network, give the folder of a downloaded copy"
        ) from error
    return {"index": index, "vae": vae, "transformer": transformer}


def load_pipeline(source: str, revision: str | None = None) -> Any:
    """The pipeline of a hub id or folder, float32.

    Raises:
        UserError: a part does not load, or its weights do not fit its config, to the last key.
    """
    index = configs(source, revision)["index"]
    parts = {}
    for name in ("vae", "transformer"):
        kind: Any = diffusers.DiTTransformer2DModel if name == "transformer" else getattr(diffusers, index[name][1])
        try:
            parts[name], found = kind.from_pretrained(
                source, subfolder=name, revision=revision, output_loading_info=True, dtype=torch.float32
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"the {name} of {source!r} does not load: {error}") from error
        for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
            if found[problem]:
                raise UserError(
                    f"the {name} of {source!r} does not fit its config: {problem.replace('_', ' ')} "
                    f"{list(found[problem])[:5]}; is the checkpoint complete and its config.json its own?"
                )
    scheduler = getattr(diffusers, index["scheduler"][1]).from_pretrained(
        source, subfolder="scheduler", revision=revision
    )
    return diffusers.DiTPipeline(scheduler=scheduler, **parts)
