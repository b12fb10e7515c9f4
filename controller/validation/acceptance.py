"""Whether a set of VRPs may take the last good one's place (pure): SAFETY.md, 11.

What is empty or has suddenly shrunk says more about its source than about the world.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.validation.errors import ShrunkenError


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """``percent``: what may go missing at once; losses of up to ``floor`` VRPs never count."""

    percent: float = 20.0
    floor: int = 5


def accept(name: str, kept: int | None, lost: int | None, offered: int, limit: Shrinkage) -> None:
    """Refuse (:class:`ShrunkenError`) a set of ``offered`` VRPs from the source ``name``.

    ``kept``: VRPs of the last good set, None when there is none; ``lost``: how many of those are not in the
    new set; None when only the number is known.
    """
    if offered == 0:
        left = "nothing is known yet" if kept is None else f"the last good set of {kept} VRPs stands"
        raise ShrunkenError(f"{name} has no VRP at all, which cannot be true: {left}", kept or 0, 0)
    if kept is None:
        return
    gone = max(kept - offered, 0) if lost is None else lost
    if gone > limit.floor and gone * 100 > kept * limit.percent:
        raise ShrunkenError(
            f"{name} lost {gone} of {kept} VRPs (it has {offered} now), more than {limit.percent:g} %: the "
            "last good set stands; look at the source, and accept its set if it is right",
            kept,
            offered,
        )
