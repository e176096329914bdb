"""IT-GAN (Zhao & Bilen, 2022), https://arxiv.org/abs/2204.07513.

Find the noise of real pictures in a generator, one for each, and move it until networks see the class as they see the real ones.

    gendistill run it_gan real='Hub("uoft-cs/cifar10")' ipc=10 --out runs/it_gan

Paper     not comparable: as many pictures as the data have (ipc=5000 of CIFAR-10), for networks trained on them
Measured  see benchmarks/steering.md
Differs   the prior is the package's own GAN, trained on the spot (hours on a GPU), one for all classes, theirs BigGAN, one for each
          class. Only the evaluation of their latents is public: the losses are from notes, unverified; lr 0.1 and 0.001 are the
          code's, the weights (0.9 and 0.1 a picture), steps and networks are ours
"""

from gendistill.data.hub import Hub
from gendistill.evaluation.protocols import RESNET
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.picture_pull import PicturePull
from gendistill.priors.small_gan import SmallGan
from gendistill.recipe import Recipe
from gendistill.steering.generate import Generate
from gendistill.steering.optimize import Optimize

recipe = Recipe(
    source="https://arxiv.org/abs/2204.07513",
    real=Hub("uoft-cs/cifar10"),
    prior=SmallGan(),
    steering=(
        Generate(),
        Optimize((PicturePull(),), steps=500, lr=0.1, variables=("latent/z",)),
        Optimize(
            (MeanFeatures(weight=0.9), PicturePull(pixels=0.0, weight=0.1)),
            steps=1000, lr=0.001, variables=("latent/z",),
        ),
    ),
)  # fmt: skip
protocol = RESNET
