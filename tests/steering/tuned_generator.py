"""A small generator tuned against its discriminator and towards objectives; run as a program, by all processes of ``torchrun``."""

import sys
from pathlib import Path

import torch

from gendistill.nets.convnet import ConvNet
from gendistill.nets.sampling import Warming
from gendistill.objectives.cross_entropy import CrossEntropy
from gendistill.objectives.logit_matching import LogitMatching
from gendistill.priors.small_gan import SmallGan
from gendistill.steering.tune_generator import TuneGenerator
from gendistill.toys import ToyData, toy_context
from tests.parts_under_test import QUICK


class FreshGan(SmallGan):
    """A style generator and its discriminator as they are before training."""

    def prepare(self, context):
        return self

    def load(self, data, device, dtype):
        return self.sketch(data, device, dtype)


FRESH = FreshGan(block_out_channels=(8, 8), noise_size=4, style_size=8, train_batch_size=8, max_train_steps=1)
LOGITS = LogitMatching(
    Warming((ConvNet(2, 4), ConvNet(1, 8)), steps=2, every=3, batch=4, lr=0.1), batch=3, augment=None
)
SHORT = TuneGenerator(
    objectives=(LOGITS, CrossEntropy((QUICK,), weight=0.1)),
    max_train_steps=7,
    batch=24,
    learning_rate=1e-3,
    penalty_steps=2,
    ema_decay=0.5,
    checkpointing_steps=2,
)


def context_of(folder: Path, prior=FRESH):
    """Three classes of toy pictures, and a generator of them."""
    return toy_context(folder, (0, 1, 2), data=ToyData(), prior=prior)


if __name__ == "__main__":
    torch.set_num_threads(1)
    context = context_of(Path(sys.argv[1]))
    made, found = SHORT.tune(context), SHORT.tune(context)
    assert made.fingerprint == found.fingerprint
