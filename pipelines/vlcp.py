"""VLCP, vision-language category prototypes (Zou et al., ICCV 2025), https://arxiv.org/abs/2506.23580, class-conditional form.

Cluster the latents of a class without its outliers, re-noise each centroid, and denoise it for the last 70 % of the steps.

    gendistill run vlcp real.root=DIR ipc=10 --out runs/vlcp

Paper     imagenette ipc 10 / 20 / 50, ResNetAP-10, hard labels, best epoch: 64.8 / 71.4 / 81.2
Measured  see benchmarks/
Differs   the class stands where the authors prompt Stable Diffusion 1.5, tuned on captions, with the caption most typical of
          each cluster; the text form comes with the text-to-image priors. Strong guidance is theirs (cfg 10), for a prompt.
          Pictures are stored by id, where their file names collide.
"""

from gendistill.anchors.modes import Modes
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import SCREENING
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start

recipe = Recipe(
    source="https://arxiv.org/abs/2506.23580",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Start(Modes(clean_outliers=0.1)),
        Sample(scheduler="DDIM", steps=50, strength=0.7, cfg=10.0),
    ),
)
protocol = SCREENING
