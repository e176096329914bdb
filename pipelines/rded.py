"""RDED (Sun et al., CVPR 2024), https://arxiv.org/abs/2312.03526: real patches that a classifier knows best.

    gendistill run rded real.root=DIR ipc=10 --out runs/rded

Paper     imagenette ipc 10, ResNet-18, soft labels by the teacher at every step: 61.4; CIFAR-10 ipc 10: 37.1
Measured  see benchmarks/
Differs   four patches share a picture (tiles=2), which IPC does not show; below 128 px give tiles=1 and protocol=RDED_SMALL.
          What differs in the labels and the student is said of the protocol.
"""

from gendistill.anchors.patches import Patches
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import RDED
from gendistill.learning.schedules import CosineDecay
from gendistill.learning.training import Training
from gendistill.nets.resnet import ResNet
from gendistill.nets.trained import Trained
from gendistill.priors.pixels import Pixels
from gendistill.recipe import Recipe
from gendistill.steering.start import Start

CLASSIFIER = Trained(net=ResNet(depth=18, stem="large"), training=Training(epochs=50, schedule=CosineDecay()))

recipe = Recipe(
    source="https://arxiv.org/abs/2312.03526",
    real=ImageNetSubset("imagewoof", size=256),
    prior=Pixels(),
    steering=(Start(Patches((CLASSIFIER,), pictures=300, crops=5, tiles=2)),),
)
protocol = RDED
