"""As `house_unpulled`, its latents moved at half the rate."""

from dataclasses import replace
from pathlib import Path

from gendistill.config.pipeline import find_pipeline

unpulled = find_pipeline(str(Path(__file__).with_name("house_unpulled.py")))
start, sample, optimize = unpulled.recipe.steering

recipe = replace(unpulled.recipe, steering=(start, sample, replace(optimize, lr=0.005)))
protocol = unpulled.protocol
