"""Train a transformers image classifier on an exported set with the Trainer, with soft or hard labels.

python examples/train_transformers.py runs/demo/dataset --labels soft --temperature 4
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from datasets import Dataset, load_dataset
from torch import Tensor
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

from gendistill.config.overrides import read_value
from gendistill.learning.losses import trainer_loss

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", help="the exported set: a folder or the name of a repository")
parser.add_argument("--real", default="Digits(size=16)", help="real data to test on, written as in a recipe")
parser.add_argument("--labels", choices=["hard", "soft"], default="soft")
parser.add_argument("--temperature", type=float, default=1.0, help="of the soft labels; the card names the one meant")
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--output_dir", default="runs/student")


def main() -> None:
    """Train, then print the accuracy of the last epoch."""
    args = parser.parse_args()
    train: Dataset = load_dataset(args.folder, split="train").with_format("torch")  # pyright: ignore
    column, names = "log_probs" if args.labels == "soft" else "label", train.features["label"].names

    def collate(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        pixels = torch.stack([row["image"] for row in rows]).float() / 255
        return {"pixel_values": (pixels - 0.5) / 0.5, "labels": torch.stack([row[column] for row in rows])}

    test = read_value(args.real).open().test()
    config = ResNetConfig(
        num_channels=test.shape[0],
        embedding_size=32,
        hidden_sizes=[32, 64],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(names)),
    )
    arguments = TrainingArguments(
        args.output_dir,
        num_train_epochs=args.epochs,
        per_device_train_batch_size=64,
        learning_rate=3e-3,
        lr_scheduler_type="cosine",
        remove_unused_columns=False,  # it would drop the pictures, which no model calls "image"
        save_strategy="no",
        report_to="none",
    )
    student = ResNetForImageClassification(config)
    loss = partial(trainer_loss, temperature=args.temperature)
    Trainer(student, arguments, train_dataset=train, data_collator=collate, compute_loss_func=loss).train()

    student.eval().cpu()
    labels = torch.tensor([names.index(c.name) for c in test.classes])[test.labels]  # classes meet by name
    with torch.no_grad():
        parts = torch.arange(len(test)).split(256)
        answers = torch.cat([student((test.pixels(part) - 0.5) / 0.5).logits.argmax(1) for part in parts])
    print(f"{args.labels} labels: {100 * (answers == labels).float().mean():.1f} % on {len(test)} test pictures")


if __name__ == "__main__":
    main()
