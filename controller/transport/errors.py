"""Errors of the transport.

::

    TransportError
    ├── TransportUnreachableError   nobody answers there (retry)
    ├── TransportRefusedError       the other side answered with an error status
    ├── TransportGarbledError       the answer or the request is not what was agreed
    ├── TransportAddressError       a socket path or host that cannot be used
    └── TransportTlsError           a certificate or key that cannot be used
"""

from __future__ import annotations

from typing import ClassVar

from controller.errors import HeraldError, Remedy


class TransportError(HeraldError):
    """Root of the errors of this package."""


class TransportUnreachableError(TransportError):
    """Nobody answers at that address in time; whether a command arrived is not known."""

    remedy: ClassVar[Remedy] = Remedy.RETRY


class TransportRefusedError(TransportError):
    """The other side answered, with an HTTP status that is no success; ``status`` and ``body`` are its."""

    def __init__(self, message: str, status: int, body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class TransportGarbledError(TransportError):
    """A body that does not decode as the agreed message."""


class TransportAddressError(TransportError):
    """A socket's path is too long, is in use, or cannot be made."""


class TransportTlsError(TransportError):
    """A certificate or key that cannot be read, or does not fit the other."""
