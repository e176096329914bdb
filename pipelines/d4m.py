"""D4M (Su et al., CVPR 2024), https://arxiv.org/abs/2407.15138.

Cluster the latents of every class, re-noise each centroid, and denoise it with the class's words for the last 70 % of the steps.

    gendistill run d4m real.root=DIR ipc=10 --out runs/d4m

Paper     ImageNet-1K ipc 10 / 50, ResNet-18, soft labels: 27.9 / 55.2; imagewoof ipc 10, ResNetAP-10, hard labels: 33.2
          (re-run printed by EVLF, protocol=MINIMAX)
Measured  see benchmarks/
Differs   Real pictures pass 256 px before they are drawn over at 512; the authors bring the originals to 512, and the drawn ones
          to 224. Steps are DDIM's, theirs those of the checkpoint's own scheduler (PNDM, from memory): scheduler=None. Whole-class
          k-means instead of mini-batches: the authors lose the latents left over after the last full batch, and a class with
          fewer pictures than modes crashes theirs. Posterior means are clustered, theirs are samples. Pictures are stored by id:
          their file names collide.
"""

from gendistill.anchors.modes import Modes
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import FKD
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start

recipe = Recipe(
    source="https://arxiv.org/abs/2407.15138",
    real=ImageNetSubset("imagewoof", size=256),
    prior=TextToImage(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        prompts=Prompts(("{words}",), negative="cartoon, anime, painting"),
        size=512,
    ),
    steering=(
        Start(anchors=Modes()),
        Sample(scheduler="DDIM", steps=50, strength=0.7, cfg=8.0),
    ),
)
protocol = FKD
