"""Commands that train priors: train-prior, finetune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gendistill.commands.base import device, source_of, typed
from gendistill.commands.console import hide_bars, resumable
from gendistill.commands.options import given_settings, merged, options_of, settings_of

TRAINING = Path(__file__).resolve().parent.parent / "priors" / "training"
FAMILIES = {
    "diffusion": settings_of(TRAINING / "settings.py", "PriorTraining"),
    "gan": settings_of(TRAINING / "gan_settings.py", "GanTraining"),
}
PRIOR_SETTINGS = merged(FAMILIES)
TUNING_SETTINGS = settings_of(TRAINING / "tuning_settings.py", "FineTuning")


@click.command("train-prior")
@click.option(
    "--family", type=click.Choice(list(FAMILIES)), default="diffusion", show_default=True, help="What kind of prior."
)
@click.option(
    "--train_data", required=True, metavar="SOURCE", help="A folder, 'Parquet(train=\"...\")', 'Digits(size=16)' ..."
)
@click.option(
    "--output_dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the prior."
)
@click.option("--resume_from_checkpoint", metavar="latest|PATH", help="Go on with an interrupted training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Everything random follows from it.")
@options_of(PRIOR_SETTINGS)
@device
def train_prior(
    family: str,
    train_data: str,
    output_dir: Path,
    resume_from_checkpoint: str | None,
    seed: int,
    device: str,
    **words: Any,
) -> None:
    """Train a small prior on your pictures.

    diffusion: an autoencoder and a diffusion transformer; a folder comes out that stock diffusers opens. Use it with
    prior='LatentDiffusion("FOLDER")'.

    gan: a generator and a discriminator. Use it with prior='Gan("FOLDER")'.

    Settings without a default follow from the size of the pictures.
    """
    from gendistill.config.fields import construct
    from gendistill.priors.named import filled
    from gendistill.priors.train import PriorTraining
    from gendistill.priors.train import train_prior as train_diffusion
    from gendistill.priors.train_gan import GanTraining, train_gan
    from gendistill.system.progress import progress

    hide_bars()
    kind, train = {"diffusion": (PriorTraining, train_diffusion), "gan": (GanTraining, train_gan)}[family]
    settings = construct(kind, (), given_settings(PRIOR_SETTINGS, words))
    real = filled(source_of(train_data, "--train_data"), size=settings.resolution).open()
    with resumable("Run the same command with --resume_from_checkpoint latest to go on."):
        folder = train(
            real.train,
            output_dir,
            settings,
            device=device,
            seed=seed,
            progress=progress,
            resume_from_checkpoint=resume_from_checkpoint,
            name=real.name,
            licence=real.licence,
        )
    click.echo(f"{folder}")


@click.command()
@click.option(
    "--pretrained_model_name_or_path",
    "pretrained",
    required=True,
    metavar="PRIOR",
    help="A hub id, a folder, or 'TextToImage(\"...\", guidance=4.0)', 'LatentDiffusion(\"...\", rows=(5,))'.",
)
@click.option("--revision", help="Of the hub repository.")
@click.option("--variant", help="Of the files, such as fp16.")
@click.option(
    "--train_data", required=True, metavar="SOURCE", help="A folder of class folders, 'Parquet(train=\"...\")' ..."
)
@click.option(
    "--prompts", metavar="TEMPLATE", help="What is said for a class: 'a photo of {article} {name}', Prompts(...)"
)
@click.option(
    "--objectives",
    multiple=True,
    metavar="OBJECTIVE",
    help="Wanted beside the diffusion loss, 'Representativeness(weight=0.002)' ...; may be given several times.",
)
@click.option(
    "--output_dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of what comes out."
)
@click.option("--resume_from_checkpoint", metavar="latest|PATH", help="Go on with an interrupted training.")
@click.option("--seed", type=int, default=0, show_default=True, help="Everything random follows from it.")
@options_of(TUNING_SETTINGS)
@click.option("--push_to_hub", is_flag=True, help="Upload the folder when it is finished.")
@click.option("--hub_model_id", help="Repository to upload to; by default called as the folder is.")
@click.option("--hub_token", help="Token that may write; by default that of `hf auth login`.")
@device
def finetune(
    pretrained: str,
    revision: str | None,
    variant: str | None,
    train_data: str,
    prompts: str | None,
    objectives: tuple[str, ...],
    output_dir: Path,
    resume_from_checkpoint: str | None,
    seed: int,
    push_to_hub: bool,
    hub_model_id: str | None,
    hub_token: str | None,
    device: str,
    **words: Any,
) -> None:
    """Train a diffusion prior further on your pictures.

    Text-to-image pipelines and class-conditional DiT. Low-rank changes come out as pipe.load_lora_weights(FOLDER) takes them,
    everything else as a pipeline for DiffusionPipeline.from_pretrained(FOLDER); so too low-rank changes of DiT and PixArt,
    which have no such loader.
    """
    if (hub_model_id or hub_token) and not push_to_hub:
        raise click.UsageError("--hub_model_id and --hub_token do nothing without --push_to_hub")
    from gendistill.config.fields import construct, fit
    from gendistill.config.overrides import read_value
    from gendistill.finetuning import FineTuning
    from gendistill.finetuning import finetune as train
    from gendistill.hub.upload import repository, upload
    from gendistill.objectives.base import Objective
    from gendistill.priors.named import framed, prior_of
    from gendistill.system import ranks
    from gendistill.system.progress import progress

    hide_bars()
    settings = construct(FineTuning, (), given_settings(TUNING_SETTINGS, words))
    read = [read_value(word) for word in objectives]
    wanted = [one for value in read for one in (value if isinstance(value, tuple | list) else (value,))]
    prior = prior_of(pretrained, revision=revision, variant=variant, prompts=prompts)
    real = framed(source_of(train_data, "--train_data"), prior, settings.resolution)
    to = repository(hub_model_id or output_dir.name, hub_token) if push_to_hub and ranks.first() else None
    with resumable("Run the same command with --resume_from_checkpoint latest to go on."):
        folder = train(
            prior,
            real,
            output_dir,
            settings,
            fit(wanted, tuple[Objective, ...], "--objectives"),
            device=device,
            seed=seed,
            progress=progress,
            resume_from_checkpoint=resume_from_checkpoint,
            command=typed(without="--hub_token"),
        )
    if to is not None:
        upload(folder, to, hub_token)
    click.echo(f"{folder}")
