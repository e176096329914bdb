"""DGS, difficulty-guided sampling (Li et al., ICCV Workshops 2025), https://arxiv.org/abs/2507.03331.

Draw five times as many pictures as are wanted and keep those whose difficulties are spread as the real pictures' are.

    gendistill run dgs real.root=DIR ipc=10 --out runs/dgs

Paper     none confirmed
Measured  see benchmarks/
Differs   bins that lack pictures are filled from the nearest ones, theirs at random. The classifier is trained in place; theirs
          is torchvision's ResNet-50. Pictures come from the plain prior, theirs from any method, by whose protocol they are judged.
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import SCREENING
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training
from gendistill.nets.resnet import ResNet
from gendistill.nets.trained import Trained
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.steering.select_difficulty import SelectDifficulty

CLASSIFIER = Trained(net=ResNet(depth=18, stem="large"), training=Training(epochs=50, schedule=CosineDecay()))

recipe = Recipe(
    source="https://arxiv.org/abs/2507.03331",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(scheduler="DDPM", steps=50, cfg=4.0, oversample=5),
        SelectDifficulty((CLASSIFIER,), bins=10),
    ),
)
protocol = SCREENING
