"""The house recipe as it was first: sampled from noise with the pull alone, its latents moved at five times the rate."""

from dataclasses import replace

from gendistill.objectives.mode_pull import ModePull
from gendistill.pipeline import find_pipeline

house = find_pipeline("house")
_, sample, optimize = house.recipe.steering
guides = tuple(guide for guide in sample.guides if isinstance(guide.objective, ModePull))

recipe = replace(house.recipe, steering=(replace(sample, strength=1.0, guides=guides), replace(optimize, lr=0.05)))
protocol = house.protocol
