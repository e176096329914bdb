"""A folder for the hub: the repository is opened before the work, so that what would fail then fails at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

from gendistill.types import UserError

LEFT_OUT = ["checkpoint-*", ".*", "*.lock"]
"""Files that are of use only to who goes on with the training."""
TROUBLE = (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled, OSError)
log = logging.getLogger("gendistill")


def repository(name: str, token: str | None) -> str:
    """The whole name of a model repository, made now if it is not there.

    Raises:
        UserError: it cannot be made: no network, no token, a name that is none.
    """
    with explained(name, "FOLDER"):
        return HfApi(token=token).create_repo(name, exist_ok=True).repo_id


def upload(folder: Path, repository: str, token: str | None) -> None:
    """Put the folder into the repository.

    Raises:
        UserError: it did not get there; the folder is whole all the same.
    """
    with explained(repository, str(folder)):
        HfApi(token=token).upload_folder(repo_id=repository, folder_path=folder, ignore_patterns=LEFT_OUT)
    log.info("uploaded to https://huggingface.co/%s", repository)


@contextmanager
def explained(repository: str, folder: str) -> Iterator[None]:
    """Turn errors of the hub into what the user can do."""
    try:
        yield
    except TROUBLE as error:
        first = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{repository!r} cannot be written on the hub: {first}. Log in with `hf auth login` or give a token that may write; "
            f"or leave push_to_hub out, and upload later: `hf upload {repository} {folder}`"
        ) from error
