"""Random real pictures: what every distilled set must beat.

    gendistill run random_real ipc=10 --out runs/random_real

Draws ipc pictures of every class from the training set, anew for every seed, and labels them as any other set.

Paper     CIFAR-10 ipc 1 / 10 / 50, ConvNet-3, hard labels: 14.4 / 26.0 / 43.4 (as printed by Wang et al., CVPR 2025)
Measured  see benchmarks/
Differs   nothing is published to differ from: the published numbers do not say how the pictures were drawn
"""

from gendistill.anchors.real_pictures import RealPictures
from gendistill.data.digits import Digits
from gendistill.evaluation.protocols import DIGITS
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.start import Start

recipe = Recipe(
    source="https://arxiv.org/abs/2502.20653",
    real=Digits(size=16),
    prior=Pixels(),
    steering=(Start(anchors=RealPictures()),),
)
protocol = DIGITS
