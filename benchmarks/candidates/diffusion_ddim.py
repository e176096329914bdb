"""The prior alone as the house recipe and `guided` sample it: DDIM at cfg 3, where `diffusion` takes DDPM at 4."""

from gendistill.config.overrides import alter
from gendistill.config.pipeline import find_pipeline

diffusion = find_pipeline("diffusion")

recipe = alter(alter(diffusion.recipe, "steering.0.cfg", 3.0), "steering.0.scheduler", "DDIM")
protocol = diffusion.protocol
