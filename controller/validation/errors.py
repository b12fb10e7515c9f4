"""Errors of validation.

::

    ValidationError             root
    ├── ConfigurationError      a person must change the file
    └── LookUpError             the source gave no answer that can be used; never means "invalid"
        ├── RtrError            what came is not the RTR protocol (code: RFC 8210, 12)
        ├── ExportError         a VRP export that is malformed
        ├── ShrunkenError       a source that is empty, or lost more than it plausibly could
        ├── RpslError           an answer that is not RPSL
        ├── WhoisError          no answer, a cut-off one, or a refusal by the server
        └── TxtError            DNS did not answer
"""

from __future__ import annotations

from controller.errors import HeraldError, Remedy


class ValidationError(HeraldError):
    """Root of the errors of this package."""


class ConfigurationError(ValidationError):
    """The configuration of validation is missing or malformed."""


class LookUpError(ValidationError):
    """A source could not be asked, or its answer cannot be used; the last good one stands."""

    remedy = Remedy.WAIT


class RtrError(LookUpError):
    """The cache broke the protocol. ``code`` is the error code to report to it (RFC 8210, 12)."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class ExportError(LookUpError):
    """A VRP export that is not what its format says."""


class ShrunkenError(LookUpError):
    """A set of VRPs that is empty, or so much smaller than the last good one that it is no truth.

    ``kept``: VRPs of the last good set; ``offered``: of the refused one.
    """

    remedy = Remedy.PERSON

    def __init__(self, message: str, kept: int, offered: int) -> None:
        super().__init__(message)
        self.kept = kept
        self.offered = offered


class RpslError(LookUpError):
    """Text that is not RPSL (RFC 2622, 2)."""


class WhoisError(LookUpError):
    """A whois server gave no answer, a cut-off one, too much, or an error of its own."""


class TxtError(LookUpError):
    """The DNS servers gave no answer about a name."""
