"""StyleGAN-XL has the tensors and makes the numbers of its authors' code, and its pickles are read without running them."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from gendistill import seeds
from gendistill.capabilities import Generates, LoadedPrior
from gendistill.images import StoredImages
from gendistill.priors.filters import downsample, filtered_rectifier, upsample
from gendistill.priors.inert_pickle import read
from gendistill.priors.repository import fill
from gendistill.priors.stylegan_xl import StyleganXL
from gendistill.priors.stylegan_xl_net import StyleganXlNet
from gendistill.system.store import cache_root
from gendistill.types import Class, RealData, UserError
from tests.priors.seeded_weights import drawn, stylegan_xl

CPU = torch.device("cpu")
PUBLISHED = json.loads((Path(__file__).parent / "fixtures" / "stylegan_xl.json").read_text(encoding="utf-8"))
NETS = tuple(name for name, entry in PUBLISHED.items() if isinstance(entry, dict))
TINY = tuple(name for name in NETS if "golden" in PUBLISHED[name])
CONFIG = PUBLISHED["tiny_t"]["config"]
IDS = torch.tensor([(0, 0, 0), (1, 0, 0), (1, 1, 0)])
LABELS = IDS[:, 0].clone()
TWO = (Class("a"), Class("b"))


def data(size=32, channels=3, classes=TWO):
    pixels = torch.zeros(len(classes), channels, size, size, dtype=torch.uint8)
    return RealData("black", StoredImages(classes, torch.arange(len(classes)), pixels), None)


def filled(name="tiny_t"):
    net = StyleganXlNet(PUBLISHED[name]["config"])
    net.load_state_dict(stylegan_xl(net.state_dict()))
    return net


def stored(folder, state, config=CONFIG):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "model.safetensors")
    return str(folder)


@pytest.fixture
def folder(tmp_path):
    return stored(tmp_path / "converted", filled().state_dict())


def load(source, **settings):
    return StyleganXL(source, rows=(2, 0), **settings).load(data(), CPU, torch.float32)


@pytest.mark.parametrize("name", NETS)
def test_has_every_tensor_of_the_authors_network_and_no_other(name):
    entry = PUBLISHED[name]
    with torch.device("meta"):
        ours = StyleganXlNet(entry["config"]).state_dict()
    assert {key: list(value.shape) for key, value in ours.items()} == entry["shapes"]


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("truncation", [1.0, 0.7])
def test_makes_the_numbers_of_the_authors_reference_operators(tmp_path, name, truncation):
    entry = PUBLISHED[name]
    golden = entry["golden"][str(truncation)]
    prior = load(stored(tmp_path / name, filled(name).state_dict(), entry["config"]), truncation=truncation)
    latents = prior.generate({"z": drawn("noise", (2, 4))}, torch.tensor([0, 1]))  # rows 2 and 0
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(prior.push(latents, "w")["w"].flatten(), torch.tensor(golden["style"]), **close)
    for index, expected in enumerate(golden["maps"]):
        maps = prior.push(latents, f"f{index}")[f"f{index}"]
        torch.testing.assert_close(torch.stack([maps.mean(), maps.std()]), torch.tensor(expected), **close)
    assert prior.spaces == ("z", "w", "w+", *(f"f{index}" for index in range(len(golden["maps"]))))
    picture = prior.decode(latents) * 2 - 1
    torch.testing.assert_close(torch.stack([picture.mean(), picture.std()]), torch.tensor(golden["picture"]), **close)
    for *place, value in golden["pixels"]:
        assert picture[tuple(place)].item() == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("truncation", [1.0, 0.7])
def test_a_picture_is_the_same_from_every_space(folder, truncation):
    prior = load(folder, truncation=truncation)
    assert isinstance(prior, Generates) and isinstance(prior, LoadedPrior)
    first = prior.generate(prior.noise(0, IDS), LABELS)
    picture, latents = prior.decode(first), first
    assert picture.shape == (3, 3, 32, 32) and picture.std((2, 3)).mean() > 0.01
    for space in prior.spaces:
        latents = prior.push(latents, space)
        assert space in latents
        torch.testing.assert_close(prior.decode(latents), picture, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(prior.push(first, space), latents, atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="cannot go back to 'w'"):
        prior.push(latents, "w")


def test_gradients_reach_every_latent_of_every_space(folder):
    prior = load(folder, truncation=0.7)
    latents = prior.generate(prior.noise(0, IDS), LABELS)
    for space in prior.spaces:
        latents = {name: value.detach().clone().requires_grad_() for name, value in prior.push(latents, space).items()}
        prior.decode(latents).square().sum().backward()
        for name, value in latents.items():
            assert value.grad is not None and value.grad.flatten(1).norm(dim=1).min() > 0, (space, name)
            if name == "w+":
                assert value.grad.norm(dim=2).min() > 0, "a style is carried that no layer asks for"


def test_pictures_do_not_depend_on_each_other(folder):
    prior = load(folder)
    alone = prior.decode(prior.generate(prior.noise(0, IDS[2:]), LABELS[2:]))
    together = prior.decode(prior.generate(prior.noise(0, IDS), LABELS))
    torch.testing.assert_close(alone, together[2:], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(together[1], together[2], atol=1e-2)


def test_runs_in_half_precision(folder):
    prior = StyleganXL(folder, rows=(2, 0)).load(data(), CPU, torch.bfloat16)
    latents = prior.generate(prior.noise(0, IDS), LABELS)
    assert prior.push(latents, "f3")["f3"].dtype == torch.float32, "latents stay float32"
    exact = load(folder).decode(latents)
    assert 0 < (prior.decode(latents) - exact).abs().mean() < 0.05 * exact.std()


def spread(x, factor):
    """Zeros between pixels, the step that our upsampling never takes."""
    wide = x.new_zeros(*x.shape[:2], x.shape[2] * factor, x.shape[3] * factor)
    wide[:, :, ::factor, ::factor] = x
    return wide


@pytest.mark.parametrize("padding", [(9, 8, 7, 10), (-3, 2, 5, -4)])
def test_filters_are_what_they_are_defined_to_be(padding):
    x, up, down = drawn("x", (2, 3, 9, 8)), drawn("up", (6,)), drawn("down", (4,))
    wide = F.pad(spread(x, 3), padding)
    square = torch.outer(up, up).flip(0, 1)[None, None].expand(3, 1, -1, -1)
    expected = F.conv2d(wide, square * 9, groups=3)
    torch.testing.assert_close(upsample(x, up, 3, padding), expected, atol=1e-4, rtol=1e-4)
    radial = drawn("radial", (4, 4))
    for taps, plane in ((down, torch.outer(down, down)), (radial, radial)):
        filtered = F.conv2d(x, plane.flip(0, 1)[None, None].expand(3, 1, -1, -1), groups=3)
        torch.testing.assert_close(downsample(x, taps, 2), filtered[:, :, ::2, ::2], atol=1e-4, rtol=1e-4)
    clipped = filtered_rectifier(10 * x, None, None, 1, 1, (0, 0, 0, 0), slope=0.5, gain=2, clamp=7)
    torch.testing.assert_close(clipped, torch.where(x > 0, 20 * x, 10 * x).clamp(-7, 7))


class Persistent:
    """An object as the authors store theirs: a function's name, the source of its class, and its state."""

    def __init__(self, name, source="", **state):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": name, "state": state}

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@pytest.fixture
def authors_package(monkeypatch):
    """Names that the authors' pickles refer to, none of which exists when they are read."""
    module = types.ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("called while reading")

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)


