"""LD3M (Moser et al., 2024), https://arxiv.org/abs/2403.03881.

Move the latents and the conditions of a latent diffusion model, through its unrolled sampler, until the pictures give a network
the gradients that real ones give it.

    gendistill run ld3m real.root=DIR ipc=10 --out runs/ld3m

Paper     ImageNet-A ipc 10, mean of four networks, hard labels: 55.2 (matching gradients), 57.0 (matching distributions)
Measured  see benchmarks/; its optimisation through the sampler takes hours without a GPU
Differs   the residual holds the latent itself, theirs its nearest code: no prior here declares a codebook. DiT's autoencoder
          is not quantised, theirs (cin256-v2) is. Adam moves both variables, theirs SGD with rates that fit the gradient's size.
          Gradients are those of a ConvNet-6 at 256 px, one network at each step; theirs of a ConvNet-5 at 128 px.
          The published protocol, four networks, is protocol=GLAD.
"""

from gendistill.anchors.real_pictures import RealPictures
from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import SCREENING
from gendistill.nets.convnet import ConvNet
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.optimize import Optimize
from gendistill.steering.sample import Sample
from gendistill.steering.start import Start
from gendistill.views.siamese import Siamese

recipe = Recipe(
    source="https://arxiv.org/abs/2403.03881",
    real=ImageNetSubset("imageneta", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Start(RealPictures()),
        Optimize(
            (GradientMatching(ConvNet(depth=6), batch=256, augment=Siamese()),),
            steps=1000, variables=("latent", "condition"), lr=(0.01, 0.001),
            through=Sample(scheduler="DDIM", steps=10, cfg=3.0, keep_start=1.0),
        ),
    ),
)  # fmt: skip
protocol = SCREENING
