"""What is kept of a label is a label, costs what is said, and kept again stays what it is."""

from __future__ import annotations

import math

import pytest
import torch

from gendistill.labelers.codecs.base import size
from gendistill.labelers.codecs.eight_bit import EightBit
from gendistill.labelers.codecs.floats import Half, Single
from gendistill.labelers.codecs.top_k import TopK
from gendistill.learning.losses import divergence
from gendistill.types import UserError

EVERY = [
    Single(), Half(), EightBit(), EightBit(span=4.0), TopK(3), TopK(3, spread=True), TopK(4, EightBit()), TopK(500),
    TopK(4, EightBit(), spread=True), TopK(4, Single(), spread=True),
]  # fmt: skip
BY_HAND = torch.tensor([[0.06, 0.5, 0.1, 0.3, 0.04]]).log()


def labels(classes, n=64):
    """From nearly even to nearly certain."""
    dice = torch.Generator().manual_seed(classes)
    sharpness = torch.logspace(-3, 1.5, n).unsqueeze(1)
    return (sharpness * torch.randn(n, classes, generator=dice)).log_softmax(1)


@pytest.mark.parametrize("classes", [2, 10, 300])
@pytest.mark.parametrize("codec", EVERY, ids=repr)
def test_what_is_read_back_is_a_label_of_the_stated_size_that_can_be_kept_again(codec, classes):
    rows = codec.encode(labels(classes))
    assert size(rows) == 64 * codec.bytes(classes) and all(len(tensor) == 64 for tensor in rows.values())
    found = codec.decode(rows, classes)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(64))
    # Halves are rounded about what normalisation left, so they may move by their own rounding; steps may not.
    again = codec.decode(codec.encode(found), classes)
    torch.testing.assert_close(again, found, **({"rtol": 1e-3, "atol": 1e-3} if "Half" in repr(codec) else {}))


@pytest.mark.parametrize("codec", [EightBit(), EightBit(span=4.0), TopK(4, EightBit())], ids=repr)
def test_numbers_kept_again_are_the_same(codec):
    rows = codec.encode(labels(10))
    again = codec.encode(codec.decode(rows, 10))
    assert all(torch.equal(again[name], tensor) for name, tensor in rows.items())


@pytest.mark.parametrize("span", [4.0, 40.0])
def test_eight_bits_are_half_a_step_off_at_most_down_to_their_span(span):
    wanted, codec = labels(100), EightBit(span)
    rows = codec.encode(wanted)
    found = codec.decode(rows, 100)
    below, told = ((of.amax(1, keepdim=True) - of) for of in (wanted, found))
    step = rows["step"].float().unsqueeze(1)
    near = below <= span
    assert bool(((told - below).abs() <= step / 2 + 1e-4)[near].all())
    assert bool(((told - span).abs() <= step)[~near].all()) and (span == 40.0 or bool((~near).any()))
    assert float(step.max()) < span / 255 * 1.001


def test_eight_bits_keep_a_label_that_is_certain_or_even():
    certain = torch.tensor([[0.0, -math.inf, -math.inf]])
    for wanted in (certain, torch.zeros(1, 3).log_softmax(1)):
        torch.testing.assert_close(EightBit().decode(EightBit().encode(wanted), 3).exp(), wanted.exp())


def test_marginal_smoothing_by_hand():
    # 0.5 and 0.3 are kept; the 0.2 that is left goes to three classes.
    found = TopK(2, Single(), spread=True)
    torch.testing.assert_close(
        found.decode(found.encode(BY_HAND), 5).exp(), torch.tensor([[0.2 / 3, 0.5, 0.2 / 3, 0.3, 0.2 / 3]])
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_what_is_spread_has_together_what_it_had_at_its_temperature(temperature):
    found = TopK(2, Single(), spread=True, temperature=temperature)
    kept, softened = ((label / temperature).softmax(1) for label in (found.decode(found.encode(BY_HAND), 5), BY_HAND))
    torch.testing.assert_close(kept[:, [1, 3]], softened[:, [1, 3]])
    assert float(kept[0, [0, 2, 4]].std()) < 1e-6


def test_marginal_renormalisation_by_hand():
    found = TopK(2, Single())
    kept = found.decode(found.encode(BY_HAND), 5)
    torch.testing.assert_close(kept.exp(), torch.tensor([[0.0, 5 / 8, 0.0, 3 / 8, 0.0]]))
    # At T = 20 the two kept are softened among themselves, and what was dropped stays dropped.
    softened = (kept / 20).softmax(1)
    pair = torch.tensor([0.5, 0.3]).pow(1 / 20)
    torch.testing.assert_close(softened[0, [1, 3]], pair / pair.sum())
    assert float(softened[0, [0, 2, 4]].sum()) == 0
    logits = torch.zeros(1, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(divergence(logits, kept, 20.0).sum(), logits)
    assert bool(gradient.isfinite().all())


def test_of_equals_the_lower_classes_are_kept():
    assert TopK(2).encode(torch.zeros(1, 4).log_softmax(1))["classes"].tolist() == [[0, 1]]


def test_classes_are_numbered_by_the_smallest_type():
    for classes, kind in ((256, torch.uint8), (257, torch.int16), (1 << 15, torch.int16), (40_000, torch.int32)):
        even = torch.zeros(1, classes)
        even[0, -1] = 1
        rows = TopK(1).encode(even.log_softmax(1))
        assert rows["classes"].dtype == kind and int(rows["classes"]) == classes - 1


def test_published_sizes():
    # ImageNet-1K: 2 kB a view in half precision; LPQLD's MR-100 is 4 bytes a class kept (its record has 10 more for the view).
    assert Half().bytes(1000) == 2000 and TopK(100).bytes(1000) == 400 and TopK(10).bytes(1000) == 40
    assert EightBit().bytes(1000) == 1002
    assert TopK(100, EightBit(), spread=True).bytes(1000) == 100 * (2 + 1) + 1 + 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TopK(0), "at least one class"),
        (lambda: TopK(3, TopK(2)), "keep some classes"),
        (lambda: TopK(3, temperature=0.0), "above 0"),
        (lambda: EightBit(span=0.1), "1 to 1000 nats"),
    ],
)
def test_settings_that_keep_nothing_are_refused(make, says):
    with pytest.raises(UserError, match=says):
        make()
