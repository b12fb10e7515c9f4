"""Errors of topology files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controller.errors import HeraldError


def one_line(text: str) -> str:
    """Return ``text`` with what cannot be printed, line breaks above all, written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which file and line (from 1), under which key, and what is allowed."""

    file: Path
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return one_line(f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}")


class TopologyError(HeraldError):
    """A topology that cannot be used; ``problems`` has all that was found, in the order of the file."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    @classmethod
    def of(cls, problems: list[Problem]) -> TopologyError:
        """Return the error that tells of all ``problems``, a line each."""
        ordered = tuple(sorted(problems, key=lambda p: p.line))
        return cls("\n".join(str(p) for p in ordered), ordered)
