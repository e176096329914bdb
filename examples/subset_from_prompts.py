"""An ImageNet subset without a picture of ImageNet: drawn from prompts, chosen and labelled by two zero-shot CLIPs.

    python examples/subset_from_prompts.py stable-diffusion-v1-5/stable-diffusion-v1-5 --subset imagewoof --ipc 10

`gendistill generate` does the same from the command line.
"""

from __future__ import annotations

import argparse
import logging

import gendistill
from gendistill.commands.from_prompts import as_clip
from gendistill.data.class_names import ClassNames
from gendistill.labelers.relabel import Relabel
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.steering.sample import Sample
from gendistill.steering.select_confident import SelectConfident
from gendistill.system.progress import progress

PROMPTS = Prompts(("a photo of {article} {name}", "a close-up photo of {article} {name}"), negative="a drawing, a toy")

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("prior", help="hub id or folder of a text-to-image pipeline of diffusers")
parser.add_argument("--subset", default="imagewoof")
parser.add_argument("--ipc", type=int, default=10)
parser.add_argument("--steps", type=int, default=30)
parser.add_argument(
    "--clip", nargs="+", default=["ViT-B-32/openai", "ViT-L-14/openai"], help="MODEL/WEIGHTS of open_clip, or folders"
)
parser.add_argument("--device", default="auto")
parser.add_argument("--out", default="subset")


def main() -> None:
    """Draw four candidates a picture, keep the surest, and let the same judges label them."""
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    prior = TextToImage(args.prior, prompts=PROMPTS)
    judges = tuple(as_clip(name) for name in args.clip)
    recipe = gendistill.Recipe(
        real=ClassNames(subset=args.subset, size=prior.own_size()),
        prior=prior,
        steering=(Sample(steps=args.steps, cfg=6.0, oversample=4), SelectConfident(judges, easiest=True)),
        labeler=Relabel(judges, average="probs"),
        ipc=args.ipc,
    )
    made = gendistill.distill(recipe, device=args.device, progress=progress)
    for name, prompt in zip(made.classes, (made.prompts or ())[:: args.ipc], strict=True):
        print(f"{name}: {prompt}")
    print(gendistill.export(made, args.out))


if __name__ == "__main__":
    main()
