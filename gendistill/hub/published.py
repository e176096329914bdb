"""What others published, in a folder or a repository of the hub: brought here, or what to do where it cannot be; and its card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import ModelCard, snapshot_download
from huggingface_hub.errors import GatedRepoError

from gendistill.types import UserError


@contextmanager
def reading(source: str, what: str, looked_for: str) -> Iterator[None]:
    """Turn what a library says of a checkpoint that is not there into what the user can do.

    Raises:
        UserError: instead of the errors of diffusers, transformers, timm and the hub.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, KeyError, ValueError, AttributeError, ImportError) as error:
        gated = any(isinstance(cause, GatedRepoError) for cause in causes(error))
        first = str(error).strip().partition("\n")[0]
        offline = "Without a network, give the folder of a downloaded copy"
        if Path(source).is_dir():
            raise UserError(f"no {what} at {source!r} (looked for {looked_for}): {first}") from error
        if gated:
            raise UserError(
                f"{source!r} is gated: accept its terms at https://huggingface.co/{source}, log in with `hf auth login`, and run "
                f"again. {offline} (`hf download {source} --local-dir FOLDER`, where you are logged in)"
            ) from error
        raise UserError(
            f"no {what} at {source!r} (looked for {looked_for}): {first}. {offline} "
            f"(`hf download {source} --local-dir FOLDER`)"
        ) from error


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def folder_of(source: str, endings: tuple[str, ...], revision: str | None = None) -> Path:
    """The folder itself, or that of a hub id, with the files downloaded whose names end so.

    Raises:
        UserError: there is no such folder, and no such repository that can be reached.
    """
    if Path(source).is_dir():
        return Path(source)
    with reading(source, "checkpoint", " and ".join(endings)):
        return Path(snapshot_download(source, revision=revision, allow_patterns=[f"*{ending}" for ending in endings]))


def weighed(folder: Path, whose: str) -> Path:
    """The folder itself.

    Raises:
        UserError: it holds no weights.
    """
    if not any(path.suffix in (".safetensors", ".bin", ".pth", ".pt") for path in folder.iterdir()):
        raise UserError(
            f"there are no weights at {whose}: config.json and .safetensors or .bin beside it are looked for"
        )
    return folder


def card(source: str) -> dict[str, str]:
    """Name, source, licence and the data it was trained on, as the checkpoint's own card states them."""
    known = {"name": source, "source": source}
    try:
        where = Path(source) / "README.md" if Path(source).is_dir() else source
        said = ModelCard.load(where).data.to_dict()
    except Exception:  # no card, or none that can be read: errors of hub, files and YAML have nothing in common
        return known
    licence, saw = said.get("license"), said.get("datasets")
    if licence:
        known["licence"] = str(licence)
    if saw:
        known["saw"] = saw if isinstance(saw, str) else ", ".join(map(str, saw))
    return known
