"""Does a GAN that two cores train in minutes know the digits, and does GLaD on it beat random real pictures?

    python benchmarks/gan_digits.py --split test --prior runs/digits-gan

Trains the prior on the training digits, draws 100 pictures of each class, and trains a ConvNet on them; then distils one picture
of each class by GLaD and by H-GLaD, and tunes the generator by DiM and by D2M, which draws one picture of each class for every
epoch of a student. A teacher that saw the real digits, and had no part in the GAN, says how many draws it calls by their class.
``--split val`` judges by a fifth of the training digits, which nothing is made from: settings are chosen by it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from gendistill.data.digits import Digits
from gendistill.data.validation import Validation
from gendistill.evaluation.baselines import random_real, unsteered
from gendistill.evaluation.evaluate import measure
from gendistill.evaluation.protocols import DIGITS
from gendistill.learning.training import accuracy
from gendistill.nets import trained
from gendistill.nets.resnet import ResNet
from gendistill.nets.sampling import Fixed, Fresh, Interpolated, Warming
from gendistill.nets.trained import Trained
from gendistill.objectives.attention import Attention
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.objectives.logit_matching import LogitMatching
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.prediction_matching import PredictionMatching
from gendistill.priors.gan import Gan
from gendistill.priors.train_gan import GanTraining, train_gan
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.steering.base import Steering
from gendistill.steering.descend import Descend
from gendistill.steering.generate import Generate
from gendistill.steering.optimize import Optimize
from gendistill.steering.tune_generator import TuneGenerator
from gendistill.system.environment import versions
from gendistill.system.progress import progress
from gendistill.system.store import write_json
from gendistill.types import Source
from gendistill.views.siamese import Siamese

RESULTS = Path(__file__).parent / "results"
TRAINING = GanTraining(augment=Siamese(("crop", "cutout")))
MILD = Siamese(("crop", "scale", "rotate"))
SEEDS = 3
RATES: dict[str, Any] = {"lr": (0.05, 0.01), "lr_scheduler": "cosine"}
GRADIENTS = GradientMatching(DIGITS.student, batch=64, augment=MILD)
MEANS = MeanFeatures(Fresh(DIGITS.student), batch=64, augment=MILD)
JUDGE = MeanFeatures(Fixed((Trained(net=DIGITS.student, training=DIGITS.full),)), augment=None)
METHODS: dict[str, tuple[Steering, ...]] = {
    "glad": (Generate("f8"), Optimize((GRADIENTS,), steps=150, variables=("latent/f8", "latent/w+"), **RATES)),
    "glad, matching distributions": (
        Generate("f8"), Optimize((MEANS,), steps=150, variables=("latent/f8", "latent/w+"), **RATES),
    ),
    "h_glad": (
        Generate("w+"),
        Descend(Optimize((GRADIENTS,), steps=40, variables=("latent", "latent/w+"), **RATES), JUDGE),
    ),
}  # fmt: skip
"""As published but for size: Adam, in a space of a generator that has few, for fewer steps."""
POOL = Warming((DIGITS.student, ResNet(depth=10, width=16)), every=22, augment=MILD)
LINES = Interpolated(DIGITS.student, DIGITS.full, count=3)
TUNING: dict[str, Any] = {"max_train_steps": 300, "batch": 80, "learning_rate": 1e-4}
GENERATORS: dict[str, tuple[Steering, ...]] = {
    "dim": (
        TuneGenerator(
            (LogitMatching(POOL, batch=8, augment=MILD, weight=0.01),), augment=TRAINING.augment, **TUNING
        ),
        Generate(),
    ),
    "d2m": (
        TuneGenerator(
            (
                Attention(LINES, batch=64, augment=MILD, channels=True, balance=1.0),
                PredictionMatching(LINES, batch=64, augment=MILD, weight=10.0),
            ),
            adversarial=0.0, **TUNING,
        ),
        Generate(),
    ),
    "the GAN, drawn anew": (Generate(),),
}  # fmt: skip
"""As published but for size and networks; the learning rate is a twentieth of the GAN's own, as DiM's is."""
DRAWS = 200
"""Epochs of a student of one picture per class: it sees a set of its own in each."""


def trained_prior(source: Source, folder: Path) -> dict[str, Any]:
    """Train the prior, or find it trained; how long it took."""
    note = folder / "took.json"
    if note.exists():
        return json.loads(note.read_text())
    real, wall, used = source.open(), time.monotonic(), time.process_time()
    train_gan(real.train, folder, TRAINING, progress=progress, name=real.name, licence=real.licence)
    took = {"seconds": round(time.monotonic() - wall), "CPU seconds": round(time.process_time() - used)}
    write_json(note, took)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("val", "test"), required=True)
    parser.add_argument("--prior", type=Path, required=True, help="folder of the prior, trained there if it is not yet")
    parser.add_argument(
        "--methods", nargs="+", choices=(*METHODS, *GENERATORS), help="only these: their rows join those that are there"
    )
    given = parser.parse_args()
    source: Source = Validation(Digits(16), fraction=0.2) if given.split == "val" else Digits(16)
    took = trained_prior(source, given.prior)

    recipe = Recipe(real=source, prior=Gan(str(given.prior)), steering=(Generate(),), ipc=100, block=100)
    context = open_context(recipe, torch.device("cpu"), torch.float32, progress)
    told: dict[str, Any] = {"took": took}
    rows = []
    if not given.methods:
        draws = distill(recipe, context=context)
        teacher: Any = trained.load(Trained(net=DIGITS.student, training=DIGITS.full, seed=77), context)
        named = accuracy(teacher, draws.images, context.device)
        print(f"{named:.1f} % of {len(draws.images)} draws are named by their class", flush=True)
        real = accuracy(teacher, context.real.test(), context.device) if context.real.test else None
        told |= {"named by a teacher, %": named, "teacher on real, %": real}
        rows = measure({"100 draws per class": [draws]}, replace(DIGITS, sets=1, students=SEEDS), context).rows
        print(rows[0], flush=True)

    one, sets = replace(recipe, ipc=1), {}
    plain = replace(one, steering=next(iter(METHODS.values())))
    recipes = {name: replace(one, steering=steps) for name, steps in METHODS.items()}
    recipes |= {name: replace(one, steering=steps, draws=DRAWS, block=1) for name, steps in GENERATORS.items()}
    for name, each in {**recipes, "random real": random_real(plain), "unsteered": unsteered(plain)}.items():
        if given.methods and name not in given.methods:
            continue
        assert each is not None
        inner = replace(context, prior=each.prior.load(context.real, context.device, context.dtype))
        sets[name] = [distill(replace(each, seed=seed), context=inner) for seed in range(SEEDS)]
    report = measure(sets, replace(DIGITS, sets=SEEDS), context)
    print(report, flush=True)
    path = RESULTS / f"gan-digits{'' if given.split == 'test' else '-val'}.json"
    before = json.loads(path.read_text()) if given.methods and path.exists() else {}
    made = [asdict(row) for row in (*rows, *report.rows)]
    names = {row["set"] for row in made}
    kept = [row for row in before.get("rows", []) if row["set"] not in names]
    write_json(
        path,
        {
            **before, "date": datetime.date.today().isoformat(), "split": given.split, "cores": os.cpu_count(),
            "versions": versions(), "threads": torch.get_num_threads(), "training": repr(TRAINING), **told, "rows": [*kept, *made],
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
