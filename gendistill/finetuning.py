"""Fine-tune a prior on one's own pictures, by itself: low-rank changes for a stock pipeline, or a whole pipeline.

    finetune("stabilityai/stable-diffusion-xl-base-1.0", Folder("photos", size=1024, channels=3), "my-lora")

What is trained, and how, is that of the steering step `FineTune`; here it has a folder of its own, is shown while it trains,
and its low-rank changes come out as what ``load_lora_weights`` takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gendistill.capabilities import Prompted
from gendistill.context import Context, silent
from gendistill.data.given import as_source
from gendistill.draft import Draft
from gendistill.objectives.base import Objective
from gendistill.pictures import encode, sheet
from gendistill.priors.base import Prior, lacks
from gendistill.priors.lora import LoRA, loads_lora
from gendistill.priors.named import prior_of, sized
from gendistill.priors.schedule import SOLVERS
from gendistill.priors.training.claim import begin
from gendistill.priors.training.finetune import ADAPTER, Show, Task, train, write
from gendistill.priors.training.loop import launch
from gendistill.priors.training.publish import INDEX, listed, put
from gendistill.priors.training.tuned_card import card
from gendistill.priors.training.tuning_settings import ALSO_FREE, FineTuning
from gendistill.recipe import as_prior
from gendistill.steering.finetune import FineTune
from gendistill.steering.sample import Sample
from gendistill.system.devices import device_of
from gendistill.system.store import Store, cache_root, write_atomically, write_text
from gendistill.types import LATENT, RealData, Source, UserError

__all__ = ["FineTuning", "finetune"]

LORA_FILE = "pytorch_lora_weights.safetensors"
"""What diffusers calls low-rank changes. Written last, as the index of a pipeline is: a folder that has it is finished."""
DRAWN = "validation"
DRAWN_CLASSES = 8
CFG = 4.0
log = logging.getLogger("gendistill")


def finetune(
    prior: Prior | Any,
    real: RealData | Source | Any,
    folder: Path | str,
    settings: FineTuning = FineTuning(),  # noqa: B008 (frozen)
    objectives: Sequence[Objective] = (),
    *,
    device: torch.device | str = "auto",
    seed: int = 0,
    store: Store | None = None,
    progress: Callable[..., Iterable] = silent,
    resume_from_checkpoint: str | None = None,
    command: str | None = None,
) -> Path:
    """Train ``prior`` further on ``real`` and return ``folder``; a finished one is left as it is.

    Low-rank changes of a pipeline that can load them come out alone, for ``load_lora_weights``. Everything else comes out as a
    whole pipeline, for ``from_pretrained``; low-rank changes then also lie in the folder ``adapter`` in it, for peft.

    Args:
        prior: a class-conditional or text-to-image prior: its settings, a hub id, a folder or a loaded pipeline.
        real: the pictures, or a source of them. Their classes are what the prior is asked for.
        folder: nobody's, or that of this very training.
        settings: how it is trained.
        objectives: what is wanted of the clean estimates beside the diffusion loss.
        device: where to compute; "auto" takes a GPU where there is one.
        seed: everything random follows from it.
        store: where the latents of the pictures are kept; None for the user's cache.
        progress: wraps an iterable and shows how far it is.
        resume_from_checkpoint: "latest" (begins anew where there is nothing to resume), or a checkpoint by name or path.
        command: what was typed, for the model card.

    Raises:
        UserError: prior, pictures, settings and objectives do not fit each other, or the folder is another training's.
        Diverged: a loss is not finite.
    """
    folder, where = Path(folder), device_of(device)
    chosen = sized(prior_of(prior) if isinstance(prior, str) else as_prior(prior), settings.resolution)
    data = real if isinstance(real, RealData) else as_source(real).open()
    step = FineTune(tuple(objectives), **tuning(settings), seed=seed)
    check(chosen, data, step, settings)
    loaded: Any = chosen.load(data, where, torch.float32)
    context = Context(
        real=data, store=store or Store(cache_root()), device=where, dtype=torch.float32, seed=seed, ipc=1, block=step.batch,
        prior=loaded, classes=tuple(range(len(data.classes))), progress=progress,
    )  # fmt: skip
    show = drawing(context, settings, folder)
    adapter = comes_alone(step, loaded, folder)
    begun = begin(
        folder,
        settings,
        data.train,
        seed=seed,
        device=where,
        resume_from_checkpoint=resume_from_checkpoint,
        index=LORA_FILE if adapter else INDEX,
        more={"prior": loaded.fingerprint, "objectives": repr(step.objectives)},
        free=ALSO_FREE,
    )
    if begun is None:
        return folder
    _, resume = begun
    for index in progress(context.classes, "encode", len(context.classes)):
        context.latents(index)
    task = step.task(context, step.latents(context))
    accelerator = launch(where, step.mixed_precision, step.gradient_accumulation_steps)
    if show is not None and resume is None and accelerator.is_main_process:
        show.look(loaded, 0)
    model = train(task, folder, accelerator, resume=resume, progress=progress, show=show)
    if accelerator.is_main_process:
        told = {"prior": repr(chosen), "settings": listed(settings), "objectives": step.objectives, "seed": seed}
        made = "\n".join(f"{name} = {value}" for name, value in told.items())
        drawn = sorted(path.name for path in (folder / DRAWN).glob("*.png"))
        shown = f"{DRAWN}/{drawn[-1]}" if drawn else None
        text = card(loaded, chosen.origin(), data, made, adapter=adapter, command=command, shown=shown)
        write_text(folder / "README.md", text)
        publish(task, model, folder, adapter)
    accelerator.wait_for_everyone()
    return folder


def tuning(settings: FineTuning) -> dict[str, Any]:
    """The settings by the names that recipes use."""
    same = {field.name for field in fields(settings)} & {field.name for field in fields(FineTune)}
    return {
        **{name: getattr(settings, name) for name in same},
        "parameters": settings.trained,
        "epochs": settings.num_train_epochs,
        "batch": settings.train_batch_size,
        "weight_decay": settings.adam_weight_decay,
        "class_dropout_prob": settings.proportion_empty_prompts,
    }


def check(prior: Prior, data: RealData, step: FineTune, settings: FineTuning) -> None:
    """Raise `UserError` unless the prior can be tuned so, on these data. Reads no weights."""
    if missing := lacks(prior.loads, step.needs):
        wanted = " and ".join(name.lower() for name in missing)
        raise UserError(f"this fine-tuning needs a prior that {wanted}; {prior!r} does not")
    if settings.validation_prompt is not None and not issubclass(prior.loads, Prompted):
        raise UserError(
            f"validation_prompt={settings.validation_prompt!r}: {prior!r} is asked for classes, which are drawn without a prompt"
        )
    prior.check(data)
    step.check(data, 1)


def comes_alone(step: FineTune, loaded: Any, folder: Path) -> bool:
    """Whether low-rank changes are all that comes out."""
    if not isinstance(step.parameters, LoRA):
        return False
    if not loads_lora(loaded):
        log.info(
            "%s has no load_lora_weights: the whole pipeline will be in %s, the changes in its weights; and alone in %s, for "
            "peft",
            loaded.pipeline.__name__,
            folder,
            folder / ADAPTER,
        )
    return loads_lora(loaded)


def publish(task: Task, model: nn.Module, folder: Path, adapter: bool) -> None:
    """Write what was trained: the changes alone, or a whole pipeline."""
    if adapter:
        put(lambda part: task.tuning.parameters.keep(model, part, task.prior), folder, LORA_FILE)
    else:
        put(lambda part: write(task, model, part), folder, INDEX)


def drawing(context: Context, settings: FineTuning, folder: Path) -> Show | None:
    """Draws a grid into the folder `DRAWN`: of the prompt, or of the first classes a row each.

    Raises:
        UserError: the prompt is too long.
    """
    count, prompt, known = settings.num_validation_images, settings.validation_prompt, context.prior
    if count == 0:
        return None
    prior: Any = known
    distilled = isinstance(known, Prompted) and prior.family.strength is not None
    sample = Sample(
        steps=settings.num_inference_steps,
        cfg=settings.guidance_scale or (1.0 if distilled else CFG),
        scheduler=None
        if prior.schedule.name in SOLVERS
        else "FlowMatchEulerDiscrete"
        if prior.schedule.flow
        else "DDIM",
    )
    asked = None if prompt is None else prior.condition_on([prompt] * count)
    rows = [one.name for one in context.real.classes[:DRAWN_CLASSES]] if prompt is None else [prompt]

    def draw(live: Any, label: int) -> Tensor:
        labels = torch.full((count,), label)
        ids = torch.stack([labels, torch.arange(count), torch.zeros_like(labels)], 1)
        made = sample(Draft(live, {}, ids, labels, torch.ones(count), conditions=asked), context)
        return live.decode({LATENT: made.latents[LATENT]}).clamp(0, 1).mul(255).round().to(torch.uint8).cpu()

    @torch.no_grad()
    def look(live: Any, done: int) -> None:
        grid = [(name, draw(live, label)) for label, name in enumerate(rows)]
        picture = encode(sheet(grid, side=max(64, min(256, context.real.train.shape[-1]))))
        write_atomically(folder / DRAWN / f"step-{done:06d}.png", lambda part: part.write_bytes(picture))

    return Show(look, settings.validation_steps)
