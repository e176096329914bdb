"""The house recipe, its modes not pulling after the beginning."""

from dataclasses import replace

from gendistill.config.pipeline import find_pipeline
from gendistill.objectives.mode_pull import ModePull

house = find_pipeline("house")
start, sample, optimize = house.recipe.steering
guides = tuple(guide for guide in sample.guides if not isinstance(guide.objective, ModePull))

recipe = replace(house.recipe, steering=(start, replace(sample, guides=guides), optimize))
protocol = house.protocol