def as_stored(module, name, source, **said):
    """A module of ours as one of theirs; ``said`` are attributes of it and, by path, of those in it."""
    inner = {}
    for key, child in module.named_children():
        if isinstance(child, nn.Embedding):
            inner[key] = child  # a class of torch itself, which is stored as such
        else:
            of = {path.removeprefix(f"{key}."): value for path, value in said.items() if path.startswith(f"{key}.")}
            inner[key] = as_stored(child, type(child).__name__, source, **of)
    own = {path: value for path, value in said.items() if "." not in path}
    buffers = {key: None if value is None else value.clone() for key, value in module._buffers.items()}
    return Persistent(name, source, _parameters=dict(module._parameters), _buffers=buffers, _modules=inner, **own)


def pickled(path, net, config, source="", protocol=4, **beside):
    said = {
        "img_resolution": config["resolution"], "img_channels": config["channels"],
        "mapping.z_dim": config["z_dim"], "mapping.w_dim": config["w_dim"], "mapping.c_dim": config["num_classes"],
        "mapping.num_layers": config["mapping_layers"], "mapping.fc0.bias_gain": config["mapping_rate"],
        "synthesis.output_scale": config["output_scale"], "synthesis.layer_names": [layer["name"] for layer in config["layers"]],
        "synthesis.input.channels": config["input"]["channels"],
        "synthesis.input.size": np.broadcast_to(np.asarray(config["input"]["size"]), [2]),
        "synthesis.input.sampling_rate": np.float64(config["input"]["sampling_rate"]),
        "synthesis.input.bandwidth": np.float64(config["input"]["bandwidth"]),
        "synthesis.input._init_kwargs": {"size": config["input"]["size"]},
    }  # fmt: skip
    for layer in config["layers"]:
        names = {
            "is_torgb": "colours",
            "up_factor": "up",
            "down_factor": "down",
            "padding": "padding",
            "conv_clamp": "clamp",
        }
        said |= {f"synthesis.{layer['name']}.{theirs}": layer[ours] for theirs, ours in names.items()}
    generator = as_stored(net, "SuperresGenerator", source, **said)
    held = {"G": None, "D": nn.Sequential(nn.Conv2d(1, 1, 1)), "G_ema": generator, "augment_pipe": None, **beside}
    path.write_bytes(pickle.dumps(held, protocol=protocol))
    return str(path)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", TINY)
