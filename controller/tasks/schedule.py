"""When a task is due (pure): every so many seconds, or by a line as in crontab(5), in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from controller.tasks.errors import ScheduleError


@dataclass(frozen=True, slots=True)
class Every:
    """Once in ``seconds``, counted from the last time; a time that was missed is not made up for."""

    seconds: int

    def __post_init__(self) -> None:
        if self.seconds < 1:
            raise ScheduleError(f"every {self.seconds} s is no interval: give at least 1")

    def after(self, now: datetime) -> datetime:
        """Return when it is due next, being done at ``now``."""
        return now + timedelta(seconds=self.seconds)

    def __str__(self) -> str:
        return f"every {self.seconds} s"


@dataclass(frozen=True, slots=True)
class Cron:
    """By five fields as in crontab(5): minute, hour, day, month, day of the week; in UTC."""

    line: str

    def __post_init__(self) -> None:
        from croniter import croniter  # noqa: PLC0415 (only where a schedule is given as a line)

        if len(self.line.split()) != 5 or not croniter.is_valid(self.line):
            raise ScheduleError(f"{self.line!r} is no line of five fields as in crontab(5)")

    def after(self, now: datetime) -> datetime:
        """Return when it is due next, after ``now``."""
        from croniter import croniter  # noqa: PLC0415

        found = croniter(self.line, now.astimezone(UTC)).get_next(datetime)
        assert isinstance(found, datetime)
        return found

    def __str__(self) -> str:
        return f"cron {self.line}"


Schedule = Every | Cron
