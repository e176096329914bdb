"""The house recipe begun at re-noised centres of real pictures, which do not pull afterwards."""

from dataclasses import replace

from gendistill.anchors.modes import Modes
from gendistill.objectives.mode_pull import ModePull
from gendistill.pipeline import find_pipeline
from gendistill.steering.start import Start

house = find_pipeline("house")
sample, optimize = house.recipe.steering
LIKE_D4M = 0.494
"""Where DiT's pictures hold as much noise as Stable Diffusion's at 0.7."""
guides = tuple(guide for guide in sample.guides if not isinstance(guide.objective, ModePull))

recipe = replace(house.recipe, steering=(Start(Modes()), replace(sample, strength=LIKE_D4M, guides=guides), optimize))
protocol = house.protocol
