"""Train a small network on an exported set with plain PyTorch, and test it on real pictures.

python examples/train_torch.py runs/demo/dataset --real 'Digits(size=16)' --labels soft --temperature 4
"""

from __future__ import annotations

import argparse

import torch
from datasets import Dataset, load_dataset
from torch import Tensor, nn
from torch.nn import functional as F

from gendistill.config.overrides import read_value
from gendistill.learning.losses import soft_cross_entropy

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", help="the exported set: a folder or the name of a repository")
parser.add_argument("--real", default="Digits(size=16)", help="real data to test on, written as in a recipe")
parser.add_argument("--labels", choices=["hard", "soft"], default="soft")
parser.add_argument("--temperature", type=float, default=1.0, help="of the soft labels; the card names the one meant")
parser.add_argument("--epochs", type=int, default=200)


def network(channels: int, classes: int, width: int = 64) -> nn.Sequential:
    """Three blocks of convolution, normalisation and pooling, then a linear layer."""
    blocks = []
    for inputs in (channels, width, width):
        blocks += [nn.Conv2d(inputs, width, 3, padding=1), nn.GroupNorm(width, width), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, classes))


def main() -> None:
    """Train, then print the accuracy of the last epoch."""
    args = parser.parse_args()
    torch.manual_seed(0)
    data: Dataset = load_dataset(args.folder, split="train").with_format("torch")  # pyright: ignore
    column, names = "log_probs" if args.labels == "soft" else "label", data.features["label"].names
    images, targets = torch.stack(list(data["image"])).float() / 255, torch.stack(list(data[column]))
    mean, std = images.mean((0, 2, 3), keepdim=True), images.std((0, 2, 3), keepdim=True)

    def loss_of(logits: Tensor, wanted: Tensor) -> Tensor:
        soft = args.labels == "soft"
        return soft_cross_entropy(logits, wanted, args.temperature) if soft else F.cross_entropy(logits, wanted)

    student = network(images.shape[1], len(names))
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    for _ in range(args.epochs):
        for part in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            loss_of(student((images[part] - mean) / std), targets[part]).backward()
            optimizer.step()
        schedule.step()

    test = read_value(args.real).open().test()
    labels = torch.tensor([names.index(c.name) for c in test.classes])[test.labels]  # classes meet by name
    with torch.no_grad():
        parts = torch.arange(len(test)).split(256)
        answers = torch.cat([student((test.pixels(part) - mean) / std).argmax(1) for part in parts])
    print(f"{args.labels} labels: {100 * (answers == labels).float().mean():.1f} % on {len(test)} test pictures")


if __name__ == "__main__":
    main()
