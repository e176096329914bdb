"""The prior alone at cfg 1.5, where `diffusion` has the published 4 and CaO2's own baseline 2.7."""

from gendistill.config.overrides import alter
from gendistill.config.pipeline import find_pipeline

diffusion = find_pipeline("diffusion")

recipe = alter(diffusion.recipe, "steering.0.cfg", 1.5)
protocol = diffusion.protocol
