"""Between a command and the terminal: who made the mistake, what is logged, what other libraries may not print.

Exit status: 0 done, 2 a mistake of the user (a message), 1 a mistake of ours (a traceback), 130 interrupted.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from gendistill.errors import UserError
from gendistill.system.environment import import_trouble

NOISY = ("httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "filelock", "fsspec", "PIL", "datasets", "matplotlib")
BARS = ("diffusers.utils.logging", "transformers.utils.logging")

OF_PATHS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST}
"""What the system says of a path that cannot be written, or cannot be there."""


class Interrupted(click.ClickException):
    """Ctrl-C, where there is something to say about going on."""

    exit_code = 130


class Lines(logging.Handler):
    """Plain lines on stderr that do not tear a progress bar apart."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; not errors, which are also raised, and told once by `execute`."""
        if record.levelno >= logging.ERROR:
            return
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


def execute(command: click.Command, words: Sequence[str]) -> int:
    """Run a command and return its exit status. Errors of ours are raised on."""
    try:
        command.main(list(words), prog_name="gendistill", standalone_mode=False)
    except Interrupted as error:
        click.echo(f"\n{error.message}", err=True)
        return error.exit_code
    except click.Abort:
        click.echo("\nInterrupted.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except Exception as error:
        message = _mistake(error)
        if message is None:
            raise
        click.echo(f"Error: {message}", err=True)
        return 2
    return 0


@contextmanager
def resumable(advice: str) -> Iterator[None]:
    """Turn Ctrl-C into a line that says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"Interrupted. {advice}") from None


def prepare() -> None:
    """Log our own words to stderr and quiet other libraries; before they are imported."""
    log = logging.getLogger("gendistill")
    log.handlers[:] = [Lines()]
    log.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)


def hide_bars() -> None:
    """Turn off the progress bars of libraries that were imported by now and know no environment variable for it."""
    for name in BARS:
        module = sys.modules.get(name)
        if module is not None:
            module.disable_progress_bar()


def _mistake(error: Exception) -> str | None:
    """What to tell a user who made this error happen; None if it is ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in OF_PATHS and error.filename:
        return f"{error.filename}: {error.strerror}"
    return import_trouble(error)
