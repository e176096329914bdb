"""Distil a folder of your own photographs: train a small prior on them, steer it, and see what the result is worth.

    python examples/distil_your_photos.py photos/train photos/test --size 32 --ipc 10

A folder holds one folder of pictures per class. Without arguments, scikit-learn's digits are distilled.
"""

from __future__ import annotations

import argparse
import logging

import gendistill
from gendistill.anchors.modes import Modes
from gendistill.data.digits import Digits
from gendistill.data.folder import Folder
from gendistill.evaluation.protocols import DIGITS, SCREENING
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.small_diffusion import SmallDiffusion
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.system.progress import progress


def main() -> None:
    """Build a recipe, distil, evaluate, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", nargs="?")
    parser.add_argument("test", nargs="?")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--ipc", type=int, default=1)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    own = given.train is not None
    recipe = gendistill.Recipe(
        real=Folder(train=given.train, test=given.test, size=given.size, channels=3) if own else Digits(),
        prior=SmallDiffusion(random_flip=own),
        steering=(
            Start(anchors=Modes()),
            Sample(steps=25, strength=0.7, cfg=2.0, guides=(Guide(ModePull(weight=0.5), window=(0.3, 1.0)),)),
        ),
        ipc=given.ipc,
    )
    distilled = gendistill.distill(recipe, progress=progress)
    print(gendistill.evaluate(distilled, SCREENING if own else DIGITS, progress=progress))
    print(gendistill.export(distilled, "distilled"))


if __name__ == "__main__":
    main()
