"""D2M (Sajedi et al., ECCV 2024), https://arxiv.org/abs/2411.12841.

Tune a trained generator until networks answer its pictures as they answer real ones: which of their channels, block by block, and
which classes. The generator is what is distilled, and no discriminator has a say any more.

    gendistill run d2m real='Hub("uoft-cs/cifar10")' ipc=10 --out runs/d2m

Paper     numbers not confirmed; as with DiM, a student sees other pictures every epoch
Measured  CIFAR-10 ipc 10 after one epoch of tuning, ConvNet-3 of width 32, hard labels, on a held-out tenth of the training
          pictures (n=3 students, last epoch, one H200, v0.1.0, 2026-11-26): 44.2 ± 0.2, the GAN as it is 41.8 ± 0.5, drawn
          anew as well
Differs   from notes, unverified: the authors' code was not found. Theirs are the two losses, of channel attention with the last
          features and of predictions softened by a temperature, on a pretrained generator; 10 times the predictions and T = 4 are
          what a third party's version takes to be the paper's. Power, batch, learning rate (Adam; theirs may be SGD) and epochs
          are ours, and so are the networks: on the line between their initial and their trained weights. The prior is the
          package's own GAN, trained on the spot, theirs were made by others
"""

from gendistill.data.hub import Hub
from gendistill.evaluation.protocols import MATCHING
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Interpolated
from gendistill.objectives.attention import Attention
from gendistill.objectives.prediction_matching import PredictionMatching
from gendistill.priors.small_gan import SmallGan
from gendistill.recipe import Recipe
from gendistill.steering.generate import Generate
from gendistill.steering.tune_generator import TuneGenerator

NETWORKS = Interpolated(ConvNet(), count=5)
recipe = Recipe(
    source="https://arxiv.org/abs/2411.12841",
    real=Hub("uoft-cs/cifar10"),
    prior=SmallGan(),
    steering=(
        TuneGenerator(
            (
                Attention(NETWORKS, batch=64, channels=True, balance=1.0),
                PredictionMatching(NETWORKS, batch=64, temperature=4.0, weight=10.0),
            ),
            adversarial=0.0, epochs=20, batch=160, learning_rate=1e-4,
        ),
        Generate(),
    ),
    draws=1000,
)  # fmt: skip
protocol = MATCHING
