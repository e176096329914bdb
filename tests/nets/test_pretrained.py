"""Published classifiers answer for the data's classes, see pictures as their libraries show them, or are refused with advice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from timm.models import save_for_hf

from gendistill.context import Context
from gendistill.labelers.relabel import Relabel
from gendistill.nets import trained
from gendistill.nets.convnet import ConvNet
from gendistill.nets.loaded import Loaded
from gendistill.nets.pretrained import PretrainedNet, Sight
from gendistill.nets.timm_classifier import TimmClassifier
from gendistill.nets.trained import Trained, check_nets
from gendistill.nets.transformers_classifier import TransformersClassifier, sight_of
from gendistill.pictures import to_pil
from gendistill.toys import ToyData, toy_context
from gendistill.types import Class, UserError
from tests.nets.tiny_classifiers import (
    NAMES,
    taught,
    timm_folder,
    timm_net,
    transformers_folder,
    transformers_net,
)
from tests.parts_under_test import TEACHER

TENCH = (Class("parachute", "n03888257"), Class("tench", "n01440764"))
OTHERS = ("class 2", "something else", "class 0", "class 1")


@pytest.fixture
def context(tmp_path) -> Context:
    return toy_context(tmp_path / "store")


def checkpoint(path: Path) -> str:
    if path.suffix == ".pth":
        torch.save({"state_dict": timm_net().state_dict()}, path)
    else:
        save_file(timm_net().state_dict(), path)
    return str(path)


def made(kind, tmp_path):
    """A reference of each kind, whose network is that of `tiny_classifiers`."""
    if kind == "transformers":
        return TransformersClassifier(transformers_folder(tmp_path / "net"))
    if kind == "timm folder":
        return TimmClassifier(timm_folder(tmp_path / "net"), size=16)
    return TimmClassifier("test_resnet", checkpoint(tmp_path / f"net.{kind}"), classes=NAMES, size=16)


KINDS = ("transformers", "timm folder", "pth", "safetensors")


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_for_grey_pictures_of_another_size_and_lets_gradients_through(kind, tmp_path, context):
    state = torch.get_rng_state()
    net = trained.load(made(kind, tmp_path), context)
    assert torch.equal(torch.get_rng_state(), state), "the global random stream was used"
    assert not net.training and not any(one.requires_grad for one in net.parameters())
    pixels = torch.rand(2, 1, 8, 8, requires_grad=True)
    logits = net(pixels)
    logits.square().sum().backward()
    assert logits.shape == (2, 3) and pixels.grad is not None and bool((pixels.grad != 0).all())
    torch.testing.assert_close(net(pixels.detach().expand(-1, 3, -1, -1)), logits)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_timm_s_weights_are_those_of_the_file(kind, tmp_path, context):
    pixels = torch.rand(2, 3, 16, 16)
    net = trained.load(made(kind, tmp_path), context)
    torch.testing.assert_close(net(pixels), timm_net()((pixels - 0.5) / 0.5))
    expected = timm_net()
    features = expected.forward_head(expected.forward_features((pixels - 0.5) / 0.5), pre_logits=True)
    torch.testing.assert_close(net.features(pixels), features)  # pyright: ignore[reportCallIssue]


def test_a_picture_of_timm_s_own_size_is_shown_as_timm_shows_it():
    reference = TimmClassifier("test_vit.r160_in1k")
    net, sight = reference.build(weights=False)
    picture = torch.randint(256, (3, 160, 160), dtype=torch.uint8)
    config = timm.data.resolve_data_config({}, pretrained_cfg={**reference.config, "crop_pct": 1.0})
    shown = timm.data.create_transform(**config, is_training=False)(to_pil(picture))
    mine = PretrainedNet(net.eval(), sight, (0, 701), 1000)
    assert sight.size == (160, 160)
    with torch.no_grad():
        torch.testing.assert_close(mine(picture[None] / 255), net(shown[None])[:, [0, 701]], atol=1e-5, rtol=1e-4)


def test_transformers_answers_as_its_own_model_does(tmp_path, context):
    picture = torch.randint(256, (3, 16, 16), dtype=torch.uint8)
    net = trained.load(made("transformers", tmp_path), context)
    shown = transformers.ViTImageProcessor(size={"height": 16, "width": 16})(
        images=to_pil(picture), return_tensors="pt"
    )
    with torch.no_grad():
        torch.testing.assert_close(net(picture[None] / 255), transformers_net()(**shown).logits, atol=1e-5, rtol=1e-4)


PROCESSORS = {
    "ViT": lambda: transformers.ViTImageProcessor(size={"height": 20, "width": 20}),
    "CLIP": lambda: transformers.CLIPImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 20, "width": 20}),
    "EfficientNet": lambda: transformers.EfficientNetImageProcessor(
        size={"height": 20, "width": 20}, do_center_crop=False, include_top=True, rescale_offset=True, rescale_factor=1 / 127.5
    ),
    "MobileViT": lambda: transformers.MobileViTImageProcessor(
        size={"shortest_edge": 20}, crop_size={"height": 20, "width": 20}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_kind_of_processor_is_followed(name):
    """Some normalise twice, some turn the channels round; sizes are met by the same interpolation."""
    processor = PROCESSORS[name]()
    sight = sight_of(processor, name)
    assert sight.size == (20, 20)
    net = PretrainedNet(torch.nn.Flatten(), sight, range(3 * 20 * 20), 0)
    for side, steps in ((20, 0.01), (48, 1.5)):  # resized pictures are rounded to 8 bits there
        coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), (side, side), mode="bilinear")
        picture = (255 * coarse).round().to(torch.uint8)
        shown = processor(images=to_pil(picture[0]), return_tensors="pt")["pixel_values"]
        difference = (net(picture / 255) - shown.flatten(1)).view(3, -1).abs().amax(1)
        assert bool((difference <= steps / 255 / torch.tensor(sight.std).abs()).all())


def test_a_processor_that_mixes_colours_is_refused():
    def grey(images, return_tensors):
        return {"pixel_values": torch.tensor(np.array(images.convert("L"))).expand(1, 3, -1, -1) / 255}

    with pytest.raises(UserError, match="one by one"):
        sight_of(grey, "somebody's")


def test_data_in_another_order_than_the_network_s_are_answered_in_their_own(tmp_path, context):
    """The network has its classes in an order of its own, and one more; its weights know the pictures."""
    real = context.real.train
    shown = (torch.nn.functional.interpolate(real.pixels(range(len(real))), (16, 16), mode="bilinear") - 0.5) / 0.5
    labels = torch.tensor([OTHERS.index(NAMES[label]) for label in real.labels.tolist()])
    net = taught(transformers_net(OTHERS), shown.expand(-1, 3, -1, -1), labels)
    folder = transformers_folder(tmp_path / "net", net=net)
    with torch.no_grad():
        said = trained.load(TransformersClassifier(folder), context)(real.pixels(range(len(real)))).argmax(1)
    assert torch.equal(said, real.labels)
    wrong = ("class 0", "something else", "class 1", "class 2")
    with pytest.raises(UserError, match=r"(?s)has its classes in another order.*say what its outputs are by classes="):
        trained.load(TransformersClassifier(folder, classes=wrong), context)
    trained.load(
        TransformersClassifier(folder, classes=wrong), replace(context, dry=True)
    )  # a plan looks at no picture


def test_kinds_of_teachers_are_mixed_in_one_ensemble(tmp_path, context):
    teachers = (made("transformers", tmp_path), made("pth", tmp_path), TEACHER)
    labeler = Relabel(teachers, "probs")
    labeler.check(context.real)
    images = context.real.train
    said = labeler(images, context).at(torch.arange(4))
    each = [trained.load(one, context)(images.pixels(range(4))).softmax(1) for one in teachers]
    torch.testing.assert_close(said.exp(), torch.stack(each).mean(0))


def test_what_it_sees_is_asked_for_whatever_its_classes(tmp_path, context):
    pixels = torch.rand(2, 3, 16, 16)
    many = TimmClassifier(timm_folder(tmp_path / "many", [f"thing {row}" for row in range(7)], outputs=7), size=16)
    with pytest.raises(UserError, match="class 0"):
        trained.load(many, context)
    body = timm_net(7)
    torch.testing.assert_close(
        many.see(context)(pixels), body.forward_head(body.forward_features((pixels - 0.5) / 0.5), pre_logits=True)
    )
    bare = TimmClassifier(timm_folder(tmp_path / "bare", None, outputs=0), size=16)
    torch.testing.assert_close(bare.see(context)(pixels), timm_net(0)((pixels - 0.5) / 0.5))
    torch.testing.assert_close(Loaded(body).see(context)(pixels), body(pixels))


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_reads_no_weights(kind, tmp_path, context):
    reference = made(kind, tmp_path)
    for path in (*tmp_path.glob("net/*.safetensors"), *tmp_path.glob("net.*")):
        path.unlink()
    dry = replace(context, dry=True)
    size = sum(one.numel() for one in trained.load(reference, dry).parameters())
    assert size == sum(
        one.numel() for one in (transformers_net() if kind == "transformers" else timm_net()).parameters()
    )
    with pytest.raises(UserError):
        trained.load(reference, context)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_of_it_follows_from_its_files(kind, tmp_path, context):
    reference = made(kind, tmp_path)
    before = reference.identity(context)
    assert reference.identity(toy_context(tmp_path)) == before
    path = next(iter((*tmp_path.glob("net/*.safetensors"), *tmp_path.glob("net.*"))))
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\1\0")
    assert reference.identity(toy_context(tmp_path)) != before


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (
            TransformersClassifier("nobody/nothing"),
            r"no image classifier .*'nobody/nothing'|no checkpoint at 'nobody/nothing'",
        ),
        (TimmClassifier("test_resnet.r160_in1k"), "no checkpoint at 'timm/test_resnet.r160_in1k'"),
        (TimmClassifier("nobody/nothing@v2"), "no classifier of timm at 'nobody/nothing'"),
    ],
)
def test_what_is_not_here_is_answered_with_what_to_do(reference, says):
    with pytest.raises(UserError, match=rf"(?s)({says}).*Without a network, .*`hf download .* --local-dir FOLDER`"):
        reference.check(TENCH)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (TimmClassifier("restnet18"), "timm has no network called 'restnet18'; near: .*resnet18"),
        (TimmClassifier("test_resnet.nonsense"), "no weights 'nonsense' of test_resnet, but r160_in1k"),
        (TimmClassifier("vit_small_patch14_dinov2.lvd142m"), "has no classifier, it is a body alone"),
        (TimmClassifier("test_resnet", classes=("n01440764",)), "classes= names 1 outputs, and 'test_resnet' has 1000"),
        (TimmClassifier("test_resnet", classes="imagenet-2k"), "no subset of ImageNet called 'imagenet-2k'"),
        (TimmClassifier("test_resnet", "nowhere.pth"), "checkpoint='nowhere.pth' is not there"),
    ],
)
def test_timm_s_mistakes_are_found_before_any_work(reference, says):
    with pytest.raises(UserError, match=says):
        reference.check(TENCH)


@pytest.mark.parametrize("classes", [(), "imagenet-1k", "ImageNet_1K"])
def test_outputs_are_said_by_timm_or_by_the_name_of_a_subset(classes):
    assert TimmClassifier("test_resnet", classes=classes).columns(TENCH) == (701, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_missing_are_found_before_any_work(kind, tmp_path, context):
    reference = made(kind, tmp_path)
    reference.check(context.real.classes)
    for path in (*tmp_path.glob("net/*.safetensors"), *tmp_path.glob("net.*")):
        path.unlink()
    with pytest.raises(UserError, match="there are no weights at .*net'|checkpoint='.*' is not there"):
        reference.check(context.real.classes)


def test_classes_that_it_does_not_know_are_found_before_any_work():
    with pytest.raises(UserError, match=r"does not know class airplane; .*fine-tune it .*classes=\(\.\.\.\)"):
        trained.check(TimmClassifier("test_resnet"), [Class("airplane")])


def test_a_checkpoint_of_other_classes_needs_their_names(tmp_path, context):
    imagenet = TimmClassifier("test_resnet", checkpoint(tmp_path / "net.pth"))
    with pytest.raises(UserError, match=r"(?s)do not load: .*fc.weight.*say which by classes="):
        imagenet.build(weights=True)
    nameless = TimmClassifier(timm_folder(tmp_path / "net", names=None))
    with pytest.raises(UserError, match=r"does not say what its 3 outputs are: give classes="):
        trained.load(nameless, context)
    trained.load(replace(nameless, classes=NAMES, size=16), context)
    numbered = TransformersClassifier(transformers_folder(tmp_path / "other", ("LABEL_0", "LABEL_1", "LABEL_2")))
    with pytest.raises(UserError, match="does not say what its 3 outputs are"):
        numbered.check(context.real.classes)
    replace(numbered, classes=NAMES).check(context.real.classes)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path, context):
    (tmp_path / "bad.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match="do not load"):
        trained.load(TimmClassifier("test_resnet", str(tmp_path / "bad.pth"), classes=NAMES), context)


def test_a_network_without_a_trained_head_is_refused(tmp_path, context):
    body = transformers_folder(tmp_path / "net", net=transformers_net(body=True))
    with pytest.raises(UserError, match=r"no whole classifier: missing keys \['classifier.*fine-tuned to classify"):
        trained.load(TransformersClassifier(body), context)
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match="'bert', which classifies no pictures"):
        TransformersClassifier(str(tmp_path / "bert")).check(TENCH)


def test_channels_that_it_does_not_look_at_are_refused():
    net = PretrainedNet(torch.nn.Flatten(), Sight(None, "bicubic", (0.5,), (0.5,)), (0,), 0)
    with pytest.raises(UserError, match="looks at 1 channels, the pictures have 3; set channels=1"):
        net(torch.rand(1, 3, 4, 4))


def test_a_card_says_what_the_publisher_says(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "README.md").write_text(
        "---\nlicense: mit\ndatasets:\n- imagenet-1k\n- other/set\n---\nA net.\n"
    )
    known = {"source": str(tmp_path / "net"), "licence": "mit", "saw": "imagenet-1k, other/set"}
    folder = transformers_folder(tmp_path / "net")
    assert TransformersClassifier(folder).origin("cc0-1.0") == {"name": folder, **known}
    assert TransformersClassifier(folder, saw="mine").origin("cc0-1.0")["saw"] == "mine"
    save_for_hf(timm_net(), tmp_path / "net", safe_serialization=True)
    assert TimmClassifier(folder).origin("cc0-1.0") == {"name": f"{folder!r}, timm", **known}
    published = {"name": "'test_resnet', timm", "source": "timm/test_resnet.r160_in1k", "licence": "apache-2.0",
                 "saw": "imagenet-1k"}  # fmt: skip
    assert TimmClassifier("test_resnet").origin("cc0-1.0") == published
    assert TimmClassifier("test_resnet", "x.pth").origin("cc0-1.0") == {"name": "x.pth (test_resnet), timm"}


def test_published_networks_are_not_built_to_see_whether_pictures_pass(tmp_path, monkeypatch):
    """They bring their own size; architectures whose weights are trained here are built once."""
    labeler = Relabel((TimmClassifier(timm_folder(tmp_path)), Trained(ConvNet(depth=3))), average="logits")
    monkeypatch.setattr(TimmClassifier, "build", lambda *given: pytest.fail("it was built"))
    check_nets(labeler, ToyData().open())
    with pytest.raises(UserError, match="ConvNet-4 halves pictures 4 times; 8 px are too few"):
        check_nets(Relabel((Trained(ConvNet(depth=4)),), average="logits"), ToyData().open())
