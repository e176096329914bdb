"""The house recipe, its sampler begun at noise and not at modes of the class."""

from dataclasses import replace

from gendistill.config.pipeline import find_pipeline

house = find_pipeline("house")
_, sample, optimize = house.recipe.steering

recipe = replace(house.recipe, steering=(replace(sample, strength=1.0), optimize))
protocol = house.protocol
