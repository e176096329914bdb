"""As `house_begun_unpulled`, its latents moved at half the rate."""

from dataclasses import replace
from pathlib import Path

from gendistill.pipeline import find_pipeline

begun = find_pipeline(str(Path(__file__).with_name("house_begun_unpulled.py")))
start, sample, optimize = begun.recipe.steering

recipe = replace(begun.recipe, steering=(start, sample, replace(optimize, lr=0.005)))
protocol = begun.protocol
