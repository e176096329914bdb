"""Do prompts work: a text-to-image model of Stable Diffusion's own classes, trained here, asked in words it never saw.

    python benchmarks/text_prior.py --train 'cifar10/train-*.parquet' --vae cifar10_dit --out runs/text-prior

All classes but one are learned from class-name prompts by `finetune`, from random weights; the autoencoder is that of another
checkpoint, the text encoder stays random. Then templates that no training used ask for every class, and a network that never saw
the model says what the pictures show. The class left out is added by LoRA: two in five pictures are of it, the others keep what
would be lost otherwise. Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from scene import adamw

from gendistill.data.parquet import Parquet
from gendistill.data.validation import Validation
from gendistill.finetuning import FineTuning, finetune
from gendistill.images import Subset
from gendistill.learning.training import accuracy
from gendistill.nets import trained
from gendistill.nets.convnet import ConvNet
from gendistill.nets.trained import Trained
from gendistill.priors.lora import LoRA
from gendistill.priors.parameters import Everything
from gendistill.priors.text_to_image import TextToImage
from gendistill.prompts import Prompts
from gendistill.recipe import Recipe
from gendistill.running.distill import distill, open_context
from gendistill.steering.sample import Sample
from gendistill.system.environment import versions
from gendistill.system.progress import progress
from gendistill.system.store import write_json
from gendistill.types import RealData

RESULTS = Path(__file__).parent / "results"
LEARNED = (
    "a photo of {article} {name}", "{name}", "a picture of the {name}", "{article} {name} outside", "this is {article} {name}",
    "a small {name}", "one {name}, photographed", "a close look at {article} {name}",
)  # fmt: skip
UNSEEN = (
    "a snapshot showing {article} {name}",
    "look, {article} {name}",
    "somebody's {name}",
    "the {name} in my album",
)
"""No word of these but the names is in the templates above."""
JUDGE = Trained(ConvNet(depth=3, width=32, norm="batch"), adamw(4), seed=1)
"""Trained on nine tenths of the real pictures; one of the networks that label in `steering.py`."""
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
"""As the tokenizers of Stable Diffusion call them; open_clip has other names for the same two tokens."""
WIDTH, TOKENS = 128, 32
SAMPLER = Sample(scheduler="DDIM", steps=25, cfg=4.0)
PRIOR = FineTuning(
    parameters=Everything(), max_train_steps=2400, train_batch_size=64, learning_rate=5e-4, lr_scheduler="cosine",
    lr_warmup_steps=100, ema_decay=0.998, random_flip=True, validation_steps=1000, checkpointing_steps=200,
)  # fmt: skip
ADDED = FineTuning(
    parameters=LoRA(rank=32, alpha=32, beside=("conv1", "conv2", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")),
    max_train_steps=1200, train_batch_size=60, learning_rate=1e-3, lr_scheduler="cosine",
    random_flip=True, validation_steps=750, checkpointing_steps=250,
)  # fmt: skip


def blank(folder: Path, vae: str) -> None:
    """A stock ``StableDiffusionPipeline`` whose U-Net and text encoder are random. Its vocabulary is CLIP's own, from open_clip."""
    from open_clip.tokenizer import SimpleTokenizer

    words = SimpleTokenizer()
    folder.mkdir(parents=True)
    renamed = dict(zip(words.all_special_ids, SPECIAL, strict=True))
    vocabulary = {renamed.get(number, word): number for word, number in words.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = sorted(words.bpe_ranks, key=words.bpe_ranks.__getitem__)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    begin, end = SPECIAL
    spoken = {"bos_token": begin, "eos_token": end, "pad_token": end, "unk_token": end}
    files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = transformers.CLIPTokenizer(*files, **spoken, model_max_length=TOKENS)
    torch.manual_seed(0)
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(words.encoder), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=TOKENS, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    decoder = diffusers.AutoencoderKL.from_pretrained(vae, subfolder="vae", dtype=torch.float32)
    side = decoder.config["sample_size"] // 2 ** (len(decoder.config["block_out_channels"]) - 1)
    channels = decoder.config["latent_channels"]
    unet = diffusers.UNet2DConditionModel(
        sample_size=side, in_channels=channels, out_channels=channels, block_out_channels=(64, 128), layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=4,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=WIDTH, norm_num_groups=16,
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )
    diffusers.StableDiffusionPipeline(
        decoder, text, tokenizer, unet, scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    ).save_pretrained(str(folder))  # fmt: skip


def only(data: RealData, wanted: list[int]) -> RealData:
    """Some classes of the data, by their names, numbered anew."""
    positions = torch.cat([data.train.where(index) for index in wanted])
    part = Subset(data.train, positions)
    part.classes = tuple(data.classes[index] for index in wanted)
    part.labels = torch.searchsorted(torch.tensor(wanted), part.labels)
    part.fingerprint += f", {len(wanted)} classes"
    return replace(data, train=part, test=None)


def rehearsed(data: RealData, new: int, times: int) -> RealData:
    """All classes, the new one in so many parts that each count as one: batches are balanced, so it comes that much oftener."""
    labels, where = data.train.labels.clone(), data.train.where(new)
    labels[where] = torch.where(
        torch.arange(len(where)) % times == 0, new, len(data.classes) - 1 + torch.arange(len(where)) % times
    )
    part = Subset(data.train, torch.arange(len(data.train)))
    part.classes, part.labels = (*data.classes, *[data.classes[new]] * (times - 1)), labels
    part.fingerprint += f", class {new} {times} times"
    return replace(data, train=part, test=None)


def named(prior: TextToImage, source: Parquet, judge: torch.nn.Module, ipc: int) -> dict[str, float]:
    """Share of each class's pictures, in percent, that the judge calls by the class they were asked for."""
    asked = replace(prior, prompts=Prompts(UNSEEN))
    recipe = Recipe(real=source, prior=asked, steering=(SAMPLER,), ipc=ipc, block=50)
    context = open_context(recipe, torch.device("cpu"), torch.float32, progress)
    made = distill(recipe, context=context).images
    with torch.no_grad():
        said = torch.cat([judge(made.pixels(part)).argmax(1) for part in torch.arange(len(made)).split(200)])
    right = {
        str(one): 100 * float((said == made.labels)[made.labels == i].float().mean())
        for i, one in enumerate(made.classes)
    }
    return {**right, "all": 100 * float((said == made.labels).float().mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--train", "--vae"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="cifar10")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--left-out", default="horse")
    parser.add_argument("--ipc", type=int, default=100)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("gendistill").setLevel(logging.INFO)
    source = Parquet(train=given.train, size=given.size)
    real = source.open()
    names = [one.name for one in real.classes]
    new = names.index(given.left_out)
    base, tuned, low_rank = given.out / "blank", given.out / "prior", given.out / "lora"
    if not (base / "model_index.json").exists():
        blank(base, given.vae)
    said = Prompts(LEARNED)
    known, whole = only(real, [i for i in range(len(names)) if i != new]), rehearsed(real, new, 6)
    seconds = {
        "prior": trained_for(TextToImage(str(base), prompts=said), known, tuned, PRIOR),
        "LoRA": trained_for(TextToImage(str(tuned), prompts=said), whole, low_rank, ADDED),
    }
    stand_in = Recipe(real=Validation(source), prior=TextToImage(str(tuned)), steering=(SAMPLER,))
    context = open_context(stand_in, torch.device("cpu"), torch.float32, progress)
    judge = trained.load(JUDGE, context)
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(str(tuned), dtype=torch.float32)
    pipe.load_lora_weights(str(low_rank))
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    found: dict[str, Mapping[str, Any]] = {
        "before": named(TextToImage(str(tuned)), source, judge, given.ipc),
        "after": named(TextToImage(pipe), source, judge, given.ipc),
    }
    others = [name for name in found["before"] if name not in ("all", names[new], str(real.classes[new]))]
    mean = {when: sum(rows[name] for name in others) / len(others) for when, rows in found.items()}
    held = context.real.test
    assert held is not None
    state = {
        "judge, accuracy on held-out real pictures": accuracy(judge, held(), torch.device("cpu")),
        "data": given.name, "classified as asked, %": found, "left out": given.left_out, "the other classes, mean": mean,
        "pictures a class": given.ipc, "seconds": seconds, "date": str(datetime.date.today()), "cores": os.cpu_count(),
        "versions": versions(),
    }  # fmt: skip
    write_json(RESULTS / f"text-prior-{given.name}.json", state)
    print(json.dumps(state, indent=2))


def trained_for(prior: TextToImage, data: RealData, folder: Path, settings: FineTuning) -> float | None:
    """Train, or go on; seconds it took in this process, None where it was finished."""
    if (folder / "README.md").exists():
        return None
    started = time.monotonic()
    finetune(prior, data, folder, settings, progress=progress, resume_from_checkpoint="latest")
    return round(time.monotonic() - started)


if __name__ == "__main__":
    main()
