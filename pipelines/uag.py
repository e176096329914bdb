"""UAG, utility-aligned guidance, as reproduced by others.

https://github.com/wyi70620-dev/UAG-Utility-Aligned-Guidance-for-Diffusion-Based-Dataset-Distillation

Steer samples to where a classifier of the real pictures is uncertain.

    gendistill run uag real.root=DIR ipc=10 --out runs/uag

Paper     none confirmed
Measured  see benchmarks/
Differs   from notes, unverified. The clean estimate is displaced, which is the published change of the predicted noise.
          The protocol is IGD's, with five students; the reproduction's is the same but for three, and fewer epochs at ipc 1.
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import IGD
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training
from gendistill.nets.resnet import ResNet
from gendistill.nets.trained import Trained
from gendistill.objectives.predictive_entropy import PredictiveEntropy
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.scales import Power

CLASSIFIER = Trained(
    net=ResNet(depth=18, stem="large"), training=Training(epochs=200, batch=128, lr=0.1, schedule=CosineDecay())
)

recipe = Recipe(
    source="https://github.com/wyi70620-dev/UAG-Utility-Aligned-Guidance-for-Diffusion-Based-Dataset-Distillation",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(
            scheduler="DDPM", steps=50, cfg=4.0,
            guides=(Guide(PredictiveEntropy((CLASSIFIER,), weight=10.0), (0.0, 0.795), Power(sigma=2, alpha=-2)),),
        ),
    ),
)  # fmt: skip
protocol = IGD
