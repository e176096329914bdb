"""Train a timm network on an exported set. With hard labels, timm's own train.py does it by `--dataset hfds/FOLDER`.

python examples/train_timm.py runs/demo/dataset --model resnet10t --labels soft --temperature 4
"""

from __future__ import annotations

import argparse
from typing import Any

import timm
import torch
from timm.data.dataset_factory import create_dataset
from torch.utils.data import DataLoader
from torchvision import transforms

from gendistill.config.overrides import read_value
from gendistill.learning.losses import SoftTargetLoss

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", help="the exported set: a folder or the name of a repository")
parser.add_argument("--real", default="Digits(size=16)", help="real data to test on, written as in a recipe")
parser.add_argument("--model", default="resnet10t", help="a name timm knows")
parser.add_argument("--labels", choices=["hard", "soft"], default="soft")
parser.add_argument("--temperature", type=float, default=1.0, help="of the soft labels; the card names the one meant")
parser.add_argument("--size", type=int, default=64, help="side the network sees")
parser.add_argument("--epochs", type=int, default=30)


def main() -> None:
    """Train, then print the accuracy of the last epoch."""
    args = parser.parse_args()
    torch.manual_seed(0)
    fit = transforms.Compose([transforms.Resize((args.size, args.size)), transforms.Normalize(0.5, 0.5)])
    look = transforms.Compose([transforms.ToTensor(), fit])
    extra: dict[str, Any] = {"additional_features": ["log_probs"]} if args.labels == "soft" else {}
    train: Any = create_dataset(f"hfds/{args.folder}", split="train", transform=look, input_img_mode="RGB", **extra)
    names = list(train.reader.class_to_idx)

    student = timm.create_model(args.model, num_classes=len(names))
    criterion = SoftTargetLoss(args.temperature)  # class indices pass through it as plain cross-entropy
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3)
    for _ in range(args.epochs):
        for images, labels, *soft in DataLoader(train, batch_size=64, shuffle=True):
            # The loader turns lists of numbers round: one tensor for each class, over the batch.
            targets = torch.stack(soft[0], 1).float() if soft else labels
            optimizer.zero_grad()
            criterion(student(images), targets).backward()
            optimizer.step()

    test = read_value(args.real).open().test()
    labels = torch.tensor([names.index(c.name) for c in test.classes])[test.labels]  # classes meet by name
    student.eval()
    with torch.no_grad():
        parts = torch.arange(len(test)).split(256)
        answers = torch.cat([student(fit(test.pixels(part).expand(-1, 3, -1, -1))).argmax(1) for part in parts])
    print(f"{args.labels} labels: {100 * (answers == labels).float().mean():.1f} % on {len(test)} test pictures")


if __name__ == "__main__":
    main()
