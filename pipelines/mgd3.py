"""MGD3, mode guidance (Chan-Santiago et al., ICML 2025), https://arxiv.org/abs/2505.18963.

Find as many modes of a class as pictures are wanted; pull each sample towards its own mode while noise is high, then let go.

    gendistill run mgd3 real.root=DIR ipc=10 --out runs/mgd3

Paper     imagewoof ipc 10, ConvNet-6 / ResNetAP-10 / ResNet-18, hard labels, best epoch: 34.7 / 40.4 / 38.5
          imagenette ipc 10, ResNetAP-10: 66.4
Measured  see benchmarks/
Differs   modes are found without the random flip that the published code leaves on, so they are the same every time.
          The window is given in training time; the paper's is steps 49 to 26 of 50, which is t/T > 0.5.
          The pull uses the posterior deviation, the authors use the deviation their DiT learned. It moves the one estimate after
          cfg; theirs is broadcast over both halves of the cfg batch.
          All four latent channels are guided by cfg (cfg_channels=3 for the authors' three).
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import MINIMAX
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.scales import OnMean

recipe = Recipe(
    source="https://arxiv.org/abs/2505.18963",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(
            scheduler="DDPM", steps=50, cfg=4.0,
            guides=(Guide(ModePull(weight=0.1), window=(0.505, 1.0), scale=OnMean()),),
        ),
    ),
)  # fmt: skip
protocol = MINIMAX