def test_a_pickle_is_converted_once_and_the_source_in_it_is_not_run(
    tmp_path, monkeypatch, authors_package, name, protocol
):
    monkeypatch.setenv("GENDISTILL_CACHE", str(tmp_path / "cache"))
    net, config, trace = filled(name), PUBLISHED[name]["config"], tmp_path / "it-ran"
    path = pickled(tmp_path / "imagenet32.pkl", net, config, f"open({str(trace)!r}, 'w')\nraise SystemExit", protocol)
    monkeypatch.delitem(sys.modules, "torch_utils")
    monkeypatch.delitem(sys.modules, "torch_utils.persistence")
    StyleganXL(path, rows=(2, 0)).check(data())
    (made,) = (cache_root() / "stylegan_xl").glob("*/model.safetensors")
    when = made.stat().st_mtime_ns
    prior, folder = load(path), made.parent
    assert made.stat().st_mtime_ns == when, "converted again"
    for key, value in net.state_dict().items():
        assert torch.equal(prior.net.state_dict()[key], value)
    assert json.loads((folder / "config.json").read_text()) | {"made_from": None} == {**config, "made_from": None}
    assert load(str(folder)).fingerprint == prior.fingerprint, "the converted folder is a source of its own"
    assert not trace.exists()


class Call:
    """Asks the reader of a pickle to call a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_pickles_with_code_in_them_are_refused_and_nothing_is_run(tmp_path, authors_package):
    trace = tmp_path / "it-ran"
    command = f"touch {trace}"
    asked = {
        f"{os.system.__module__}.system": Call(os.system, command),
        "builtins.eval": Call(eval, f"open({str(trace)!r}, 'w')"),
        "subprocess.Popen": Call(subprocess.Popen, command.split()),
    }
    for number, (name, payload) in enumerate(asked.items()):
        path = pickled(tmp_path / f"{number}.pkl", filled(), CONFIG, progress=payload)
        with pytest.raises(UserError, match=f"asks for {name}.*it was refused, and nothing in it was run"):
            read(Path(path))
    inner = io.BytesIO()
    torch.save(Call(os.system, command), inner)
    hidden = Call(torch.storage._load_from_bytes, inner.getvalue())  # a file within the file
    with pytest.raises(UserError, match="cannot be read as a pickle of a network"):
        read(Path(pickled(tmp_path / "hidden.pkl", filled(), CONFIG, progress=hidden)))
    assert not trace.exists()


def test_names_of_known_packages_stand_for_nothing(tmp_path, authors_package):
    held = [Call(torch.load, "somewhere"), Call(getattr, "text", "upper"), torch.ones(2), {"set": {1, 2}}]
    loaded, found, ones, plain = read(Path(pickled(tmp_path / "inert.pkl", filled(), CONFIG, progress=held)))[
        "progress"
    ]
    assert repr(loaded) == "<torch.serialization.load, inert>" and loaded.args == ("somewhere",)
    assert repr(found()) == "<builtins.getattr, inert>", "a call of what is inert is inert"
    assert torch.equal(ones, torch.ones(2)) and plain == {"set": {1, 2}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no pickle", "cannot be read as a pickle of a network"),
        (pickle.dumps({"G": 1}), r"has no averaged generator \(G_ema\)"),
        (pickle.dumps({"G_ema": nn.Linear(1, 1)}), "is no class-conditional StyleGAN-XL: it does not say 'mapping'"),
    ],
)
def test_other_pickles_are_refused(tmp_path, monkeypatch, content, message):
    monkeypatch.setenv("GENDISTILL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "other.pkl").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(str(tmp_path / "other.pkl"))


@pytest.mark.parametrize(
    ("of", "settings", "message"),
    [
        ({"size": 64}, {}, r"makes 32 x 32 pictures, the data is 64 x 64; set size=32"),
        ({"channels": 1}, {}, r"makes 3 channels, the data has 1"),
        ({}, {"rows": None}, r"does not name its classes; say which row stands for which"),
        ({}, {"rows": (0, 3)}, r"must hold one row in 0 .. 2 for each of the 2 classes"),
    ],
)
def test_what_does_not_fit_is_refused_before_weights_are_read(tmp_path, of, settings, message):
    folder = stored(tmp_path, {})
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=message):
        StyleganXL(folder, **{"rows": (0, 1), **settings}).check(data(**of))


def test_classes_of_imagenet_find_their_rows_by_wordnet_id(tmp_path):
    source = StyleganXL(stored(tmp_path, {}, {**CONFIG, "num_classes": 1000}))
    tench = data(classes=(Class("parachute", "n03888257"), Class("tench", "n01440764")))
    assert source._rows(tench, {**CONFIG, "num_classes": 1000}) == (701, 0)


def test_tensors_left_over_or_missing_are_refused(tmp_path):
    state = filled().state_dict()
    with pytest.raises(UserError, match=r"1 left over \(synthesis.L3.up_filter"):
        load(stored(tmp_path / "more", {**state, "synthesis.L3.up_filter": torch.zeros(4)}))
    less = {name: value for name, value in state.items() if name != "mapping.w_avg"}
    with pytest.raises(UserError, match=r"1 missing \(mapping.w_avg"):
        load(stored(tmp_path / "less", less))
    with pytest.raises(UserError, match=r"of another shape \(mapping.w_avg \(3, 8\), not \(4, 8\)"):
        fill(StyleganXlNet({**CONFIG, "num_classes": 4}), state, "it")
    with pytest.raises(UserError, match="does not describe a StyleGAN-XL: no resolution"):
        load(stored(tmp_path / "other", state, {"model_type": "bert"}))
    square = [{**layer, "up_filter": [4, 4]} for layer in CONFIG["layers"]]
    with pytest.raises(UserError, match=r"layer L0.* has a filter for upsampling of \[4, 4\] numbers"):
        StyleganXL(stored(tmp_path / "square", state, {**CONFIG, "layers": square})).check(data())


def test_a_source_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="there is no file .*imagenet128.pkl; download"):
        load(str(tmp_path / "imagenet128.pkl"))
    with pytest.raises(UserError, match="download https://somewhere/imagenet128.pkl first"):
        StyleganXL("https://somewhere/imagenet128.pkl")
    with pytest.raises(UserError, match="Without a network, give the folder of a downloaded copy"):
        load("someone/stylegan-xl")
    with pytest.raises(UserError, match="must be above 0 and at most 1"):
        StyleganXL("somewhere", truncation=0)


def test_noise_of_a_picture_follows_from_its_id(folder):
    noise = load(folder).noise(3, IDS)["z"]
    assert noise.shape == (3, 4)
    assert torch.equal(noise[1:2], seeds.normal(seeds.streams(IDS[1:2], 3, "noise"), (4,)))
