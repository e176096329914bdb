"""`d4m`, its latents then moved as by the house recipe."""

from dataclasses import replace

from gendistill.config.pipeline import find_pipeline

d4m, house = find_pipeline("d4m"), find_pipeline("house")

recipe = replace(d4m.recipe, steering=(*d4m.recipe.steering, house.recipe.steering[-1]))
protocol = d4m.protocol
