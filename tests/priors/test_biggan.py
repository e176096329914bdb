"""BigGAN-deep reads the public package's own files, makes its pictures, and shows every space on the way."""

from __future__ import annotations

import json
import math
import os
import pickle

import pytest
import torch
from torch import nn

from gendistill import seeds
from gendistill.capabilities import Generates, LoadedPrior
from gendistill.images import StoredImages
from gendistill.priors.biggan import BigGan
from gendistill.priors.biggan_net import BigGanNet, side, statistics
from gendistill.types import Class, RealData, UserError

CPU = torch.device("cpu")
CONFIG = {
    "output_dim": 32, "z_dim": 6, "class_embed_dim": 6, "channel_width": 4, "num_classes": 5, "eps": 1e-4, "n_stats": 51,
    "layers": [[False, 16, 16], [True, 16, 8], [True, 8, 4], [False, 4, 4], [True, 4, 2], [False, 2, 1]],
    "attention_layer_position": 3,
}  # fmt: skip
IDS = torch.tensor([(0, 0, 0), (1, 0, 0), (1, 1, 0)])
LABELS = IDS[:, 0].clone()
TWO = (Class("a"), Class("b"))


def data(size=32, channels=3, classes=TWO):
    pixels = torch.zeros(len(classes), channels, size, size, dtype=torch.uint8)
    return RealData("black", StoredImages(classes, torch.arange(len(classes)), pixels), None)


def filled(module):
    """Every parameter and buffer drawn anew: the package leaves some as memory was, and others at zero."""
    for name, value in module.state_dict().items():
        drawn = torch.randn(value.shape, generator=seeds.stream(name))
        if name.endswith(("running_vars", ".var")):
            value.copy_(0.2 + 0.2 * drawn.abs())  # so that maps keep their strength through the layers
        else:
            value.copy_(drawn if value.dim() > 1 or "gamma" in name else 0.1 * drawn)
    return module


def stored(folder, state, config=CONFIG, name=""):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}config.json").write_text(json.dumps(config))
    torch.save(state, folder / f"{name}pytorch_model.bin")
    return str(folder)


def original(net):
    """The tensors of a checkpoint with this network: weights with spectral vectors, statistics at 51 truncations."""
    state = {}
    for name, value in net.state_dict().items():
        spectral = name.endswith("weight") and value.dim() > 1 and not name.startswith("embeddings")
        if spectral:
            u, s, v = torch.linalg.svd(value.flatten(1), full_matrices=False)
            state |= {f"{name}_orig": value / s[0], f"{name}_u": u[:, 0], f"{name}_v": v[0]}
        elif name.endswith((".mean", ".var")):
            place, _, kind = name.rpartition(".")
            state[f"{place}.running_{kind}s"] = value.expand(51, -1).clone()
        else:
            state[name] = value
    return state


@pytest.fixture
def folder(tmp_path):
    return stored(tmp_path / "checkpoint", original(filled(BigGanNet(CONFIG))))


def load(source, **settings):
    return BigGan(source, rows=(3, 1), **settings).load(data(), CPU, torch.float32)


@pytest.mark.parametrize("truncation", [1.0, 0.4, 0.425, 0.58])
@pytest.mark.parametrize("given", ["files", "object"])
def test_makes_the_pictures_of_the_public_package(tmp_path, truncation, given):
    theirs = pytest.importorskip("pytorch_pretrained_biggan")
    net = filled(theirs.BigGAN(theirs.BigGANConfig.from_dict(CONFIG))).train()
    noise, rows = torch.randn(3, 6, generator=seeds.stream("z")), torch.tensor([3, 1, 1])
    with torch.no_grad():
        for _ in range(10):  # each forward in train mode brings the spectral vectors closer
            net(noise, nn.functional.one_hot(rows, 5).float(), 1.0)
        expected = net.eval()(noise, nn.functional.one_hot(rows, 5).float(), truncation)
    source = net if given == "object" else stored(tmp_path, net.state_dict(), net.config.to_dict(), "biggan-deep-32-")
    found = {}
    for peer in (True, False):
        prior = load(source, truncation=truncation, peer_interpolation=peer)
        found[peer] = prior.decode(prior.generate({"z": noise}, LABELS))
    assert expected.std((2, 3)).mean() > 0.02, "nothing to see in these pictures"
    torch.testing.assert_close(found[True], expected / 2 + 0.5, atol=1e-5, rtol=1e-5)
    on_the_grid = truncation in (1.0, 0.4)
    assert torch.allclose(found[True], found[False], atol=1e-5) == on_the_grid


def test_statistics_between_two_rows_are_nearer_to_the_nearer_one():
    table = torch.arange(51.0)[:, None]
    assert statistics(table, 0.43).item() == pytest.approx(21.5)
    assert statistics(table, 0.425).item() == pytest.approx(21.25)
    assert statistics(table, 0.425, peer_interpolation=True).item() == pytest.approx(21.75)
    assert statistics(table, 0.58).item() == pytest.approx(29)
    assert statistics(table, 0.58, peer_interpolation=True).item() == pytest.approx(28)  # 0.58 / 0.02 is just below 29
    assert statistics(table, 1.0).item() == statistics(table, 1.0, peer_interpolation=True).item() == 50


