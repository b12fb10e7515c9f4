"""What the lab process and its callers say to each other: JSON, a line each.

A caller sends one :class:`Request`, with descriptors beside it where it is ``exec``; the answer is any number
of ``progress`` and ``warning`` lines and one last line, ``result`` or ``error``. Closing the connection takes
the request back as far as that is possible.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import msgspec

from controller.errors import HeraldError
from labs.runtimes import errors

CONTROL_S = 60.0
"""Seconds that the lab process may be silent before its caller gives up on it."""


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a phase has come."""

    phase: str
    done: int = 0
    total: int = 0


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """``op``: status, restart, signal, exec, up, down, or hold, which ends the lab with the connection.

    The other fields are for the ops that need them.
    """

    op: str
    name: str = ""
    argv: tuple[str, ...] = ()
    number: int = 0
    digest: str = ""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an answer: exactly one of its fields is set."""

    progress: Progress | None = None
    warning: str | None = None
    result: Any = None
    error: str | None = None
    family: str = ""
    """The class of the error, in labs.runtimes.errors."""


OnProgress = Callable[[Progress], None]
OnWarning = Callable[[str], None]


def send_line(sock: socket.socket, line: Line) -> None:
    """Send one line; OSError when the caller is gone."""
    sock.sendall(msgspec.json.encode(line) + b"\n")


def error_line(error: HeraldError) -> Line:
    """Return the last line of an answer that is an error."""
    return Line(error=str(error), family=type(error).__name__)


def read_answer(
    sock: socket.socket, on_progress: OnProgress | None = None, on_warning: OnWarning | None = None
) -> Any:
    """Read an answer's lines to the last; return its result, or raise its error.

    Raises :class:`labs.runtimes.errors.LabControlError` when the lab process ends without one.
    """
    with sock.makefile("rb") as lines:
        for raw in lines:
            line = msgspec.json.decode(raw, type=Line)
            if line.progress is not None:
                if on_progress is not None:
                    on_progress(line.progress)
            elif line.warning is not None:
                if on_warning is not None:
                    on_warning(line.warning)
            elif line.error is not None:
                family = getattr(errors, line.family, errors.LabStartError)
                raise family(line.error)
            else:
                return line.result
    raise errors.LabControlError("the lab process ended without an answer")
