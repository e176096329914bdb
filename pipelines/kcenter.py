"""k-centre (Sener & Savarese, ICLR 2018), https://arxiv.org/abs/1708.00489.

Real pictures chosen one by one, so that none of the class is far from all of them.

    gendistill run kcenter real='Hub("uoft-cs/cifar10")' ipc=10 --out runs/kcenter

Paper     CIFAR-10 ipc 1 / 10, ConvNet-3, hard labels: 21.5 / 14.7 (Zhao et al., ICLR 2021; from memory, unverified)
Measured  see benchmarks/
Differs   features are those of a ConvNet trained in place; the published number does not say how long its network was trained
"""

from gendistill.anchors.k_centre import KCentre
from gendistill.data.hub import Hub
from gendistill.evaluation.protocols import MATCHING
from gendistill.nets.trained import Trained
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.start import Start

recipe = Recipe(
    source="https://arxiv.org/abs/1708.00489",
    real=Hub("uoft-cs/cifar10"),
    prior=Pixels(),
    steering=(Start(KCentre((Trained(),))),),
)
protocol = MATCHING