def test_a_picture_is_the_same_from_every_space(folder):
    prior = load(folder)
    assert isinstance(prior, Generates) and isinstance(prior, LoadedPrior)
    assert prior.spaces == ("z", "condition", *(f"f{index}" for index in range(8)))
    first = prior.generate(prior.noise(0, IDS), LABELS)
    picture, latents = prior.decode(first), first
    assert picture.shape == (3, 3, 32, 32) and 0 <= picture.min() and picture.max() <= 1 and picture.std() > 0.01
    for space in prior.spaces:
        latents = prior.push(latents, space)
        assert space in latents
        torch.testing.assert_close(prior.decode(latents), picture, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(prior.push(first, space), latents, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="'f7' cannot go back to 'z'"):
        prior.push(latents, "z")
    with pytest.raises(UserError, match="no space of this generator; there are z, condition, f0"):
        prior.push(first, "w")


def test_gradients_reach_every_latent_of_every_space(folder):
    prior = load(folder)
    latents = prior.generate(prior.noise(0, IDS), LABELS)
    for space in prior.spaces:
        latents = {name: value.detach().requires_grad_() for name, value in prior.push(latents, space).items()}
        prior.decode(latents).square().sum().backward()
        for name, value in latents.items():
            assert value.grad is not None and value.grad.flatten(1).norm(dim=1).min() > 0, (space, name)


def test_pictures_do_not_depend_on_each_other(folder):
    prior = load(folder, truncation=0.5)
    alone = prior.generate(prior.noise(0, IDS[2:]), LABELS[2:])
    together = prior.generate(prior.noise(0, IDS), LABELS)
    torch.testing.assert_close(prior.decode(alone), prior.decode(together)[2:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together["class"], prior.net.embeddings.weight.t()[[3, 1, 1]])


def test_noise_is_cut_at_two_deviations_and_scaled(folder):
    ids = torch.tensor([(0, slot, 0) for slot in range(2000)])
    noise = load(folder, truncation=0.5).noise(0, ids)["z"]
    assert 0.99 < noise.abs().max() <= 1
    expected = 0.5 * math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))
    assert noise.std().item() == pytest.approx(expected, rel=0.02)


def test_classes_of_imagenet_find_their_rows_by_wordnet_id(tmp_path):
    config = {**CONFIG, "num_classes": 1000}
    source = stored(tmp_path, {}, config)
    tench = data(classes=(Class("parachute", "n03888257"), Class("tench", "n01440764")))
    assert BigGan(source)._rows(tench, config) == (701, 0)
    BigGan(source).check(tench)
    with pytest.raises(UserError, match="does not know class zebra fish"):
        BigGan(source).check(data(classes=(Class("zebra fish"), Class("tench", "n01440764"))))


@pytest.mark.parametrize(
    ("of", "settings", "message"),
    [
        ({"size": 64}, {}, r"makes 32 x 32 pictures, the data is 64 x 64; set size=32"),
        ({"channels": 1}, {}, r"makes 3 channels, the data has 1"),
        ({}, {"rows": None}, r"does not name its classes; say which row stands for which"),
        ({}, {"rows": (0, 5)}, r"must hold one row in 0 .. 4 for each of the 2 classes"),
    ],
)
def test_what_does_not_fit_is_refused_before_weights_are_read(tmp_path, of, settings, message):
    folder = stored(tmp_path, {})
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match=message):
        BigGan(folder, **{"rows": (0, 1), **settings}).check(data(**of))


@pytest.mark.parametrize("truncation", [0.0, 1.01, -1.0])
def test_a_truncation_outside_its_range_is_refused(truncation):
    with pytest.raises(UserError, match="must be above 0 and at most 1"):
        BigGan("somewhere", truncation=truncation)


def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path):
    state = original(filled(BigGanNet(CONFIG)))
    less, more = dict(state), {**state, "generator.extra": torch.zeros(1)}
    less.pop("generator.gen_z.bias")
    with pytest.raises(UserError, match=r"1 left over \(generator.extra"):
        load(stored(tmp_path / "more", more))
    with pytest.raises(UserError, match=r"1 missing \(generator.gen_z.bias"):
        load(stored(tmp_path / "less", less))
    less.pop("generator.gen_z.weight_v")
    with pytest.raises(UserError, match="no spectral vectors for generator.gen_z.weight"):
        load(stored(tmp_path / "vectors", less))
    wide = {**CONFIG, "num_classes": 7}
    with pytest.raises(UserError, match=r"1 of another shape \(embeddings.weight \(6, 5\), not \(6, 7\)"):
        load(stored(tmp_path / "wide", state, wide))
    with pytest.raises(UserError, match="says 64 px, its layers make 32 px"):
        load(stored(tmp_path / "other", state, {**CONFIG, "output_dim": 64}))
    with pytest.raises(UserError, match="does not describe a BigGAN-deep: no z_dim"):
        load(stored(tmp_path / "no", state, {"model_type": "bert"}))


class Payload:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_checkpoint_with_code_in_it_is_refused_and_nothing_is_run(tmp_path):
    folder = stored(tmp_path / "bad", {})
    trace = tmp_path / "it-ran"
    (tmp_path / "bad" / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(f"touch {trace}"), protocol=2))
    with pytest.raises(UserError, match="is not a file of tensors and nothing else"):
        load(folder)
    assert not trace.exists()


def test_an_absent_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="Without a network, give the folder of a downloaded copy"):
        BigGan("someone/biggan-deep-128", rows=(0, 1)).check(data())
    with pytest.raises(UserError, match=r"one file called config.json or \*config.json was expected"):
        BigGan(str(tmp_path), rows=(0, 1)).check(data())


def test_says_what_it_is(folder):
    assert repr(BigGan("org/net", truncation=0.4)) == "BigGan('org/net', truncation=0.4)"
    assert BigGan("org/net") == BigGan("org/net") and side(CONFIG) == 32
    assert load(folder).fingerprint == load(folder).fingerprint != load(folder, truncation=0.9).fingerprint
