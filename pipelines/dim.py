"""DiM (Wang et al., 2023), https://arxiv.org/abs/2303.04707.

Tune a class-conditional GAN so that networks say of what it draws what they say of real pictures. The generator is what is
distilled: a student sees other pictures every epoch.

    gendistill run dim real='Hub("uoft-cs/cifar10")' ipc=10 --out runs/dim

Paper     CIFAR-10 ipc 10 (so many pictures per class an epoch, 1000 epochs), best epoch: ConvNet-3 72.6, ResNet-18 75.1. Not
          comparable with sets of ten pictures per class: a student sees as many thousand, and a generator is stored
Measured  CIFAR-10 ipc 10 after one epoch of tuning, ConvNet-3 of width 32, hard labels, on a held-out tenth of the training
          pictures (n=3 students, last epoch, 2 CPU cores, v0.1.0, 2026-11-26): 41.9 ± 0.4, no better than the GAN as it is, drawn
          anew as well, 41.8 ± 0.5
Differs   the prior is the package's own GAN, trained on the spot (hours on a GPU): its discriminator is told the class, theirs
          names it (ACGAN, whose cross-entropy is part of their generator's loss), and both play the relativistic game, theirs
          Wasserstein's with a gradient penalty. A batch holds 8 of the classes, 8 pictures each, and a network looks at one class
          at a time, so that its batch normalisation answers by counted statistics, theirs by those of the batch. Adam's second
          beta is 0.99 (0.9) and its state begins anew. An epoch of a student holds ipc pictures of every class, theirs 10 ipc of
          any (the ipc of ten classes), filled up to batches of 64; theirs is the best generator by test accuracy, ours the last
"""

from dataclasses import replace

from gendistill.data.hub import Hub
from gendistill.evaluation.protocols import MATCHING
from gendistill.learning.schedules import ConstantRate
from gendistill.nets.convnet import ConvNet
from gendistill.nets.resnet import ResNet
from gendistill.nets.sampling import Warming
from gendistill.objectives.logit_matching import LogitMatching
from gendistill.priors.small_gan import SmallGan
from gendistill.recipe import Recipe
from gendistill.steering.generate import Generate
from gendistill.steering.tune_generator import TuneGenerator
from gendistill.views.siamese import Siamese

POOL = (ConvNet(), ResNet(depth=10), ResNet(depth=18), ResNet(depth=10, pool=True), ResNet(depth=18, pool=True))
recipe = Recipe(
    source="https://arxiv.org/abs/2303.04707",
    real=Hub("uoft-cs/cifar10"),
    prior=SmallGan(),
    steering=(
        TuneGenerator(
            (
                LogitMatching(
                    Warming(POOL, steps=16, every=781, augment=Siamese(("color", "crop"))),
                    batch=8, augment=Siamese(("color", "crop", "cutout")), weight=0.01,
                ),
            ),
            epochs=100, batch=64, learning_rate=5e-6,
        ),
        Generate(),
    ),
    draws=1000,
)  # fmt: skip
protocol = replace(
    MATCHING, name="DiM", source=recipe.source, training=replace(MATCHING.training, batch=64, schedule=ConstantRate())
)
