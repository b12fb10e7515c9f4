"""Which tasks there are: the product's own, and other packages' by the entry points ``herald.tasks``."""

from __future__ import annotations

from importlib.metadata import entry_points

import structlog

from controller.tasks.clean_up import CLEAN_UP
from controller.tasks.declaration import Task
from controller.tasks.removals_report import REMOVALS_REPORT

log = structlog.get_logger()

GROUP = "herald.tasks"
OWN = (CLEAN_UP, REMOVALS_REPORT)


def declared_tasks() -> tuple[Task, ...]:
    """Return all declared tasks, in the order of their names.

    An entry point names a :class:`Task`; one of the same name as a task that is there stands in its place,
    since that is what the release that brings it means to run. One that cannot be loaded is left out, loudly:
    without its tasks the API still has to be there.
    """
    found = {task.name: task for task in OWN}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            task = entry.load()
        except Exception as error:  # noqa: BLE001 (a plugin is anybody's code)
            log.critical("a task cannot be loaded, and is left out", entry=entry.value, error=repr(error))
            continue
        if isinstance(task, Task):
            found[task.name] = task
        else:
            log.critical("an entry point is no task, and is left out", entry=entry.value)
    return tuple(found[name] for name in sorted(found))
