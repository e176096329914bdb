"""DAP, diffusion models as dataset distillation priors (Su et al., ICLR 2026), https://arxiv.org/abs/2510.17421.

Pull the noisy latent towards the real pictures of its class as the denoiser's own middle layers see them; no other network.

    gendistill run dap real.root=DIR ipc=10 --out runs/dap

Paper     imagenette ipc 10, ConvNet-6, hard labels: 64.8; ImageNet-1K ipc 10 / 50, ResNet-18, soft labels: 49.1 / 62.7
Measured  see benchmarks/
Differs   from notes, unverified: no code was found. Layers are shares of the depth (blocks 4 to 12 of 28); the kernel is linear.
          The gradient is that of the class asked for, before cfg. The protocol is assumed: IGD's, with whose rows theirs stand.
"""

from gendistill.data.imagenet_subset import ImageNetSubset
from gendistill.evaluation.protocols import IGD
from gendistill.objectives.denoiser_kernel import DenoiserKernel
from gendistill.priors.latent_diffusion import LatentDiffusion
from gendistill.recipe import Recipe
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.scales import OnStep

recipe = Recipe(
    source="https://arxiv.org/abs/2510.17421",
    real=ImageNetSubset("imagewoof", size=256),
    prior=LatentDiffusion("facebook/DiT-XL-2-256"),
    steering=(
        Sample(
            scheduler="DDPM", steps=50, cfg=4.0,
            guides=(Guide(DenoiserKernel(weight=1.0), scale=OnStep(), gradient="noisy"),),
        ),
    ),
)  # fmt: skip
protocol = IGD
