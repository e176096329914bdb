"""A training that is killed with SIGKILL again and again, and one that is not; prints the hashes of both as JSON.

Run as a program: every attempt is a forked child, so that the slow imports happen once.
"""

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path

import torch

from gendistill.images import StoredImages
from gendistill.priors.train import train_prior
from gendistill.priors.train_gan import GanTraining, train_gan
from gendistill.priors.training import checkpoints
from gendistill.priors.training.settings import PriorTraining
from gendistill.system.store import fingerprint_file
from gendistill.types import Class

SETTINGS = PriorTraining(
    downsample=2,
    block_out_channels=(8, 8),
    latent_channels=2,
    vae_train_steps=12,
    vae_train_batch_size=8,
    patch_size=2,
    num_layers=2,
    hidden_size=16,
    attention_head_dim=8,
    max_train_steps=16,
    train_batch_size=8,
    gradient_accumulation_steps=2,
    learning_rate=1e-3,
    checkpointing_steps=3,
    checkpoints_total_limit=2,
    random_flip=True,
)

GAN = GanTraining(
    block_out_channels=(8, 8),
    noise_size=8,
    style_size=8,
    penalty_steps=2,
    max_train_steps=16,
    train_batch_size=8,
    learning_rate=1e-3,
    lr_scheduler="linear",
    checkpointing_steps=3,
    checkpoints_total_limit=2,
    random_flip=True,
)
STEPS = {"diffusion": (8, 7, 7), "gan": (5, 5, 4)}
LAST = {"diffusion": 8, "gan": 2}
"""After how many steps of an attempt the process is killed: further on every time, past the newest checkpoint."""
FAMILY = "gan" if "--gan" in sys.argv else "diffusion"


def train(folder: Path, **options) -> None:
    kind, settings = {"diffusion": (train_prior, SETTINGS), "gan": (train_gan, GAN)}[FAMILY]
    kind(pictures(), folder, settings, seed=5, **options)


def pictures(count: int = 23) -> StoredImages:
    """Small random pictures of three classes."""
    stored = torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return StoredImages([Class("zero"), Class("one"), Class("two")], torch.arange(count) % 3, stored)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_after(items: int):
    """Progress that kills the process after this many items of all stages together."""
    left = items

    def progress(every, what, total=None):
        nonlocal left
        for item in every:
            yield item
            left -= 1
            if left == 0:
                die()

    return progress


def in_child(folder: Path, **options) -> bool:
    """Whether the training ended by itself, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            train(folder, resume_from_checkpoint="latest", **options)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise SystemExit("an attempt failed")
    return not os.WIFSIGNALED(status)


def killed_while_saving(folder: Path) -> bool:
    """Kill the process when a checkpoint is written but not yet in place."""
    replace = checkpoints.os.replace
    checkpoints.os.replace = lambda source, target: die() if "checkpoint" in str(target) else replace(source, target)
    try:
        return in_child(folder)
    finally:
        checkpoints.os.replace = replace


def killed_by_the_clock(folder: Path, seconds: float) -> bool:
    """Kill the process after some time, wherever it is."""
    child = os.fork()
    if child == 0:
        threading.Timer(seconds, die).start()
        train(folder, resume_from_checkpoint="latest")
        os._exit(0)
    return not os.WIFSIGNALED(os.waitpid(child, 0)[1])


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): fingerprint_file(file)
        for file in sorted(folder.rglob("*.safetensors"))
        if "checkpoint" not in str(file)
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    whole, broken = folder / "whole", folder / "broken"
    ended = [in_child(whole)]
    killed = [not in_child(broken, progress=killed_after(2)), not killed_while_saving(broken)]
    killed += [not in_child(broken, progress=killed_after(items)) for items in STEPS[FAMILY]]
    killed += [not killed_while_saving(broken), not in_child(broken, progress=killed_after(LAST[FAMILY]))]
    dice = random.Random(0)
    for _ in range(3):
        killed_by_the_clock(broken, dice.uniform(0.05, 0.4))
    ended.append(in_child(broken))
    left = sorted(path.name for path in broken.iterdir())
    print(
        json.dumps({"whole": hashes(whole), "broken": hashes(broken), "killed": killed, "ended": ended, "left": left})
    )


if __name__ == "__main__":
    if "--once" in sys.argv:  # as torchrun starts it
        train(Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]))
