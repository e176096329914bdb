"""Every kind of image-to-text model describes pictures, loaded or from a folder, or is refused with what would do."""

from __future__ import annotations

import pytest
import torch
import transformers

from gendistill.config.overrides import read_value
from gendistill.nets.captioner import Captioner, LoadedCaptioner
from gendistill.pictures import to_pil
from gendistill.types import UserError
from tests.nets.tiny_captioners import BUILDERS, tiny

CPU = torch.device("cpu")


def captioner(name, **more):
    return Captioner(LoadedCaptioner(*tiny(name)), **{"max_new_tokens": 5, **more})


def pictures():
    """Noise of several colours."""
    stream = torch.Generator().manual_seed(1)
    shade = torch.rand(8, 3, 1, 1, generator=stream) * torch.rand(8, 3, 20, 20, generator=stream)
    return shade.mul(255).to(torch.uint8)


def said(given, stored=None):
    return given.describe(given.load(CPU), pictures() if stored is None else stored)


@pytest.mark.parametrize("name", BUILDERS)
def test_pictures_are_described_one_by_one(name):
    found = said(captioner(name))
    assert len(found) == 8 and len(set(found)) > 2
    assert said(captioner(name), pictures()[1:2]) == found[1:2]
    assert all(len(text.split()) <= 5 for text in found)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_folder_describes_as_what_was_saved(name, tmp_path):
    for part in tiny(name):
        if part is not None:
            part.save_pretrained(tmp_path)
    given = Captioner(str(tmp_path), max_new_tokens=5)
    given.check()
    assert said(given) == said(captioner(name))
    assert read_value(repr(given)) == given and read_value(repr(given)).fingerprint == given.fingerprint
    assert type(given.load(CPU, weights=False).model) is type(tiny(name)[0])
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert Captioner(str(tmp_path), max_new_tokens=5).fingerprint != given.fingerprint


def test_grey_pictures_too():
    assert len(said(captioner("blip"), pictures()[:, :1])) == 8


def test_what_chats_is_asked():
    assert said(captioner("llava", ask="a b c")) != said(captioner("llava"))
    assert captioner("llava", ask="a b c").fingerprint != captioner("llava").fingerprint


def test_the_question_is_no_part_of_the_caption():
    asked, plain = (said(captioner("blip", ask=ask)) for ask in ("a b c", ""))
    assert asked != plain and not any(text.startswith("a b c") for text in asked)
    model, processor, _ = tiny("blip")
    given = processor(images=to_pil(pictures()[0]), text="a b c", return_tensors="pt")
    whole = processor.tokenizer.decode(
        model.generate(**given, max_new_tokens=5, do_sample=False)[0], skip_special_tokens=True
    )
    assert whole == f"a b c {asked[0]}", "the model itself repeats it"


@pytest.mark.parametrize("name", BUILDERS)
def test_what_reads_and_speaks_otherwise_is_another_captioner(name):
    model, processor, tokens = tiny(name)
    one, same = LoadedCaptioner(model, processor, tokens), LoadedCaptioner(*tiny(name))
    assert one == same and one.fingerprint == same.fingerprint
    bright, renamed = tiny(name)[1:], tiny(name)[1:]
    getattr(bright[0], "image_processor", bright[0]).image_mean = [0.1, 0.1, 0.1]
    (renamed[1] or renamed[0].tokenizer).add_tokens(["zebra"])
    assert len({one.fingerprint, *(LoadedCaptioner(model, *other).fingerprint for other in (bright, renamed))}) == 3


def test_a_loaded_pipeline_is_taken():
    model, processor, _ = tiny("llava")
    pipe = transformers.pipeline("image-text-to-text", model=model, processor=processor)
    assert said(Captioner(pipe, max_new_tokens=5)) == said(captioner("llava"))


def test_what_describes_no_pictures_is_refused(tmp_path):
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="of the kind 'bert', which describes no pictures; BLIP"):
        Captioner(str(tmp_path)).check()
    for wrong in ({"source": 3}, {"max_new_tokens": 0}):
        with pytest.raises(UserError):
            Captioner(**wrong)
