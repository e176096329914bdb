"""As `house_begun`, its centres not pulling afterwards."""

from dataclasses import replace
from pathlib import Path

from gendistill.objectives.mode_pull import ModePull
from gendistill.pipeline import find_pipeline

begun = find_pipeline(str(Path(__file__).with_name("house_begun.py")))
start, sample, optimize = begun.recipe.steering
guides = tuple(guide for guide in sample.guides if not isinstance(guide.objective, ModePull))

recipe = replace(begun.recipe, steering=(start, replace(sample, guides=guides), optimize))
protocol = begun.protocol
