"""Named places at which this process kills itself when it is told to: ``HERALD_CRASH_AT=name[:n]``.

That is how it is proved that a crash anywhere ends as the law says (``scripts/crash-rollouts``): the real
process, by SIGKILL, at its n-th passing of the place. Without the variable a place costs one comparison.

==========================  =====================================================================
``admission-unwritten``     a change-set is compiled, its roll-out not committed
``admission-written``       it is committed, nobody has heard of it
``rollback-unwritten``      a rollback's record, pins and halves are there, and not committed
``rollback-written``        committed, whoever asked has no answer
``<stage>-unwritten``       ``rollback-half`` (the additive ones first), ``delete`` (the first half, with the
                            second queued behind it), ``removal`` (the second): begun, not committed
``<stage>-written``         committed, nobody has heard of it
``<act>-unwritten``         ``deliver``, ``confirm``, ``revert``, ``conclude``: decided, not committed
``<act>-written``           committed, not begun
``generation-reserved``     a command has its generation, and was not sent
``command-received``        the site has journalled it, the receipt was not looked at
``confirming``              a site is about to be told that it is final
``confirmation-received``   it was told, nobody knows that
``baseline-answered``       a wave was looked at before it is sent, the answer was not taken in
``gate-answered``           the same for a gate
``bake-over``               the time is over, the next wave has not begun
``revert-over``             every site is back, the roll-out does not say so
==========================  =====================================================================
"""

from __future__ import annotations

import os
import signal

ACTS = ("deliver", "confirm", "revert", "conclude")
STAGES = ("rollback-half", "delete", "removal")
NAMES = (
    "admission-unwritten",
    "admission-written",
    "rollback-unwritten",
    "rollback-written",
    *(f"{act}-{when}" for act in (*STAGES, *ACTS) for when in ("unwritten", "written")),
    "generation-reserved",
    "command-received",
    "confirming",
    "confirmation-received",
    "baseline-answered",
    "gate-answered",
    "bake-over",
    "revert-over",
)

_name, _, _times = os.environ.get("HERALD_CRASH_AT", "").partition(":")
_left = int(_times or 1)


def crash_point(name: str) -> None:
    """Kill this process by SIGKILL if this is the place that ``HERALD_CRASH_AT`` names."""
    global _left  # noqa: PLW0603 (one process, one crash)
    if name != _name:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
