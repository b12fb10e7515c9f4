"""Whether a call lies in the scope that its task foretold (pure): the guard ``tasks``.

It is asked before a call leaves. The token's scopes and the API's own refusals stand behind it, and neither
trusts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.addressing.permissions import Verb
from controller.tasks.declaration import Foreseen, Selected


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a task tries. ``resource``: the tag of the route that would answer; None if none would."""

    method: str
    path: str
    resource: str | None
    verb: Verb
    query: Sequence[tuple[str, str]] = ()
    body: Mapping[str, Any] | None = None

    @property
    def count(self) -> int:
        """How many objects it would change."""
        if self.verb == "read":
            return 0
        ids = None if self.body is None else self.body.get("ids")
        return len(ids) if isinstance(ids, Sequence) and not isinstance(ids, str) else 1


def outside(call: Call, foreseen: Sequence[Foreseen], changed: Mapping[str, int]) -> str | None:
    """Return why ``call`` is outside of ``foreseen``, or None.

    ``changed``: how many objects of each resource this run has changed already.
    """
    allowed = [f for f in foreseen if f.resource == call.resource and call.verb in f.verbs]
    if not allowed:
        return f"{call.method} {call.path} ({call.resource}:{call.verb}) is not in the foreseen scope"
    whys = [_why(call, part, changed.get(part.resource, 0)) for part in allowed]
    return None if None in whys else whys[0]


def _why(call: Call, part: Foreseen, changed: int) -> str | None:
    for name, value in part.selector.items():
        if not _states(call, name, value):
            return f"{call.method} {call.path} does not state {name}={_text(value)}, as was foreseen"
    if call.verb == "read":
        return None
    if call.body is not None and "ids" in call.body and call.body.get("expected_count") != call.count:
        expected = call.body.get("expected_count")
        return f"{call.method} {call.path} names {call.count} objects and expects {expected}"
    if changed + call.count > part.at_most:
        return (
            f"{call.method} {call.path} would change {call.count} objects, after {changed} in this run: "
            f"at most {part.at_most} were foreseen"
        )
    return None


def _states(call: Call, name: str, value: Selected) -> bool:
    if call.verb == "read":
        return [v for n, v in call.query if n == name] == [_text(value)]
    selector = None if call.body is None else call.body.get("selector")
    if not isinstance(selector, Mapping) or name not in selector:
        return False
    found = selector[name]
    return type(found) is type(value) and found == value


def _text(value: Selected) -> str:
    return value if isinstance(value, str) else str(value).lower()
