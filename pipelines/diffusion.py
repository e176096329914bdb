"""Unsteered DiT (Peebles & Xie, ICCV 2023), https://arxiv.org/abs/2212.09748: the prior alone, as a point of comparison.

    gendistill run diffusion real.root=DIR ipc=10 --out runs/diffusion

Paper     imagewoof ipc 10, ConvNet-6 / ResNetAP-10 / ResNet-18, hard labels, best epoch: 34.2 / 34.7 / 34.7
          (as the plain DiT row of Minimax Diffusion)
Measured  see benchmarks/
Differs   all four latent channels are guided, as in diffusers; DiT's own sampler guides three (cfg_channels=3)
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import MINIMAX
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample

recipe = Recipe(
    source="https://arxiv.org/abs/2212.09748",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(Sample(scheduler="DDPM", steps=50, cfg=4.0),),
)
protocol = MINIMAX
