"""A small generator: pictures from every space, what its latents reach, how it is loaded, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gendistill.images import StoredImages
from gendistill.priors.discriminator import Discriminator
from gendistill.priors.gan import Gan
from gendistill.priors.style_generator import StyledConvolution, StyleGenerator
from gendistill.types import Class, RealData, UserError

CPU = torch.device("cpu")
NAMES = ("cat", "dog", "owl")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def generator(names=NAMES, wnids=None, side=8, channels=1) -> StyleGenerator:
    """A tiny one with fresh weights; smallest side 4, or 7 of 28."""
    torch.manual_seed(0)
    widths = (4,) * (3 if side in (16, 28) else 2)
    return StyleGenerator(
        resolution=side, channels=channels, num_classes=3, block_out_channels=widths, noise_size=5, style_size=6,
        id2label={str(row): name for row, name in enumerate(names)}, id2wnid=wnids,
    )  # fmt: skip


def data(names=NAMES, wnids=(None,) * 3, side=8, channels=1) -> RealData:
    stored = torch.randint(
        0, 256, (6, channels, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    classes = [Class(name, wnid) for name, wnid in zip(names, wnids, strict=True)]
    images = StoredImages(classes, torch.arange(6) % 3, stored)
    return RealData("animals", images, lambda: images)


def begun(prior, count=4):
    ids = torch.tensor([(row % 3, row, 0) for row in range(count)])
    return prior.generate(prior.noise(0, ids), ids[:, 0])


@pytest.fixture
def prior():
    return Gan(generator()).load(data(), CPU, torch.float32)


@pytest.fixture
def folder(tmp_path) -> Path:
    generator().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("side", [8, 16, 28])
def test_pictures_are_the_same_from_every_space(side):
    prior = Gan(generator(side=side)).load(data(side=side), CPU, torch.float32)
    assert prior.spaces[-1] == f"f{side}" and prior.spaces[:3] == ("z", "w", "w+")
    start = begun(prior)
    pixels = prior.decode(start)
    assert pixels.shape == (4, 1, side, side) and pixels.std() > 0.01
    for place, space in enumerate(prior.spaces):
        there = prior.push(start, space)
        assert space in there
        torch.testing.assert_close(prior.decode(there), pixels, atol=1e-5, rtol=0)
        for later in prior.spaces[place:]:
            torch.testing.assert_close(prior.push(there, later), prior.push(start, later), atol=1e-5, rtol=0)


def test_a_gradient_reaches_every_part_in_every_space(prior):
    for space in prior.spaces:
        latents = {name: value.clone().requires_grad_() for name, value in prior.push(begun(prior), space).items()}
        prior.decode(latents).square().sum().backward()
        for name, value in latents.items():
            rows = value.grad.flatten(1).abs().sum(1)  # pyright: ignore
            assert bool((rows > 0).all()), f"{name} of {space} moves nothing"
        if "w+" in latents:
            moved = latents["w+"].grad.abs().sum((0, 2))  # pyright: ignore
            assert bool((moved > 0).all()), f"{space} holds styles that nothing asks for"


def test_a_picture_is_its_own_in_any_batch_and_mode(prior):
    start = begun(prior)
    alone = prior.decode({name: value[1:2] for name, value in start.items()})
    torch.testing.assert_close(prior.decode(start)[1:2], alone, atol=1e-6, rtol=0)
    z, rows = start["z"], torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(prior.net.train()(z, rows), prior.net.eval()(z, rows))
    torch.testing.assert_close(prior.net(z, rows), prior.decode(start))


def test_modulation_is_a_kernel_for_every_picture():
    torch.manual_seed(0)
    layer = StyledConvolution(3, 5, 4)
    x, style = torch.randn(2, 3, 6, 6), torch.randn(2, 4)
    found = layer(x, style)
    for row in range(2):
        kernel = layer.weight * layer.scale(style[row])[None, :, None, None]  # StyleGAN2, Eq. 1
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()  # Eq. 3
        wanted = torch.nn.functional.conv2d(x[row : row + 1], kernel, padding=1)
        wanted = torch.nn.functional.leaky_relu(wanted, 0.2) * 2**0.5
        torch.testing.assert_close(found[row : row + 1], wanted)


def test_a_discriminator_is_told_the_class_and_compares_neighbours_alone():
    torch.manual_seed(0)
    net = Discriminator(resolution=8, channels=1, num_classes=3, block_out_channels=(4, 4), group=4)
    pixels = torch.rand(8, 1, 8, 8)
    zero, one = net(pixels, torch.zeros(8, dtype=torch.long)), net(pixels, torch.ones(8, dtype=torch.long))
    assert zero.shape == (8,) and not torch.allclose(zero, one)
    torch.testing.assert_close(net(pixels[4:], torch.ones(4, dtype=torch.long)), one[4:])
    assert not torch.allclose(net(pixels[2:3], torch.tensor([1])), one[2:3]), "how much neighbours differ plays no part"


def test_noise_is_a_stream_per_picture(prior):
    ids = torch.tensor([[0, 0, 0], [1, 4, 0]])
    assert torch.equal(prior.noise(3, ids)["z"][1:], prior.noise(3, ids[1:])["z"])
    assert not torch.equal(prior.noise(3, ids)["z"], prior.noise(4, ids)["z"])


def test_a_folder_and_an_object_load_alike_and_save_writes_the_same(folder, tmp_path, prior):
    loaded = Gan(str(folder)).load(data(), CPU, torch.float32)
    assert loaded.fingerprint == prior.fingerprint
    prior.save(tmp_path / "again")
    assert Gan(str(tmp_path / "again")).load(data(), CPU, torch.float32).fingerprint == prior.fingerprint
    given = generator().train()
    assert Gan(given).load(data(), CPU, torch.bfloat16).decode(begun(prior)).dtype == torch.float32
    assert given.training and next(given.parameters()).dtype == torch.float32, "the given object was changed"
    assert Gan(given) == Gan(given) and "StyleGenerator" in repr(Gan(given)) and repr(Gan("x")) == "Gan('x')"


def test_rows_go_by_name_or_wordnet_id_never_by_position():
    turned = Gan(generator()).load(data(names=("owl", "cat", "dog")), CPU, torch.float32)
    assert turned.rows.tolist() == [2, 0, 1]
    wnids = {"0": "n1", "1": "n2", "2": "n3"}
    by_id = Gan(generator(names=("a", "b", "c"), wnids=wnids))
    assert by_id.load(data(wnids=("n3", "n1", "n2")), CPU, torch.float32).rows.tolist() == [2, 0, 1]
    assert Gan(generator(), rows=(1, 1, 0)).load(data(), CPU, torch.float32).rows.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"side": 16}, "makes 8 x 8 pictures, the data is 16 x 16; set size=8"),
        ({"channels": 3}, "makes 1 channels, the data has 3"),
        ({"names": ("cat", "dog", "cow")}, "does not know class cow"),
    ],
)
def test_data_that_do_not_fit_are_refused_by_the_config_alone(changed, says, folder):
    (folder / WEIGHTS).unlink()
    with pytest.raises(UserError, match=says):
        Gan(str(folder)).check(data(**changed))


def test_what_is_no_generator_is_refused(tmp_path):
    with pytest.raises(UserError, match="no generator at .*Without a network"):
        Gan(str(tmp_path / "nothing")).check(data())
    Discriminator(resolution=8, block_out_channels=(4, 4)).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="holds Discriminator"):
        Gan(str(tmp_path / "other")).check(data())
    with pytest.raises(UserError, match="a loaded StyleGenerator"):
        Gan(torch.nn.Linear(1, 1))
    with pytest.raises(UserError, match=r"one row in 0 \.\. 2"):
        Gan(generator(), rows=(0, 1, 3)).check(data())


def test_weights_that_do_not_fit_are_refused_to_the_last_key(folder):
    state = load_file(folder / WEIGHTS)
    save_file({**state, "more": torch.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(UserError, match="unexpected keys"):
        Gan(str(folder)).load(data(), CPU, torch.float32)
    save_file({name: value for name, value in state.items() if name != "start"}, folder / WEIGHTS)
    with pytest.raises(UserError, match="missing keys"):
        Gan(str(folder)).load(data(), CPU, torch.float32)
    save_file(state, folder / WEIGHTS)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "style_size": 7}))
    with pytest.raises(UserError, match="does not (load|fit)"):
        Gan(str(folder)).load(data(), CPU, torch.float32)


def test_spaces_run_one_way(prior):
    far = prior.push(begun(prior), "f8")
    with pytest.raises(UserError, match="one way"):
        prior.push(far, "w")
    with pytest.raises(UserError, match="there are z, w, w\\+, f4, f8"):
        prior.push(far, "f9")
