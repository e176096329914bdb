"""As `house_unpulled`, its latents not moved."""

from dataclasses import replace
from pathlib import Path

from gendistill.config.pipeline import find_pipeline

unpulled = find_pipeline(str(Path(__file__).with_name("house_unpulled.py")))

recipe = replace(unpulled.recipe, steering=unpulled.recipe.steering[:2])
protocol = unpulled.protocol
