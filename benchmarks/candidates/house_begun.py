"""The house recipe, its sampler begun at re-noised centres of real pictures, as `d4m` begins.

python benchmarks/steering.py NAME ... --pipelines benchmarks/candidates/house_begun.py
"""

from dataclasses import replace

from gendistill.anchors.modes import Modes
from gendistill.pipeline import find_pipeline
from gendistill.steering.start import Start

house = find_pipeline("house")
sample, optimize = house.recipe.steering
LIKE_D4M = 0.494
"""Where DiT's pictures hold as much noise as Stable Diffusion's at 0.7."""

recipe = replace(house.recipe, steering=(Start(Modes()), replace(sample, strength=LIKE_D4M), optimize))
protocol = house.protocol
