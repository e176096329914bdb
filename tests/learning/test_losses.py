"""The soft-label loss: by hand, in its limits, and in the hands of those who call it."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gendistill.learning.losses import SoftTargetLoss, divergence, soft_cross_entropy, trainer_loss


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Student logits and teacher log-probabilities, (7, 5)."""
    dice = torch.Generator().manual_seed(0)
    return torch.randn(7, 5, generator=dice), F.log_softmax(3 * torch.randn(7, 5, generator=dice), -1)


def test_by_hand() -> None:
    # Teacher (1/4, 3/4), student (1/2, 1/2): KL = 1/4 ln(1/2) + 3/4 ln(3/2). At T = 2 the teacher is softened to
    # (1, sqrt 3) / (1 + sqrt 3), the student stays even.
    log_probs, logits = torch.tensor([[0.25, 0.75]]).log(), torch.zeros(1, 2)
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert soft_cross_entropy(logits, log_probs).item() == pytest.approx(expected, abs=1e-6)
    a, b = 1 / (1 + math.sqrt(3)), math.sqrt(3) / (1 + math.sqrt(3))
    softened = 4 * (a * math.log(2 * a) + b * math.log(2 * b))
    assert soft_cross_entropy(logits, log_probs, temperature=2).item() == pytest.approx(softened, abs=1e-6)


def test_equals_the_formula_of_the_paper(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, log_probs = pair
    for temperature in (1.0, 4.0, 20.0):
        p, q = (log_probs / temperature).softmax(-1), (logits / temperature).softmax(-1)
        literal = temperature**2 * (p * (p / q).log()).sum(-1).mean()
        torch.testing.assert_close(soft_cross_entropy(logits, log_probs, temperature), literal, rtol=1e-4, atol=1e-6)


def test_probabilities_at_temperature_one_are_enough(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Raw teacher logits and their log-probabilities give the same loss at every temperature."""
    logits = pair[0].double()  # T² = 400 would show how single precision rounds
    teacher = 5 * torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    torch.testing.assert_close(divergence(logits, teacher, 20.0), divergence(logits, teacher.log_softmax(-1), 20.0))


def test_high_temperature_is_centred_logit_regression(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """T² KL -> |(z - mean z) - (t - mean t)|² / 2C as T grows."""
    logits, log_probs = (part.double() for part in pair)
    difference = (logits - logits.mean(-1, keepdim=True)) - (log_probs - log_probs.mean(-1, keepdim=True))
    limit = difference.square().sum(-1) / (2 * logits.shape[-1])
    torch.testing.assert_close(divergence(logits, log_probs, 1e4), limit, rtol=1e-3, atol=1e-6)


def test_one_hot_labels_are_hard_labels(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = pair[0].requires_grad_(), torch.arange(7) % 5
    log_probs = F.one_hot(labels, 5).float().log()  # 0 and -inf
    hard, soft = F.cross_entropy(logits, labels), soft_cross_entropy(logits, log_probs)
    torch.testing.assert_close(soft, hard)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (soft, hard)))


def test_zero_at_the_teacher_and_weights(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, log_probs = pair
    assert soft_cross_entropy(log_probs + 3, log_probs, 20.0).item() == pytest.approx(0, abs=1e-4)
    weight = torch.tensor([1.0, 0, 0, 0, 0, 0, 3])
    expected = (divergence(logits, log_probs)[0] + 3 * divergence(logits, log_probs)[6]) / 4
    torch.testing.assert_close(soft_cross_entropy(logits, log_probs, weight=weight), expected)


def test_wrong_shape_is_told(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"\(7, 4\) do not fit logits of shape \(7, 5\)"):
        soft_cross_entropy(pair[0], pair[1][:, :4])


def test_accumulated_batches_give_the_gradient_of_one(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """What the Trainer passes as num_items_in_batch counts every number of a soft label."""
    logits, log_probs = pair
    for labels in (log_probs, torch.arange(7) % 5):
        count = labels.ne(-100).sum()  # transformers.Trainer._get_num_items_in_batch
        parts = [trainer_loss({"logits": logits[s]}, labels[s], count) for s in (slice(0, 3), slice(3, 7))]
        torch.testing.assert_close(sum(parts), trainer_loss({"logits": logits}, labels))


def test_module_is_the_function(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, log_probs = pair
    criterion = SoftTargetLoss(20.0)
    assert repr(criterion) == "SoftTargetLoss(temperature=20.0)"
    torch.testing.assert_close(criterion(logits, log_probs), soft_cross_entropy(logits, log_probs, 20.0))
    torch.testing.assert_close(criterion(logits, torch.arange(7) % 5), F.cross_entropy(logits, torch.arange(7) % 5))


@pytest.mark.parametrize("soft", [True, False])
def test_a_trainer_takes_it(soft: bool, tmp_path) -> None:
    """Gradient accumulation over two batches of two equals one batch of four."""
    from transformers import Trainer, TrainingArguments

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(3, 5)

        def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.layer(pixel_values)}

    dice = torch.Generator().manual_seed(0)
    labels = [torch.randn(5, generator=dice).log_softmax(-1) if soft else torch.tensor(i) for i in range(4)]
    rows = [{"pixel_values": torch.randn(3, generator=dice), "labels": label} for label in labels]
    weights = []
    for batch, steps in ((4, 1), (2, 2)):
        arguments = TrainingArguments(
            str(tmp_path), per_device_train_batch_size=batch, gradient_accumulation_steps=steps, max_steps=1,
            learning_rate=0.1, remove_unused_columns=False, report_to="none", use_cpu=True, save_strategy="no",
            optim="sgd", disable_tqdm=True,
        )  # fmt: skip
        net = Net()
        Trainer(net, arguments, train_dataset=rows, compute_loss_func=partial(trainer_loss, temperature=2.0)).train()  # pyright: ignore
        weights.append(net.layer.weight.detach().clone())
    torch.testing.assert_close(*weights)
