"""Asks those who look, for every staged roll-out that wants a look, until they have answered.

Level-triggered: which roll-outs want one is in their state, which is on disk, so that a question that was
open at a crash is asked again. An answer that comes late is an entry of the roll-out's table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn, Protocol

import structlog

from controller.bgp import Prefix
from controller.errors import HeraldError
from controller.rollout.course import Rollout
from controller.rollout.crash_points import crash_point
from controller.rollout.events import BaselineLooked, Event, GateAnswered, Replanned
from controller.rollout.gatekeeper import GateAnswer, Gatekeeper, GateQuestion
from controller.rollout.states import FINISHED, RolloutState
from controller.rollout.tracked import Terms, Tracked
from controller.rollout.waves import plan_waves

ASK_AGAIN_S = 0.5
"""Seconds after an unclear answer before the question is asked again."""

DRAINED = "it is drained: what is changed does not show there"

log = structlog.get_logger()


class Hides(Protocol):
    """Says whether a change of some prefixes does not show at a site, since that is drained."""

    def __call__(self, site: str, prefixes: Collection[Prefix], *, subtractive: bool) -> bool:
        """Tell whether nobody is to look there."""
        ...


def shows_all(site: str, prefixes: Collection[Prefix], *, subtractive: bool) -> bool:
    """Tell of no site that anything is hidden there: none is drained."""
    return False


class Looker:
    """The questions that are open. ``step`` gives an event to a roll-out; ``terms``: as they are now.

    A site that ``hides`` the change gets what others get, and is neither canary nor control.
    """

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        followed: Callable[[], Iterable[Tracked]],
        step: Callable[[Tracked, Event], None],
        terms: Callable[[], Terms],
        hides: Hides = shows_all,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._followed = followed
        self._step = step
        self._terms = terms
        self._hides = hides
        self._wake = asyncio.Event()
        self._asking: set[str] = set()

    def wake(self) -> None:
        """A roll-out may want a look."""
        self._wake.set()

    async def run(self) -> NoReturn:
        """Ask for ever."""
        self._asking.clear()
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for tracked in list(self._followed()):
                    if tracked.rollout.wants_look and tracked.rollout.id not in self._asking:
                        self._asking.add(tracked.rollout.id)
                        group.create_task(self._look(tracked), name=f"gate of {tracked.rollout.id}")
        raise AssertionError("a task that never ends has ended")

    async def _look(self, tracked: Tracked) -> None:
        try:
            while tracked.rollout.wants_look:
                asked = (tracked.rollout.state, tracked.rollout.wave)
                if tracked.rollout.state is RolloutState.PLANNED:
                    await self._baseline(tracked)
                else:
                    await self._gate(tracked)
                if tracked.rollout.wants_look and asked == (tracked.rollout.state, tracked.rollout.wave):
                    await asyncio.sleep(ASK_AGAIN_S)
        finally:
            self._asking.discard(tracked.rollout.id)

    async def _gate(self, tracked: Tracked) -> None:
        rollout = tracked.rollout
        sites = [s for s in _wave(rollout) if rollout.sites[s].state in FINISHED]
        answer = await self._ask(tracked, tuple(sites), before=False)
        crash_point("gate-answered")
        self._step(tracked, GateAnswered(rollout.wave, answer.outcome, answer.reason, dict(answer.evidence)))

    async def _baseline(self, tracked: Tracked) -> None:
        rollout = tracked.rollout
        if rollout.wave == 0 and not await self._choose(tracked):
            return  # other canaries were chosen, or all sites fail: look again
        answer = await self._ask(tracked, _wave(tracked.rollout), before=True)
        crash_point("baseline-answered")
        self._step(
            tracked, BaselineLooked(rollout.wave, answer.outcome, answer.reason, dict(answer.evidence))
        )

    async def _choose(self, tracked: Tracked) -> bool:
        """Look at each canary by itself, and plan others for those that fail; False: it has been answered."""
        unfit: dict[str, str] = {}
        while True:
            rollout = tracked.rollout
            new = {}
            for site in _wave(rollout):
                if site not in unfit and self._hidden(tracked, site):
                    new[site] = DRAINED
                elif site not in unfit:
                    answer = await self._ask(tracked, (site,), before=True)
                    if answer.outcome == "fail":
                        new[site] = answer.reason
            if not new:
                return True
            unfit |= new
            terms = self._terms()
            plan = plan_waves(
                rollout.id,
                list(rollout.sites),
                terms.policy.waves,
                gated=True,
                touched=rollout.course.touched,
                kinds=terms.kinds,
                unfit=unfit,
            )
            if set(plan.waves[0]) & unfit.keys() & set(rollout.course.touched):
                why = "no site is fit to go first: " + "; ".join(
                    f"{s}: {w}" for s, w in sorted(unfit.items())
                )
                self._step(tracked, BaselineLooked(0, "fail", why))
                return False
            log.info("other canaries are chosen", rollout=rollout.id, unfit=sorted(unfit),
                     canaries=plan.waves[0])  # fmt: skip
            self._step(tracked, Replanned(plan.waves, plan.control))

    async def _ask(self, tracked: Tracked, sites: tuple[str, ...], *, before: bool) -> GateAnswer:
        rollout = tracked.rollout
        hidden = {s for s in (*sites, *rollout.course.control) if self._hidden(tracked, s)}
        if sites and hidden.issuperset(sites):
            return GateAnswer("pass", f"{', '.join(sites)}: {DRAINED}")
        question = GateQuestion(
            rollout_id=rollout.id,
            account_id=rollout.account_id,
            wave=rollout.wave,
            changed=tuple(s for s in sites if s not in hidden),
            unchanged=tuple(
                s for s in rollout.course.control if rollout.sites[s].wave > rollout.wave and s not in hidden
            ),
            footprint=tracked.footprint,
            subtractive=rollout.course.subtractive,
            began=tracked.began,
        )
        try:
            asked = self._gatekeeper.baseline if before else self._gatekeeper.judge
            return await asked(question)
        except HeraldError as error:
            return GateAnswer("error", str(error))

    def _hidden(self, tracked: Tracked, site: str) -> bool:
        prefixes = [prefix for prefix, _ in tracked.footprint.bgp]
        return self._hides(site, prefixes, subtractive=tracked.rollout.course.subtractive)


def _wave(rollout: Rollout) -> tuple[str, ...]:
    return tuple(sorted(name for name, s in rollout.sites.items() if s.wave == rollout.wave))
