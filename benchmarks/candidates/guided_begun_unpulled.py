"""As `house_begun_unpulled`, its latents not moved."""

from dataclasses import replace
from pathlib import Path

from gendistill.pipeline import find_pipeline

begun = find_pipeline(str(Path(__file__).with_name("house_begun_unpulled.py")))

recipe = replace(begun.recipe, steering=begun.recipe.steering[:2])
protocol = begun.protocol
