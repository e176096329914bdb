"""DM through a latent diffusion prior: distribution matching (Zhao & Bilen, WACV 2023) on the latents of sampled pictures.

Sample from the prior, then move the latents, not the pixels, until class-mean features of random networks agree. GLaD
(Cazenavette et al., CVPR 2023, https://arxiv.org/abs/2305.01649) does so with a GAN; the decoder keeps the pictures natural.

    gendistill run dm_latent real.root=DIR ipc=10 --out runs/dm_latent

Paper     none for this prior; GLaD-DM, StyleGAN-XL, ImageNet-A ipc 10, mean of four networks, hard labels: 52.8
Measured  see benchmarks/
Differs   from GLaD in the prior, in Adam instead of SGD, and in gradients that are computed in two passes by torch's checkpoint
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import SCREENING
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample

recipe = Recipe(
    source="https://arxiv.org/abs/2305.01649",
    real=ImageNetSubset("imageneta", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(scheduler="DDIM", steps=50, cfg=4.0),
        Optimize(objectives=(MeanFeatures(Fresh(ConvNet(depth=6)), batch=128),), steps=1000, optimizer="Adam", lr=0.01),
    ),
)
protocol = SCREENING
