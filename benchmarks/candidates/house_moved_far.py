"""The house recipe as it was first: sampled from noise with the pull alone, its latents moved at five times the rate."""

from dataclasses import replace
from pathlib import Path

from gendistill.config.pipeline import find_pipeline
from gendistill.objectives.mode_pull import ModePull

from_noise = find_pipeline(str(Path(__file__).with_name("house_from_noise.py")))
sample, optimize = from_noise.recipe.steering
guides = tuple(guide for guide in sample.guides if isinstance(guide.objective, ModePull))

recipe = replace(from_noise.recipe, steering=(replace(sample, guides=guides), replace(optimize, lr=0.05)))
protocol = from_noise.protocol
