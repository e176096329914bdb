"""What a class is called in words: prompts from templates, its name, and what WordNet says it is.

    Prompts(("a photo of {article} {name}", "{name}, {definition}"), negative="a drawing")

Names that several synsets of ImageNet-1K share are told apart: a crane is "crane (bird)" or "crane (machine)". So are those
of which a list kept by hand says that they mean something else elsewhere: a boxer is "boxer (dog)". Others stand as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from gendistill import wordnet
from gendistill.config.fields import nearest
from gendistill.types import Class, UserError

VOWEL = re.compile(r"[ai]|o(?!ne\b)|e(?!u)|u(?!ni(?!n)|k|s[ae]|ti)|hour|honest|heir", re.IGNORECASE)
"""How a word begins that takes "an", as it is said: an hourglass, but a unicycle."""
MORE = re.compile(
    r"[;,:(]|\s(?:about|and|as|at|by|containing|for|formerly|from|having|in|of|on|or|that|to|used|which|whose|with"
    r"|carrying|resembling|consisting)\s"
)
"""Where a definition goes on after it has said what kind of thing it is."""
KINDS = {
    "admiral": "butterfly", "amphibian": "vehicle", "Angora": "rabbit", "Appenzeller": "dog", "barrow": "cart",
    "baseball": "ball", "basketball": "ball", "beacon": "lighthouse", "bearskin": "hat", "binder": "for loose papers",
    "bonnet": "hat", "bow": "weapon", "boxer": "dog", "brass": "memorial tablet", "buckeye": "nut", "cab": "taxi",
    "cairn": "dog", "capuchin": "monkey", "chest": "box", "chiton": "mollusk", "chow": "dog", "clog": "shoe",
    "clumber": "dog", "cock": "rooster", "cornet": "brass instrument", "cricket": "insect", "diamondback": "rattlesnake",
    "drake": "duck", "drumstick": "for a drum", "ear": "of corn", "file": "filing cabinet", "fly": "insect",
    "gondola": "boat", "harvestman": "arachnid", "hip": "of a rose", "impala": "antelope", "iron": "for clothes",
    "jaguar": "big cat", "jean": "trousers", "jersey": "shirt", "kelpie": "dog", "kite": "bird", "Leonberg": "dog",
    "Lhasa": "dog", "liner": "ship", "Loafer": "shoe", "monarch": "butterfly", "mortar": "bowl", "mouse": "computer",
    "muzzle": "for an animal", "nail": "fastener", "Newfoundland": "dog", "nipple": "of a baby's bottle",
    "notebook": "computer", "organ": "musical instrument", "papillon": "dog", "Pembroke": "dog", "pick": "plectrum",
    "pickup": "truck", "pirate": "ship", "pitcher": "jug", "plane": "carpenter's tool", "plate": "main course",
    "pot": "for flowers", "puffer": "fish", "racer": "car", "ram": "sheep", "redbone": "dog", "reel": "for fishing",
    "ringlet": "butterfly", "rule": "for measuring", "scale": "for weighing", "screen": "display", "sidewinder": "snake",
    "slot": "gambling machine", "sorrel": "horse", "stole": "scarf", "swab": "mop", "switch": "electrical",
    "tank": "military vehicle", "teddy": "bear", "thresher": "farm machine", "tick": "arachnid", "titi": "monkey",
    "trifle": "dessert", "upright": "piano", "vacuum": "cleaner", "vault": "arched ceiling", "volleyball": "ball",
    "walking stick": "insect", "washer": "washing machine", "wing": "of an airplane", "wreck": "ship",
}  # fmt: skip
"""Names of ImageNet-1K that alone mean another thing about as commonly, and what they are there.

