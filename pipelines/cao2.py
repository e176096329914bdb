"""CaO2 (Wang et al., ICCV 2025), https://arxiv.org/abs/2506.22637.

Draw four times as many pictures as are wanted, keep those a classifier is surest of, then move each latent to where the prior
itself denoises it best.

    gendistill run cao2 real.root=DIR ipc=10 --out runs/cao2

Paper     imagewoof ipc 10, ResNet-18, soft labels: 45.6; imagenette 65.0
Measured  see benchmarks/
Differs   the network is told the time of the level that noise was added at; the authors add noise by the spaced index and pass
          the index on, so theirs is told a wrong time. The classifier is trained in place and normalises its pictures, theirs is
          torchvision's and does not. Where too few are classified correctly, the most probable as the class asked for fill up,
          theirs the most confident of any class. Label dropout is off. Noise is drawn anew at every step of the refinement,
          theirs once per picture, from a bank of 1024. cfg guides all four channels, theirs three (cfg_channels=3). Their
          ImageNette script runs no refinement at all.
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import RDED
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training
from gendistill.nets.resnet import ResNet
from gendistill.nets.trained import Trained
from gendistill.objectives.denoising import Denoising
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.select_confident import SelectConfident

CLASSIFIER = Trained(net=ResNet(depth=18, stem="large"), training=Training(epochs=50, schedule=CosineDecay()))

recipe = Recipe(
    source="https://arxiv.org/abs/2506.22637",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(scheduler="DDPM", steps=50, cfg=2.7, oversample=4),
        SelectConfident((CLASSIFIER,)),
        Optimize((Denoising(condition="null"),), steps=100, lr=6e-4),
    ),
)
protocol = RDED
