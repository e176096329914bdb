"""H-GLaD (Zhong et al., CVPR 2025), https://arxiv.org/abs/2406.05704.

GLaD without a layer to choose: optimise in one space of the generator after the other, and keep the best pictures of the way.

    gendistill run h_glad prior.source=imagenet128.pkl real.root=DIR ipc=10 --out runs/h_glad

Paper     ImageNet-A to E ipc 10, mean of four networks, hard labels: 54.1 / 52.0 / 49.5 / 39.8 / 40.1 (as printed by
          Chan-Santiago et al., ICML 2025)
Measured  not yet with StyleGAN-XL; with a small GAN see benchmarks/steering.md
Differs   pictures are chosen as the paper says, by the distance of class-mean features in a trained network, here of its last
          layer and class by class; in the released code the choice is commented out, so that the last layer wins. Losses here
          are multiplied by the number of pictures: weight=0.1 at ipc 10. The walk begins at the styles, with one noise a picture.
          The published protocol, four networks, is protocol=GLAD
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import MATCHING
from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Fixed
from gendistill.nets.trained import Trained
from gendistill.objectives.gradient_matching import GradientMatching
from gendistill.objectives.mean_features import MeanFeatures
from gendistill.priors.stylegan_xl import StyleganXL
from gendistill.recipe import Recipe
from gendistill.steering.descend import Descend
from gendistill.steering.generate import Generate
from gendistill.steering.optimize import Optimize
from gendistill.views.siamese import Siamese

NET = ConvNet(depth=5)

recipe = Recipe(
    source="https://arxiv.org/abs/2406.05704",
    real=ImageNetSubset("imageneta", size=128),
    prior=StyleganXL("imagenet128.pkl"),
    steering=(
        Generate(space="w+"),
        Descend(
            Optimize(
                (GradientMatching(NET, batch=256, augment=Siamese(), weight=0.1),),
                steps=100, optimizer="SGD", momentum=0.5, variables=("latent", "latent/w+"), lr=(1.0, 1e-3), limit=10.0,
            ),
            judge=MeanFeatures(Fixed((Trained(net=NET),)), augment=None),
        ),
    ),
)  # fmt: skip
protocol = MATCHING
