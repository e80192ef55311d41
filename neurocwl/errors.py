"""The one tree of errors; cli.main turns each into a message and an exit code."""


class NeurocwlError(Exception):
    """Something went wrong that the user can be told about in one message."""

    exit_code = 3


class BadInput(NeurocwlError):
    """The user's input cannot be used; the message names the file or option, the value and the fix."""

    exit_code = 2


class InfrastructureError(NeurocwlError):
    """Storage, the container engine or Toil failed; the message names which, and what to do."""

    exit_code = 3


class Conflict(InfrastructureError):
    """Somebody else wrote the same object first (a conditional PUT was refused)."""


class Busy(InfrastructureError):
    """Another launch holds the lease on this output."""

    exit_code = 4
