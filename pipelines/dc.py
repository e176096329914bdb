"""DC, gradient matching in pixels (Zhao et al., ICLR 2021), https://arxiv.org/abs/2006.05929.

Begin with noise and move pixels until they give a network the gradients that real pictures give it, while it learns from them.

    gendistill run dc real='Hub("uoft-cs/cifar10")' ipc=10 --out runs/dc

Paper     CIFAR-10 ipc 1 / 10 / 50, ConvNet-3, hard labels: 28.3 / 44.9 / 53.9
Measured  see benchmarks/
Differs   losses here are multiplied by the number of pictures: weight=0.1 at ipc 10. Pixels are in [0, 1], so lr is the paper's
          0.1 over 16, as explained in dm. The last epoch counts. The paper's pairs of outer and inner steps by ipc are 1, 1 at
          ipc 1; 10, 50 at 10; 50, 10 at 50: steps are 1000 times the outer ones.
"""

from gendistill.data.hub import Hub
from gendistill.evaluation.protocols import MATCHING_NOAUG
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.optimize import Optimize
from gendistill.steering.start import Start

recipe = Recipe(
    source="https://arxiv.org/abs/2006.05929",
    real=Hub("uoft-cs/cifar10"),
    prior=Pixels(),
    steering=(
        Start(),
        Optimize(
            (GradientMatching(batch=256, outer=10, inner=50, weight=0.1),),
            steps=10_000, optimizer="SGD", lr=0.1 / 16, momentum=0.5,
        ),
    ),
)  # fmt: skip
protocol = MATCHING_NOAUG
