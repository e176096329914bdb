"""What went wrong, for whom. Imports nothing, so that a mistyped word is answered at once."""


class UserError(ValueError):
    """A mistake in what was asked for, not in our code: shown without a traceback."""


class Diverged(UserError):
    """Numbers ceased to be finite: settings were too strong."""
