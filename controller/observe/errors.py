"""Errors of observation: what was on the wire, and the capture that tells of it.

::

    ObserveError
    ├── BgpMessageError        bytes that are no BGP message; says where
    ├── TableDumpError         what a router held cannot be written as the format wants it
    ├── WireError              a packet that is no TCP segment; says where
    └── CaptureError
        ├── CaptureStartError    the capture cannot start as configured
        ├── CaptureGoneError     nobody answers at the capture's socket, or no longer (wait)
        ├── CaptureTimeoutError  it answers, but not in time (retry)
        ├── CaptureBehindError   the reader fell behind what is kept
        └── CaptureGarbledError  the other side does not speak this protocol
"""

from __future__ import annotations

from typing import ClassVar

from controller.errors import HeraldError, Remedy


class ObserveError(HeraldError):
    """Root of the errors of what is seen on the wire."""


class BgpMessageError(ObserveError):
    """Bytes that are no BGP message. ``offset`` counts from the message's first byte."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(f"{what} (byte {offset})")
        self.offset = offset


class TableDumpError(ObserveError):
    """What a router held cannot be written as TABLE_DUMP_V2."""


class WireError(ObserveError):
    """A captured packet that is not a whole TCP segment over IPv4 or IPv6."""


class CaptureError(ObserveError):
    """Root of what goes wrong between the capture and its readers."""


class CaptureStartError(CaptureError):
    """The capture cannot start: its configuration, a namespace, a ring or its socket is not usable."""


class CaptureGoneError(CaptureError):
    """Nobody answers at the capture's socket, or it ended meanwhile."""

    remedy: ClassVar[Remedy] = Remedy.WAIT


class CaptureTimeoutError(CaptureError):
    """The capture is there, and did not answer in time."""

    remedy: ClassVar[Remedy] = Remedy.RETRY


class CaptureBehindError(CaptureError):
    """A reader was slower than the capture for so long that the events it wanted next are no longer kept."""


class CaptureGarbledError(CaptureError):
    """What came over the capture's socket is no frame of its protocol."""
