"""Our sampler beside stock ``DiTPipeline``: the same pictures, and the time of interleaved pairs.

    python benchmarks/sampler.py PRIOR_FOLDER [--pairs 24] [--batch 10] [--steps 25]

Both run the same weights, noise, labels and scheduler, and end with decoded pixels.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from unittest import mock

import diffusers
import torch
from pairs import compared

from gendistill.context import Context
from gendistill.draft import Draft
from gendistill.images import StoredImages
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.steering.render import decode
from gendistill.steering.sample import Sample
from gendistill.system.store import Store, cache_root
from gendistill.types import LATENT, Class, RealData

CFG = 3.0


def setup(folder: str, batch: int):
    """Our context, a draft of ``batch`` empty pictures, and the stock pipeline with the same weights."""
    stock = diffusers.DiTPipeline.from_pretrained(folder, dtype=torch.float32)
    stock.set_progress_bar_config(disable=True)
    names = [Class(name) for name, _ in sorted(stock.labels.items(), key=lambda item: item[1])]
    side = stock.transformer.config.sample_size * 2 ** (len(stock.vae.config.block_out_channels) - 1)
    black = torch.zeros(len(names), stock.vae.config.in_channels, side, side, dtype=torch.uint8)
    images = StoredImages(names, torch.arange(len(names)), black)
    data = RealData("none", images, lambda: images)
    cpu = torch.device("cpu")
    prior = LatentDiffusion(folder).load(data, cpu, torch.float32)
    context = Context(
        real=data,
        store=Store(cache_root()),
        device=cpu,
        dtype=torch.float32,
        seed=0,
        ipc=batch,
        block=batch,
        prior=prior,
    )
    labels = torch.arange(batch) % len(names)
    ids = torch.stack([labels, torch.arange(batch), torch.zeros(batch, dtype=torch.long)], 1)
    return context, Draft(prior, {}, ids, labels, torch.ones(batch)), stock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prior")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    context, draft, stock = setup(given.prior, given.batch)
    rows = draft.prior.rows[draft.labels].tolist()
    noise = draft.prior.noise(0, draft.ids)[LATENT]
    results = {}
    for name in ("DDIM", "DPMSolverMultistep"):
        stock.scheduler = getattr(diffusers, name + "Scheduler").from_config(stock.scheduler.config)
        step = Sample(scheduler=name, steps=given.steps, cfg=CFG)

        @torch.no_grad()
        def ours(step=step):
            return decode(draft.prior, step(draft, context).latents, given.batch).clamp(0, 1)

        def theirs():
            with mock.patch.object(diffusers.pipelines.dit.pipeline_dit, "randn_tensor", lambda *a, **k: noise.clone()):
                return stock(rows, guidance_scale=CFG, num_inference_steps=given.steps, output_type="pt").images

        difference = float((ours() - theirs()).abs().max())
        results[name] = {
            "largest pixel difference": difference,
            **compared(ours, theirs, given.pairs),
            "batch": given.batch,
            "steps": given.steps,
        }
        print(name, json.dumps(results[name]))
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
