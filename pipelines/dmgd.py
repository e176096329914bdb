"""DMGD (Wang et al., CVPR 2026), https://arxiv.org/abs/2605.03877.

Ask for next to nothing while noise is high and for the class more and more as it falls, and move the set towards the class by
optimal transport between directions.

    gendistill run dmgd real.root=DIR ipc=10 --out runs/dmgd

Paper     imagewoof ipc 10 / 50, ResNetAP-10, hard labels: 40.8 / 60.1; imagenette 68.4 / 80.6
Measured  see benchmarks/
Differs   from notes, unverified: no code was found. Steps 25 to 45 and 30 to 45 of 50 are windows in training time here, the share
          of the label rises linearly in the first, and the transport's gradient is as long as the noise a picture holds, in
          which 0.05 is its strength. One picture at a time is made beside the finished ones, their progressive freezing. The
          protocol is assumed.
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import MINIMAX
from gendistill.objectives.sinkhorn import Sinkhorn
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.conditioning import LabelMix
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.scales import OnStep

recipe = Recipe(
    source="https://arxiv.org/abs/2605.03877",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(
            scheduler="DDPM", steps=50, cfg=4.0, at_once=1,
            conditioning=LabelMix(other=0.01, noise=0.06, window=(0.495, 0.905)),
            guides=(Guide(Sinkhorn(sphere=True, weight=0.05), (0.595, 0.905), OnStep(sigma=1), matched=True),),
        ),
    ),
)  # fmt: skip
protocol = MINIMAX
