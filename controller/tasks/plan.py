"""What a task means to do (pure): calls that name their objects, and the hash by which a plan is approved."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec


class Touched(msgspec.Struct, frozen=True, order=True):
    """An object that a step changes, as a person knows it."""

    id: str
    account_id: str
    cidr: str


class Step(msgspec.Struct, frozen=True):
    """One writing call. ``objects``: each that its body names, in the same order."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    body: dict[str, Any]
    objects: tuple[Touched, ...]


class Plan(msgspec.Struct, frozen=True):
    """What is to be done, in order; ``notes``: what was seen and is left alone, and why; for people."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()


class Foretold(msgspec.Struct, frozen=True):
    """A step and what the API's dry run foretold of it: the answer's ``plan``, or why it would refuse."""

    step: Step
    plan: dict[str, Any] | None
    refusal: str | None = None


class Proposal(msgspec.Struct, frozen=True):
    """A plan after its dry run: ``steps`` can be carried out, ``left_out`` the API would refuse."""

    steps: tuple[Foretold, ...] = ()
    left_out: tuple[Foretold, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def objects(self) -> int:
        """How many objects it would change."""
        return sum(len(f.step.objects) for f in self.steps)

    @property
    def hash(self) -> str:
        """Name the steps and their foretold effects; an approval is for exactly these.

        Shares of the fleet are not in it: they move with what others do, and say nothing of what this does.
        """
        parts = [(f.step, (f.plan or {}).get("change_sets")) for f in self.steps]
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