By hand, because the synsets of ImageNet cannot tell: no other has an ear or a boxer, and two have a banana, fruit and plant.
"""
COUNT = re.compile(r"^(?:(?:an?|the|any|either|one|various|several|numerous|two)\s(?:of\s)?)+")
"""How a definition begins before it says anything."""


def called(one: Class) -> str:
    """The name of a class, with its kind in brackets where another synset of ImageNet-1K has the same name, or by `KINDS`.

    A class without a WordNet id, or whose name is no word of its synset in ImageNet-1K, is called as it is.
    """
    name = " ".join(one.name.replace("_", " ").split())
    senses = wordnet.senses(name, "imagenet-1k") if one.wnid is not None else ()
    if one.wnid is None or one.wnid not in senses:
        return name
    if len(senses) < 2:
        first = wordnet.as_class(one.wnid).name
        return f"{name} ({KINDS[first]})" if first in KINDS and wordnet.plain(name) == wordnet.plain(first) else name
    if one.wnid in wordnet.NAMES:
        return wordnet.NAMES[one.wnid]
    said = {wnid: wordnet.definition(wnid) or "" for wnid in senses}
    kinds = [kind(text) for text in said.values()]
    mine = kind(said[one.wnid])
    return f"{name} ({mine if kinds.count(mine) == 1 else COUNT.sub('', said[one.wnid]).partition(';')[0]})"


def kind(definition: str) -> str:
    """The beginning of a definition, which says what kind of thing it is: "large long-necked wading bird"."""
    said = COUNT.sub("", definition.strip())
    short = MORE.split(said, maxsplit=1)[0].strip()
    return said.partition(";")[0] if not short or short.endswith("ed") else short


def article(one: Class) -> str:
    """The article of the name: "a" or "an"."""
    return "an" if VOWEL.match(called(one)) else "a"


def synset(one: Class) -> str:
    """The WordNet id of a class, by its name where it has none.

    Raises:
        UserError: its name is the word of no synset of ImageNet, or of several.
    """
    if one.wnid is not None:
        return one.wnid
    found = wordnet.senses(one.name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"WordNet has nothing of ImageNet called {one.name!r}, and its definition is asked for: give the class a WordNet "
            "id, or a prompt of its own with overrides"
        )
    listed = "; ".join(map(wordnet.entry, found))
    raise UserError(
        f"{one.name!r} is the name of several things: {listed}. Give the class the WordNet id that is meant, or a prompt of "
        "its own with overrides"
    )


def defined(one: Class) -> str:
    """What WordNet says the class is."""
    said = wordnet.definition(synset(one))
    if said is None:
        raise UserError(f"WordNet has no definition of {one}; give it a prompt of its own with overrides")
    return said


def synonyms(one: Class) -> str:
    """All words of the class, "tench, Tinca tinca"; its name where it is no synset."""
    known = None if one.wnid is None else wordnet.words(one.wnid)
    return known or called(one)


MEANINGS: Mapping[str, Callable[[Class], str]] = {
    "": called,
    "name": called,
    "article": article,
    "words": synonyms,
    "definition": defined,
}
"""What may stand in a template; {} is {name}."""


def placeholders(template: str, more: Container[str] = ()) -> list[str]:
    """The names in the braces of a template, which may also be of those in ``more``.

    Raises:
        UserError: there are none, or one that means nothing.
    """
    try:
        parsed = [entry[1:] for entry in Formatter().parse(template) if entry[1] is not None]
    except ValueError as error:
        raise UserError(f"the template {template!r} cannot be read: {error}") from error
    # What would format a number or convert a value has no meaning here either, and stands with its name.
    found = [f"{field}{f'!{how}' if how else ''}{f':{spec}' if spec else ''}" for field, spec, how in parsed]
    unknown = [field for field in found if field not in MEANINGS and field not in more]
    if unknown or not any(field in ("", "name", "words", "definition") or field in more for field in found):
        wrong = f"{{{unknown[0]}}} means nothing there" if unknown else "it says the same of every class"
        raise UserError(
            f"the template {template!r}: {wrong}; write for example 'a photo of {{article}} {{name}}', with {{name}} or {{}}, "
            "{article}, {words} (all synonyms) and {definition} (of WordNet)"
        )
    return found


def filled(template: str, one: Class, **more: str) -> str:
    """A template, said of a class; what else is known of a picture goes where its name stands."""
    found = placeholders(template, more)
    known = {field: more[field] if field in more else MEANINGS[field](one) for field in found}
    return template.format(*(known[""] for field in found if not field), **known)


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """The templates, of which there is at least one and every one can be filled.

    Raises:
        UserError: it is not so.
    """
    if not templates:
        raise UserError("templates=(): give at least one, such as 'a photo of {article} {name}'")
    for template in templates:
        placeholders(template)
    return tuple(templates)


@dataclass(frozen=True)
class Prompts:
    """What a text-to-image prior is told for each class.

    templates  texts with {name}, {article}, {words} (all synonyms of the synset) or {definition} (of WordNet) in them; of
               several, the pictures of a class take turns by slot
    negative   what pictures should not show, for classifier-free guidance; "" for nothing
    overrides  whole prompts of single classes, by name or WordNet id
    """

    templates: str | tuple[str, ...] = ("a photo of {article} {name}",)
    negative: str = ""
    overrides: Mapping[str, str] | tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        given = (self.templates,) if isinstance(self.templates, str) else self.templates
        object.__setattr__(self, "templates", check_templates(given))
        pairs = self.overrides.items() if isinstance(self.overrides, Mapping) else self.overrides
        object.__setattr__(self, "overrides", tuple((str(name), str(text)) for name, text in pairs))

    def of(self, one: Class, slot: int = 0) -> str:
        """The prompt for the picture of a class in this slot."""
        own = dict(self.overrides)
        for name in (one.wnid, one.name):
            if name in own:
                return own[name]
        return filled(self.templates[slot % len(self.templates)], one)

    def each(self, one: Class) -> tuple[str, ...]:
        """All prompts of a class, by slot until they repeat."""
        return tuple(dict.fromkeys(self.of(one, slot) for slot in range(len(self.templates))))

    def check(self, classes: Sequence[Class]) -> None:
        """Raise `UserError` unless every override is of one of the classes, and no two classes have the same prompt."""
        names = {name for one in classes for name in (one.name, one.wnid) if name is not None}
        for name, _ in tuple(self.overrides):
            if name not in names:
                raise UserError(
                    f"overrides has a prompt for {name!r}, which is none of the classes{nearest(name, sorted(names))}"
                )
        said: dict[str, Class] = {}
        for one in classes:
            for prompt in self.each(one):
                other = said.setdefault(prompt, one)
                if other is not one:
                    raise UserError(
                        f"{other} and {one} have the same prompt, {prompt!r}, so nothing tells their pictures apart: give them "
                        "WordNet ids, or prompts of their own with overrides"
                    )
