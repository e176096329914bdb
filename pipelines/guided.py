"""The guided sampler: this project's own, the house recipe's three wishes while sampling from noise, and nothing afterwards.

Each picture is pulled towards its own mode of the class while it is mostly noise; below that a random network, anew at every step,
pulls the class towards the real pictures' mean features, and a teacher towards its name, both gradients through the decoder and as
long as the noise that a picture still holds.

    gendistill run guided real.root=DIR ipc=10 --out runs/guided

Paper     none: the pull is MGD3's (https://arxiv.org/abs/2505.18963), the matching DM's (https://arxiv.org/abs/2110.04181), the
          teacher Dhariwal and Nichol's (https://arxiv.org/abs/2105.05233), the length of a gradient IGD's (see `igd`)
Measured  CIFAR-10 ipc 10, ConvNet-3 of width 32, 25 steps (windows moved to the same noise), on a held-out tenth of the
          training pictures, hard / soft labels: 44.8 ± 0.6 / 46.5 ± 0.5 (one set, n=3 students, last epoch, one H200,
          v0.1.0, 2026-11-26); unsteered 35.9 / 37.7. By the field's protocol (width 128, 1000 epochs), on the test pictures:
          47.3 ± 0.2 / 50.5 ± 0.3 (n=5, 2 CPU cores); unsteered 36.6 / 41.2
Differs   from DM in that pictures are sampled, not moved, so that each random network is asked once a class; from IGD in that
          the gradients act from the middle to the end, in the clean estimate. Twice the weight of the matching measured alike,
          twice both, over a wider window, cost three points
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import SCREENING
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fresh
from gendistill.nets.trained import Trained
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.scales import Power

TEACHER = Trained(net=ConvNet(depth=6, norm="batch"), training=Training(epochs=30, schedule=CosineDecay()))
LATE, BY_NOISE = (0.024, 0.395), Power(sigma=1, alpha=0)

recipe = Recipe(
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(
            scheduler="DDIM", steps=50, cfg=3.0,
            guides=(
                Guide(ModePull(weight=0.1), window=(0.15, 1.0)),
                Guide(MeanFeatures(Fresh(ConvNet(depth=6)), batch=64, weight=0.5), LATE, BY_NOISE, matched=True),
                Guide(CrossEntropy((TEACHER,), weight=0.5), LATE, BY_NOISE, matched=True),
            ),
        ),
    ),
)  # fmt: skip
protocol = SCREENING
