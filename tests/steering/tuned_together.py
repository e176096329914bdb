"""A small tuning towards objectives that judge classes and remember; run as a program, by all processes of ``torchrun``."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.diversity import Diversity
from gendistill.objectives.representativeness import Representativeness
from gendistill.priors.difffit import DiffFit
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.steering.finetune import FineTune
from gendistill.toys import toy_context
from tests.parts_under_test import QUICK
from tests.priors.test_latent_diffusion import CPU, data, pipeline

SHORT = FineTune(
    (Representativeness(weight=0.5), Diversity(weight=0.5), CrossEntropy((QUICK,))),
    parameters=DiffFit(1.0),
    max_train_steps=7,
    batch=6,
    ema_decay=0.5,
    checkpointing_steps=2,
)


def context_of(folder: Path, pipe=None, rows=None):
    """A context of three animals, with a tiny DiT."""
    real = data()
    prior = LatentDiffusion(pipe or pipeline(), rows=rows).load(real, CPU, torch.float32)
    return replace(toy_context(folder, (0, 1, 2)), real=real, prior=prior)


if __name__ == "__main__":
    torch.set_num_threads(1)
    context = context_of(Path(sys.argv[1]))
    made, found = SHORT.tune(context), SHORT.tune(context)
    assert made.fingerprint == found.fingerprint
