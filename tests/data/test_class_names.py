"""Names of classes stand for what they say, or are refused with what may have been meant; there is no picture behind them."""

from __future__ import annotations

import pytest

from gendistill.anchors.modes import Modes
from gendistill.config.overrides import read_value
from gendistill.data.catalogue import subset_classes
from gendistill.data.class_names import ClassNames
from gendistill.labelers.relabel import Relabel
from gendistill.nets.trained import Trained
from gendistill.objectives.mode_pull import ModePull
from gendistill.priors.small_diffusion import SmallDiffusion
from gendistill.recipe import Recipe
from gendistill.running.distill import check_data
from gendistill.steering.finetune import FineTune
from gendistill.steering.guide import Guide
from gendistill.steering.sample import Sample
from gendistill.steering.select_confident import SelectConfident
from gendistill.steering.start import Start
from gendistill.toys import Toy
from gendistill.types import Class, UserError


def test_a_subset_is_its_classes_without_their_pictures():
    data = ClassNames(subset="imagewoof", size=32).open()
    assert data.classes == subset_classes("imagewoof") and data.test is None
    assert (len(data.train), data.train.shape) == (0, (3, 32, 32))
    assert data.train.stored([]).shape == (0, 3, 32, 32)
    other = ClassNames(subset="imagenette", size=32).open()
    assert data.train.fingerprint == ClassNames(subset="imagewoof", size=32).open().train.fingerprint
    assert data.train.fingerprint != other.train.fingerprint


def test_some_classes_of_a_subset():
    assert ClassNames(("beagle",), subset="imagewoof").chosen() == (Class("beagle", "n02088364"),)


def test_names_wordnet_ids_and_words_as_they_stand():
    found = ClassNames(("Tinca tinca", "n02099601", "crane (bird)", "=steampunk airship")).chosen()
    assert found == (
        Class("tench", "n01440764"), Class("golden retriever", "n02099601"), Class("crane (bird)", "n02012849"),
        Class("steampunk airship"),
    )  # fmt: skip


def test_it_is_a_value():
    value = ClassNames(("tench",), size=32)
    assert value == read_value(repr(value)) and hash(value) == hash(read_value(repr(value)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"subset": "imagewof"}, "no subset of ImageNet is called 'imagewof' here: did you mean 'imagewoof'"),
        ({"subset": "imagewoof", "classes": ("beegle",)}, "imagewoof has no class 'beegle': did you mean 'beagle'"),
        ({"classes": ("crane",)}, "(?s)'crane' is the name of several things: n02012849 .*wading bird.*; n03126707 .*pivoted boom"),
        ({"classes": ("tenhc",)}, "(?s)nothing of ImageNet is called 'tenhc': did you mean 'tench'.*write '=tenhc'"),
        ({"classes": ("n99999999",)}, "n99999999 is the WordNet id of nothing"),
        ({"classes": ("tench", "= ")}, "'= ' names no class"),
        ({"classes": ("tench", "Tinca tinca")}, "names a class twice"),
        ({}, "ClassNames needs classes="),
        ({"classes": ("tench",), "size": 0}, "size=0"),
    ],
)  # fmt: skip
def test_what_it_cannot_be_is_refused_at_construction(given, says):
    with pytest.raises(UserError, match=says):
        ClassNames(**given)


@pytest.mark.parametrize(
    ("recipe", "looks"),
    [
        ({"steering": (Start(Modes()), Sample())}, "Modes"),
        ({"steering": (Sample(guides=(Guide(ModePull()),)),)}, "ModePull, Modes"),
        ({"steering": (Sample(oversample=2), SelectConfident())}, "Trained"),
        ({"labeler": Relabel((Trained(),), average="logits")}, "Trained"),
        ({"prior": SmallDiffusion()}, "SmallDiffusion"),
        ({"prior": SmallDiffusion(), "steering": (FineTune(), Sample())}, "SmallDiffusion, FineTune"),
    ],
)
def test_what_looks_at_real_pictures_is_refused_before_any_work(recipe, looks):
    names = ClassNames(("tench",), size=8, channels=1)
    made = Recipe(**{"real": names, "prior": Toy(), "steering": (Sample(),), **recipe})
    with pytest.raises(UserError, match=f"^{looks} must look at real pictures, and there are none, only 1 class names"):
        check_data(names.open(), made)
