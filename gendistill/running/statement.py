"""What can be said of a set by the recipe that makes it: where data, prior and teachers come from, and what they saw."""

from __future__ import annotations

from gendistill.capabilities import Prompted
from gendistill.context import Context
from gendistill.provenance import Origin, Provenance, RealOrigin
from gendistill.recipe import Recipe
from gendistill.steering.sample import Sample
from gendistill.system.environment import versions


def provenance_of(recipe: Recipe, context: Context) -> Provenance:
    """What a reader must know: data, prior and teachers with their licences, and who saw which pictures."""
    data, told, bare = context.real, recipe.prior.origin(), not len(context.real.train)
    for step in recipe.steering:
        told = step.retold(told)
    prior = Origin(**told)
    found = [one for role in (*recipe.steering, recipe.labeler) for one in role.origins(data.licence)]
    teachers = [Origin(**one) for place, one in enumerate(found) if one not in found[:place]]
    makers = [prior, *teachers]
    unknown = [str(maker.get("name")) for maker in makers if not maker.get("saw")]
    seen = (
        f"Which pictures were seen by {', '.join(unknown)} is not known here."
        if unknown
        else f"Prior and teachers saw {', '.join(dict.fromkeys(str(maker.get('saw')) for maker in makers))}."
    )
    apart = "No real picture had a" if bare else f"The {data.split} pictures of {data.name} had no"
    return Provenance(
        name=f"{data.name}, {'drawn' if bare else 'distilled'}",
        real=RealOrigin(
            name=data.name, licence=data.licence, fingerprint=data.train.fingerprint, pictures=len(data.train)
        ),
        prior=prior,
        teachers=teachers,
        leakage=f"{apart} part in the making. {seen}",
        versions=versions(),
        settings=settings(recipe, told["name"]),
    )


def settings(recipe: Recipe, prior: str) -> dict[str, object]:
    """What a picture's file says of its making, called as programs for text-to-image call it; nothing where no words were said."""
    if not issubclass(recipe.prior.loads, Prompted):
        return {}
    samples = [step for step in recipe.steering if isinstance(step, Sample)]
    told: dict[str, object] = {"Negative prompt": recipe.prior.negative} if recipe.prior.negative else {}
    for last in samples[-1:]:
        told |= {"Steps": last.steps, "Sampler": last.scheduler or "the checkpoint's own", "CFG scale": last.cfg}
    return {**told, "Seed": recipe.seed, "Model": prior, "Steering": repr(recipe.steering)}
