"""What a distilled set was made from, in the words of those who made it: nothing here is guessed.

Provenance(name="Digits, distilled", licence="cc-by-4.0",
           real={"name": "digits (scikit-learn)", "licence": "cc-by-4.0"},
           prior={"name": "a DiT trained on the same digits", "licence": "cc-by-4.0", "saw": "the training split"},
           teachers=[{"name": "ConvNet-3", "saw": "the training split"}],
           leakage="Prior and teachers never saw the test pictures.")
"""

from __future__ import annotations

import pprint
from collections.abc import Mapping, Sequence
from typing import TypedDict

UNKNOWN = "not stated"
NO_LEAKAGE_STATEMENT = (
    "Not stated: whether the prior or a teacher saw the test pictures is unknown, so read the accuracies with care."
)
HUB_LICENCES = frozenset(
    """
    afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc-by-2.0
    cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-
    by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-
    permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m gpl-2.0 gpl-3.0 lgpl-2.1
    lgpl-3.0 mit mpl-2.0 odbl odc-by openrail openrail++ pddl unlicense
    """.split()
)


class Origin(TypedDict, total=False):
    """One thing the set was made from.

    name     what it is called
    licence  its licence; "not stated" where absent
    source   where it comes from: URL or hub id
    saw      for a prior or teacher, the pictures it was trained on
    """

    name: str
    licence: str
    source: str
    saw: str


class RealOrigin(Origin, total=False):
    """Real data the set was made from.

    fingerprint  of the training pictures
    pictures     how many of these there are; 0 where the data are names of classes alone
    """

    fingerprint: str
    pictures: int


class Provenance(TypedDict, total=False):
    """Everything a reader must know about the origin of a distilled set; absent entries are shown as not stated.

    name      pretty name of the distilled set
    licence   of the distilled set, as its maker states it: an identifier of the hub, or free text
    real      the real data
    prior     the generator
    teachers  networks trained on real data that guided or labelled
    leakage   which of them may have seen the test pictures
    command   the command that made the set
    versions  package -> version
    settings  what the file of every picture says of its making beside its prompt: name -> value
    """

    name: str
    licence: str
    real: RealOrigin
    prior: Origin
    teachers: Sequence[Origin]
    leakage: str
    command: str
    versions: Mapping[str, str]
    settings: Mapping[str, object]


def spell_recipe(recipe: object) -> str:
    """A recipe as code, one field a line where it is long; "" where it was not recorded.

    A recipe that held loaded objects comes back from disk as its own text, and stays that.
    """
    if recipe is None:
        return ""
    return recipe if isinstance(recipe, str) else pprint.pformat(recipe, width=100, sort_dicts=False)


def origins(provenance: Provenance) -> list[dict[str, str]]:
    """One row per thing the set was made from: role, name, licence, source, saw; every entry filled."""
    found = [("real data", provenance.get("real", RealOrigin())), ("prior", provenance.get("prior", Origin()))]
    found += [("teacher", teacher) for teacher in provenance.get("teachers", ())]
    return [
        {
            "role": role,
            "name": origin.get("name", UNKNOWN),
            "licence": origin.get("licence", UNKNOWN),
            "source": origin.get("source", ""),
            "saw": origin.get("saw", "" if role == "real data" else UNKNOWN),
        }
        for role, origin in found
    ]


def licence_fields(provenance: Provenance) -> tuple[str, str | None]:
    """The licence of a dataset card: an identifier of the hub, or "other" and the details."""
    given = provenance.get("licence", "")
    if given.lower() in HUB_LICENCES:
        return given.lower(), None
    made_from = "; ".join(f"{row['role']} {row['name']}: {row['licence']}" for row in origins(provenance))
    return "other", given or f"not stated by its maker. Made from {made_from}"
