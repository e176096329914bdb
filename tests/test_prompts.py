"""What a class is called: by its name, its kind where others share the name, and WordNet's definition where it is asked for."""

from __future__ import annotations

import pytest

from gendistill.config.overrides import read_value
from gendistill.prompts import KINDS, Prompts, called, filled, kind
from gendistill.types import Class, UserError
from gendistill.wordnet import as_class, imagenet

CRANE, MACHINE = Class("crane", "n02012849"), Class("crane", "n03126707")


def test_the_bird_is_not_the_machine():
    prompts = Prompts()
    assert [prompts.of(one) for one in (CRANE, MACHINE)] == [
        "a photo of a crane (bird)",
        "a photo of a crane (machine)",
    ]
    assert called(Class("maillot", "n03710637")) == "maillot (tights)"
    assert called(Class("tench", "n01440764")) == "tench"


def test_no_two_classes_of_imagenet_are_called_the_same():
    Prompts().check(imagenet())


@pytest.mark.parametrize(
    ("wnid", "said"),
    [
        ("n13133613", "an ear (of corn)"), ("n01847000", "a drake (duck)"), ("n04515003", "an upright (piano)"),
        ("n12620546", "a hip (of a rose)"), ("n02108089", "a boxer (dog)"), ("n01608432", "a kite (bird)"),
        ("n07753592", "a banana"), ("n02102040", "an English springer"),
    ],
)  # fmt: skip
def test_a_name_that_means_another_thing_elsewhere_has_its_kind(wnid, said):
    assert Prompts().of(as_class(wnid)) == f"a photo of {said}"


def test_a_kind_goes_with_the_bare_name_of_its_class_alone():
    assert called(Class("upright_piano", "n04515003")) == "upright piano"
    assert called(Class("Upright", "n04515003")) == "Upright (piano)"
    assert called(Class("boxer")) == "boxer"
    assert called(Class("mouse", "n02330245")) == "mouse"  # the rodent, of which ImageNet-1K knows nothing
    assert set(KINDS) <= {one.name for one in imagenet() if called(one) == f"{one.name} ({KINDS.get(one.name)})"}


def test_two_senses_of_one_kind_are_told_apart_by_their_whole_definitions():
    found = {called(Class("gong", wnid)) for wnid in ("n03017168", "n03447721")}
    assert len(found) == 2 and all(name.startswith("gong (percussion instrument ") for name in found)


def test_a_kind_is_the_beginning_of_a_definition():
    assert kind("large long-necked wading bird of marshes and plains in many parts of the world") == (
        "large long-necked wading bird"
    )
    assert kind("a rocket carrying a warhead; may be ballistic") == "rocket"


@pytest.mark.parametrize(
    ("name", "article"),
    [("cat", "a"), ("owl", "an"), ("hourglass", "an"), ("unicycle", "a"), ("umbrella", "an"), ("one-armed bandit", "a"),
     ("European fire salamander", "a"), ("iPod", "an"), ("oboe", "an"), ("usher", "an"), ("ukulele", "a")],
)  # fmt: skip
def test_an_article_is_as_it_is_said(name, article):
    assert filled("{article} {}", Class(name)) == f"{article} {name}"


def test_definitions_come_from_the_synset_that_is_meant():
    assert filled("{name}, {definition}", Class("tench", "n01440764")).startswith(
        "tench, freshwater dace-like game fish"
    )
    assert filled("{definition}", Class("tench")) == filled("{definition}", Class("tench", "n01440764"))
    assert all(filled("{definition}", one) for one in imagenet())
    assert filled("{words}", Class("tench", "n01440764")) == "tench, Tinca tinca"
    assert filled("{words} {}", Class("golden_thing")) == "golden thing golden thing"


def test_a_name_of_several_things_is_refused_where_a_definition_is_asked_for():
    with pytest.raises(UserError, match="(?s)n02012849.*wading bird.*n03126707.*heavy objects.*overrides"):
        Prompts("{definition}").of(Class("crane"))
    assert Prompts("{name}").of(Class("crane")) == "crane"
    assert Prompts("{definition}", overrides={"crane": "a bird"}).of(Class("crane")) == "a bird"
    with pytest.raises(UserError, match="nothing of ImageNet called 'flumph'"):
        Prompts("{definition}").of(Class("flumph"))


def test_an_override_goes_by_wordnet_id_or_name():
    prompts = Prompts(overrides={"n02012849": "a bird", "crane": "a thing"})
    assert (prompts.of(CRANE), prompts.of(MACHINE)) == ("a bird", "a thing")


@pytest.mark.parametrize(("name", "says"), [("crine", "classes; did you mean 'crane'\\?$"), ("zzz", "classes$")])
def test_an_override_of_no_class_is_refused(name, says):
    with pytest.raises(UserError, match=says):
        Prompts(overrides={name: "a bird"}).check([CRANE])


@pytest.mark.parametrize(
    "wrong", [(), ("a photo",), ("{kind}",), ("{name",), ("{article}",), ("{:>9}",), ("{name:d}",), ("{name!r}",)]
)
def test_templates_that_say_nothing_are_refused(wrong):
    with pytest.raises(UserError, match="template"):
        Prompts(wrong)


def test_it_is_a_value_that_prints_as_code():
    prompts = Prompts("a {name}", "bad", {"crane": "a bird"})
    assert read_value(repr(prompts)) == prompts and hash(prompts) == hash(read_value(repr(prompts)))
    assert read_value("Prompts(overrides={'crane': 'a bird'})").overrides == (("crane", "a bird"),)
