"""A published pickle of StyleGAN-XL to a folder of config.json and model.safetensors: its tensors, and the numbers beside them.

The pickles of https://github.com/autonomousvision/stylegan-xl hold the generator with the source of its classes, which is never
run (see `inert_pickle`). The averaged generator, ``G_ema``, is taken. The network is described layer by layer, as the file says
of each, so that any sequence of stem and heads is the same to us. Read with it were files that the authors' code writes,
discriminator and all; no published file was at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gendistill.priors.inert_pickle import Inert, read, tensors
from gendistill.priors.repository import CONFIG
from gendistill.system.store import fingerprint_file, write_json, write_tensors
from gendistill.types import UserError

WEIGHTS = "model.safetensors"


def convert(pickled: Path, folder: Path) -> None:
    """Write the generator of a pickle as a folder that `StyleganXL` opens.

    Raises:
        UserError: the file holds no such generator, or more than tensors and plain data.
    """
    held = read(pickled)
    net = held.get("G_ema") if isinstance(held, Mapping) else None
    if not isinstance(net, Inert):
        raise UserError(f"{pickled} has no averaged generator (G_ema), so it is no checkpoint of StyleGAN-XL")
    state = tensors(net)
    try:
        config = describe(net, state)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"the generator in {pickled} is no class-conditional StyleGAN-XL: it does not say {error}; "
            "StyleGAN2, StyleGAN3 and unconditional checkpoints do not fit"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, state)
    write_json(
        folder / CONFIG, {**config, "made_from": {"file": pickled.name, "fingerprint": fingerprint_file(pickled)}}
    )


def describe(net: Inert, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration of an inert generator. Plain numbers only; shapes are those of its tensors."""
    mapping, synthesis = (net.state["_modules"][name] for name in ("mapping", "synthesis"))
    start = synthesis.state["_modules"]["input"]
    return {
        "architecture": "StyleGAN-XL",
        "resolution": int(net.state["img_resolution"]),
        "channels": int(net.state["img_channels"]),
        "z_dim": int(mapping.state["z_dim"]),
        "w_dim": int(mapping.state["w_dim"]),
        "num_classes": int(mapping.state["c_dim"]),
        "embedding": list(state["mapping.embed.weight"].shape),
        "mapping_layers": int(mapping.state["num_layers"]),
        "mapping_rate": float(mapping.state["_modules"]["fc0"].state["bias_gain"]),
        "output_scale": float(synthesis.state["output_scale"]),
        "input": {
            "channels": int(start.state["channels"]),
            "size": int(start.state["_init_kwargs"]["size"]),
            "sampling_rate": float(start.state["sampling_rate"]),
            "bandwidth": float(start.state["bandwidth"]),
        },
        "layers": [
            _layer(name, synthesis.state["_modules"][name].state, state) for name in synthesis.state["layer_names"]
        ],
    }


def _layer(name: str, said: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    prefix = f"synthesis.{name}."
    out, into, kernel, _ = state[prefix + "weight"].shape
    filters = {key: state.get(prefix + key) for key in ("up_filter", "down_filter")}
    return {
        "name": str(name),
        "channels": [into, out],
        "kernel": kernel,
        "colours": bool(said["is_torgb"]),
        "up": int(said["up_factor"]),
        "down": int(said["down_factor"]),
        "padding": [int(side) for side in said["padding"]],
        "clamp": None if said["conv_clamp"] is None else float(said["conv_clamp"]),
        **{key: None if value is None else list(value.shape) for key, value in filters.items()},
    }
