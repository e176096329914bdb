"""GLaD (Cazenavette et al., CVPR 2023), https://arxiv.org/abs/2305.01649.

Optimise maps in the middle of a generator, and the styles that the layers after them ask for, until the pictures give a network
the gradients that real ones give it.

    gendistill run glad prior.source=imagenet128.pkl real.root=DIR ipc=10 --out runs/glad

Paper     ImageNet-A to E ipc 10, mean of four networks, hard labels: 53.1 / 50.1 / 48.9 / 38.9 / 38.4 (as printed by
          Chan-Santiago et al., ICML 2025)
Measured  not yet with StyleGAN-XL; with a small GAN see benchmarks/steering.md and gan.md
Differs   losses here are multiplied by the number of pictures: weight=0.1 at ipc 10. Styles are kept within the bound as well,
          theirs bounds the maps alone; gradients that are not finite stop the run, theirs become 0. Matching distributions is
          MeanFeatures() from space "f20" with lr=(10.0, 0.01). The published protocol, four networks, is protocol=GLAD.
          The pickle is imagenet128 of https://github.com/autonomousvision/stylegan-xl
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import MATCHING
from gendistill.nets.convnet import ConvNet
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.priors.stylegan_xl import StyleganXL
from gendistill.recipe import Recipe
from gendistill.steering.generate import Generate
from gendistill.steering.optimize import Optimize
from gendistill.views.siamese import Siamese

recipe = Recipe(
    source="https://arxiv.org/abs/2305.01649",
    real=ImageNetSubset("imageneta", size=128),
    prior=StyleganXL("imagenet128.pkl"),
    steering=(
        Generate(space="f16"),
        Optimize(
            (GradientMatching(ConvNet(depth=5), batch=256, augment=Siamese(), weight=0.1),),
            steps=1000, optimizer="SGD", momentum=0.5, variables=("latent/f16", "latent/w+"), lr=(1.0, 1e-3), limit=10.0,
        ),
    ),
)  # fmt: skip
protocol = MATCHING
