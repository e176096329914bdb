"""Herding (Welling, ICML 2009; as in Rebuffi et al., CVPR 2017), https://arxiv.org/abs/1611.07725.

Real pictures chosen one by one, so that their mean is the mean of the class.

    gendistill run herding real='Hub("uoft-cs/cifar10")' ipc=10 --out runs/herding

Paper     CIFAR-10 ipc 1 / 10, ConvNet-3, hard labels: 21.5 / 31.6 (Zhao et al., ICLR 2021; from memory, unverified)
Measured  see benchmarks/
Differs   features are those of a ConvNet trained in place; the published number does not say how long its network was trained
"""

from gendistill.anchors.herding import Herding
from gendistill.data.hub import Hub
from gendistill.evaluation.protocols import MATCHING
from gendistill.nets.trained import Trained
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.start import Start

recipe = Recipe(
    source="https://arxiv.org/abs/1611.07725",
    real=Hub("uoft-cs/cifar10"),
    prior=Pixels(),
    steering=(Start(Herding((Trained(),))),),
)
protocol = MATCHING
