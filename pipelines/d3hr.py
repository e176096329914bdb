"""D3HR (Zhao et al., ICML 2025), https://arxiv.org/abs/2505.18399.

Carry the latents of a class to a noise level where they are nearly normal, measure them there, draw the most representative
set of noisy latents, and denoise it.

    gendistill run d3hr real.root=DIR ipc=10 --out runs/d3hr

Paper     ImageNet-1K ipc 10 / 50, ResNet-18, soft labels, best epoch: 44.3 / 59.4
Measured  see benchmarks/
Differs   skewness is taken over the pictures of a set; the authors take it over the latent's numbers. Statistics are kept in
          float64, theirs in float16, and latents are posterior means, theirs samples. Ten thousand candidate sets are drawn,
          where their loop draws a hundred million. Their code weighs the skewness 0.1, the paper 0.5. Points are drawn and denoised
          at t = 620; theirs have the statistics of t = 600 and are denoised from 620.
"""

from gendistill.anchors.inverted import Inverted
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import RDED
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start

recipe = Recipe(
    source="https://arxiv.org/abs/2505.18399",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Start(Inverted(steps=50, to=0.62, cfg=4.0, candidates=10_000, mean=1.0, std=1.0, skewness=0.5)),
        Sample(scheduler="DDIM", steps=50, cfg=4.0),
    ),
)
protocol = RDED
