"""What matching methods save with torch.save is read as what it is, and what may be two things is refused."""

from __future__ import annotations

import warnings

import pytest
import torch

from gendistill.evaluation.sets.tensor_files import read_pt
from gendistill.images import StoredImages
from gendistill.toys import ToyData
from gendistill.types import RealData, UserError

REAL = ToyData().open()


@pytest.fixture
def images():
    return REAL.train.stored(range(0, 36, 6)), REAL.train.labels[::6]


def as_float(images):
    return images[0].float() / 255


@pytest.mark.parametrize(
    "held",
    [
        lambda images: {"images": as_float(images), "labels": images[1]},
        lambda images: (images[0], images[1]),
        lambda images: {"data": [[torch.zeros(6, 1, 8, 8), images[1]], [as_float(images), images[1]]]},
        lambda images: [as_float(images), torch.nn.functional.one_hot(images[1], 3).float()],
    ],
    ids=["dictionary", "pair of bytes", "list of experiments", "one-hot"],
)
def test_tensors_of_the_matching_methods(held, images, tmp_path):
    torch.save(held(images), tmp_path / "set.pt")
    made = read_pt(tmp_path / "set.pt", REAL)
    assert torch.equal(made.images.stored(range(6)), images[0]) and torch.equal(made.labels, images[1])


def test_normalised_tensors_are_put_back(images, tmp_path):
    pixels = REAL.train.pixels(range(36)).double()
    mean, std = pixels.mean(), pixels.std(correction=0)
    torch.save(((as_float(images) - mean) / std, images[1]), tmp_path / "set.pt")
    found = read_pt(tmp_path / "set.pt", REAL).images.stored(range(6))
    assert (found.int() - images[0].int()).abs().max() <= 1


def test_pictures_of_bytes_may_be_kept_as_any_numbers(images, tmp_path):
    for number, kind in enumerate((torch.float32, torch.int64)):
        torch.save((images[0].to(kind), images[1]), tmp_path / f"{number}.pt")
        assert torch.equal(read_pt(tmp_path / f"{number}.pt", REAL).images.stored(range(6)), images[0])


@pytest.mark.parametrize("beyond", [0.0, 0.03, 0.3])
def test_pictures_that_may_be_two_things_are_refused(beyond, images, tmp_path):
    bright = as_float(images) / as_float(images).max()
    torch.save(((2 + beyond) * bright - 1, images[1]), tmp_path / "set.pt")
    with pytest.raises(UserError, match=r"scaled to \[-1, 1\], normalised.*Save them in \[0, 1\]"):
        read_pt(tmp_path / "set.pt", REAL)


def test_where_both_things_are_the_same_pictures_there_is_nothing_to_ask(images, tmp_path):
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8)  # of mean and deviation 1/2
    real = RealData("black and white", StoredImages(REAL.classes[:2], torch.arange(2), ends), None)
    torch.save((2 * as_float(images) - 1, images[1].clamp_max(1)), tmp_path / "set.pt")
    found = read_pt(tmp_path / "set.pt", real).images.stored(range(6))
    assert (found.int() - images[0].int()).abs().max() <= 1


def test_how_much_of_learned_pictures_is_clipped_is_said(images, tmp_path, caplog):
    learned = as_float(images)
    learned[:3] = 1.5
    torch.save((learned, images[1]), tmp_path / "set.pt")
    made = read_pt(tmp_path / "set.pt", REAL)
    assert "50.0 % of the numbers" in caplog.text and bool((made.images.stored(range(3)) == 255).all())


def test_probabilities_are_soft_labels_and_other_numbers_are_refused(images, tmp_path):
    said = torch.full((6, 3), 0.2)
    said[range(6), images[1]] = 0.6
    torch.save((images[0], said), tmp_path / "set.pt")
    made = read_pt(tmp_path / "set.pt", REAL)
    assert made.soft.kind == "soft" and torch.allclose(made.soft.at(torch.arange(6)).exp(), said, atol=1e-6)
    assert torch.equal(made.labels, images[1])
    torch.save((images[0], 10 * said), tmp_path / "set.pt")
    with pytest.raises(UserError, match="no probabilities over 3 classes.*argmax"):
        read_pt(tmp_path / "set.pt", REAL)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({"pictures": torch.zeros(1)}, "'images' and 'labels'"),
        ((torch.zeros(2, 3, 8, 8), torch.zeros(2)), "shape"),
        ((torch.zeros(2, 1, 8, 8), torch.tensor([0, 7])), "no classes: 7; .* 0 to 2"),
        ((torch.zeros(2, 1, 8, 8), torch.tensor([0.5, 1.5])), "no classes: 0.5, 1.5;"),
        ((torch.zeros(2, 1, 8, 8), torch.tensor([1.0, float("nan")])), "no classes: nan"),
        ((torch.zeros(2, 1, 8, 8), torch.tensor([1.0, float("inf")])), "no classes: inf"),
        ((torch.zeros(2, 1, 8, 8), torch.tensor([1, -1])), "no classes: -1"),
        ((torch.zeros(0, 1, 8, 8), torch.zeros(0)), "no pictures"),
        ((torch.zeros(2, 1, 8, 8), torch.zeros(0)), r"labels of shape \(0,\) for 2 images"),
        ((torch.zeros(2, 1, 8, 8), torch.zeros(2, 0)), r"labels of shape \(2, 0\) .* of 3 classes"),
        ((torch.zeros(2, 1, 8, 8), torch.ones(2, 1)), r"labels of shape \(2, 1\)"),
        ((torch.zeros(2, 1, 8, 8), torch.tensor([[0.5, 0.5, 0], [1, float("nan"), 0]])), "picture 1 .* sum to nan"),
    ],
)
def test_what_cannot_be_read_is_said(held, says, tmp_path):
    torch.save(held, tmp_path / "set.pt")
    with pytest.raises(UserError, match=says):
        read_pt(tmp_path / "set.pt", REAL)


def test_a_pickle_with_code_is_refused(tmp_path):
    torch.save(StoredImages, tmp_path / "set.pt")
    with pytest.raises(UserError, match="tensors"):
        read_pt(tmp_path / "set.pt", REAL)


def test_a_file_without_a_byte_is_refused(tmp_path):
    (tmp_path / "set.pt").write_bytes(b"")
    with pytest.raises(UserError, match="does not load as tensors"):
        read_pt(tmp_path / "set.pt", REAL)


def test_tensors_that_were_being_learned_are_read_without_a_word(images, tmp_path):
    torch.save((as_float(images).requires_grad_(), images[1]), tmp_path / "set.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(read_pt(tmp_path / "set.pt", REAL).images.stored(range(6)), images[0])
