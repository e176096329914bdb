"""Zero-shot classifiers are loaded or refused with advice, and take pixels in [0, 1] of any size."""

from __future__ import annotations

import logging

import pytest
import torch

from gendistill.nets.zero_shot import Clip, LoadedCLIP, ZeroShotClassifier, load_clip, zero_shot
from gendistill.toys import toy_context
from gendistill.types import Class, UserError
from tests.parts_under_test import save_clip, tiny_clip

CLASSES = (Class("golden_retriever"), Class("teapot"))


def test_weights_that_are_not_here_are_answered_with_what_to_do_offline():
    handlers = list(logging.getLogger().handlers)
    with pytest.raises(UserError, match="(?s)'ViT-B-32' with weights 'openai'.*no network.*HF_HOME"):
        load_clip("ViT-B-32", "openai")
    assert logging.getLogger().handlers == handlers, "a handler that repeats every line was left behind"


def test_an_unknown_model_is_refused():
    with pytest.raises(UserError, match="ViT-Z-1"):
        load_clip("ViT-Z-1", "openai")


@pytest.mark.parametrize("size", [8, 16, 40])
def test_pictures_of_any_size_and_channels_become_logits(size):
    net = zero_shot(LoadedCLIP(tiny_clip()), CLASSES, ("a photo of a {}.",), torch.device("cpu"))
    pixels = torch.rand(2, 1, size, size, requires_grad=True)
    logits = net(pixels)
    logits.sum().backward()
    assert logits.shape == (2, 2) and pixels.grad is not None and bool(pixels.grad.any())
    torch.testing.assert_close(net(pixels.detach().expand(-1, 3, -1, -1)), logits)
    seen = net.embed(pixels)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(seen @ net.prompts.T * net.clip.logit_scale.exp(), logits)


def test_prompts_are_averaged_over_templates():
    loaded, cpu = LoadedCLIP(tiny_clip()), torch.device("cpu")
    one, other, both = (
        zero_shot(loaded, CLASSES, t, cpu).prompts for t in (["a {}."], ["the {}."], ["a {}.", "the {}."])
    )
    torch.testing.assert_close(both, torch.nn.functional.normalize(one + other, dim=1))


def test_preprocessing_is_the_model_s_own():
    own = {"size": 16, "mean": (0.0,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear"}
    net = ZeroShotClassifier(tiny_clip(), torch.zeros(2, 16), own)
    assert (net.size, net.mode, net.mean.flatten().tolist(), net.std.flatten().tolist()) == (
        (16, 16), "bilinear", [0.0] * 3, [0.5] * 3,
    )  # fmt: skip


def test_the_given_model_stays_as_it_is():
    clip = tiny_clip()
    zero_shot(LoadedCLIP(clip), CLASSES, ("a {}.",), torch.device("cpu"))
    assert all(parameter.requires_grad for parameter in clip.parameters())


def test_names_that_are_the_same_are_named(caplog):
    zero_shot(LoadedCLIP(tiny_clip()), (Class("crane"), Class("crane")), ("a {}.",), torch.device("cpu"))
    assert "crane" in caplog.text


def test_what_is_kept_of_a_folder_follows_from_its_files(tmp_path):
    reference = Clip(save_clip(tmp_path))
    before = reference.identity(toy_context(tmp_path))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"other weights")
    assert reference.identity(toy_context(tmp_path)) != before
    assert Clip().identity(toy_context(tmp_path)) == repr(Clip())
