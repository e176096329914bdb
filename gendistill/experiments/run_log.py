"""What a run says, kept beside its results: run.log for people, log.jsonl for programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gendistill.system.store import out_of_space
from gendistill.types import UserError

log = logging.getLogger("gendistill")


class File(logging.FileHandler):
    """A log. A disk that is full is told by whoever writes results to it, not by every line that is lost."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing."""

    def close(self) -> None:
        """Close the file, whether or not its last lines are in it."""
        with suppress(OSError):
            super().close()


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        return json.dumps({"time": record.created, "level": record.levelname, "message": record.getMessage()})


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Write what is said to run.log and log.jsonl as well."""
    with out_of_space(folder):
        plain, lines = (File(folder / name, encoding="utf-8") for name in ("run.log", "log.jsonl"))
    plain.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    lines.setFormatter(JsonLines())
    level = log.level
    log.setLevel(min(level or logging.INFO, logging.INFO))
    for handler in (plain, lines):
        log.addHandler(handler)
    try:
        yield
    except UserError as error:
        log.error("%s", error)
        raise
    finally:
        log.setLevel(level)
        for handler in (plain, lines):
            log.removeHandler(handler)
            handler.close()
