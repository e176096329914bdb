"""CoDA (Zhou et al., ICLR 2026), https://arxiv.org/abs/2512.03844.

Find dense regions of a class, take the real latent most typical of each, and pull the conditional estimate of one sample
towards each while SDXL, which never saw these classes as such, draws it.

    gendistill run coda real.root=DIR ipc=10 --out runs/coda

Paper     imagewoof ipc 10, ResNetAP-10, hard labels, best epoch: 39.2 (a reproduction with one seed: 35.0)
Measured  see benchmarks/
Differs   Real pictures pass 256 px before they are encoded at 1024. Clusters are found in principal components, theirs in a
          UMAP. After cfg the shift of the clean estimate is sigma / alpha * cfg * 0.05 of the distance, as in their code, whose
          schedule factor cancels: at the first step it passes the goal, but a step of the solver moves the picture by a part
          of that alone. The window holds every step but those of the last tenth, as theirs does, with the spacing of SDXL
          ("leading", from 0.96 down); where steps begin at 1, the first is free too. Their script as shipped judges the real
          pictures it selected, unless told otherwise.
"""

from gendistill.anchors.dense import Dense
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import MINIMAX
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.recipe import Recipe
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.scales import Power

recipe = Recipe(
    source="https://arxiv.org/abs/2512.03844",
    real=ImageNetSubset("imagewoof", size=256),
    prior=TextToImage("stabilityai/stable-diffusion-xl-base-1.0", prompts=Prompts(("{name}",)), size=1024),
    steering=(
        Sample(
            scheduler="EulerDiscrete", steps=25, cfg=5.0,
            guides=(Guide(ModePull(Dense(), weight=0.05), (0.1, 0.97), Power(sigma=1, alpha=-1), before_cfg=True),),
        ),
    ),
)  # fmt: skip
protocol = MINIMAX
