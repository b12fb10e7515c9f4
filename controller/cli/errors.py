"""Errors of the command line and of its API client.

::

    CliError                 exit code 1
    ├── NoLabError           no running lab is found, or several are
    ├── FileTakenError       a file cannot be written, or would be written over
    ├── MomentError          a time that was given cannot be read
    ├── NotReachedError      accepted, but not there at the deadline
    ├── ApiError             the API refused; status and code are the server's
    └── ApiUnreachableError  the API does not answer
"""

from __future__ import annotations

from controller.errors import HeraldError, Remedy


class CliError(HeraldError):
    """Root of the errors of this package."""


class NoLabError(CliError):
    """It is not clear which running lab is meant, or there is none."""


class FileTakenError(CliError):
    """The file that was named is there already, or cannot be written."""


class MomentError(CliError):
    """The text is no moment: neither a time with its zone, nor so long ago."""


class NotReachedError(CliError):
    """The write was accepted and goes on, but was not in effect at the deadline."""

    remedy = Remedy.WAIT


class ApiError(CliError):
    """The API refused a request; the text is the server's. ``pointer`` names the field to blame.

    ``with_fields``: the text with each field behind what is wrong with it.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int = 0,
        pointer: str | None = None,
        with_fields: str | None = None,
    ) -> None:
        super().__init__(message)
        self.with_fields = with_fields or message
        self.status = status
        self.code = code
        self.pointer = pointer

    def naming_fields(self) -> ApiError:
        """Return the same error whose text names the fields."""
        return ApiError(self.with_fields, status=self.status, code=self.code, pointer=self.pointer)


class ApiUnreachableError(CliError):
    """The API does not answer, or not in time."""

    remedy = Remedy.WAIT
