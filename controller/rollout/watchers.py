"""The gatekeeper of a controller that has observers: asks agents, looks around, and has the gates judge.

Everything that blocks runs in worker threads. What cannot be seen is part of the evidence; nothing is raised
for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from controller.bgp import AsPath, Prefix, prefix_key
from controller.observe.evidence import Moment, Word
from controller.rollout import gates
from controller.rollout.baselines import Baselines
from controller.rollout.gatekeeper import GateAnswer, GateQuestion
from controller.safety.policy import Policy
from controller.transport.errors import TransportError
from controller.transport.protocol import SiteLink

PROBED = 16
"""Prefixes of a change that are probed, at most: the first of them by hash."""
SAMPLED = 8
"""Unchanged prefixes that are probed at each site beside them."""
LOOKS = 3
"""How often a baseline that fails is looked at, before it does: a change next door may be on its way."""
SETTLE_S = 2.0
AGENT_S = 5.0
"""Seconds within which an agent, and its speaker, must answer a gate."""


class Look(Protocol):
    """Whoever gathers evidence; see :class:`controller.observe.looking.Looker`."""

    def look(
        self,
        sites: Sequence[str],
        touched: Sequence[Prefix],
        targets: Mapping[Prefix, str],
        mine: frozenset[Prefix],
    ) -> Moment:
        """Look around sites; blocking."""
        ...


class Intent(Protocol):
    """What is wanted of prefixes; see :class:`controller.rollout.intended.Intended`. Blocking."""

    def addresses(self, prefixes: Sequence[Prefix]) -> dict[Prefix, str]:
        """Return an address to probe in each prefix of which something is bound."""
        ...

    def owned(self, account_id: str, prefixes: Sequence[Prefix]) -> frozenset[Prefix]:
        """Return those that are the account's."""
        ...

    def gone(self, site: str, prefixes: frozenset[Prefix]) -> frozenset[Prefix]:
        """Return those that the site is not to announce any more."""
        ...

    def unasked(self, question: GateQuestion) -> tuple[Prefix, ...]:
        """Return the withdrawn prefixes that nobody asked to have withdrawn."""
        ...


class Watchers:
    """Looks at sites before and after each wave (:class:`controller.rollout.gatekeeper.Gatekeeper`)."""

    def __init__(
        self,
        links: Mapping[str, SiteLink],
        looker: Look,
        intended: Intent,
        baselines: Baselines,
        *,
        policy: Callable[[], Policy] = Policy,
        clock: Callable[[], float] = time.monotonic,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._links = links
        self._looker = looker
        self._intended = intended
        self._baselines = baselines
        self._policy = policy
        self._clock = clock
        self._settle_s = settle_s

    async def baseline(self, question: GateQuestion) -> GateAnswer:
        """Look before anything is sent, and keep what was seen for :meth:`judge`."""
        unasked = await asyncio.to_thread(self._intended.unasked, question)
        question = msgspec.structs.replace(question, unasked=(*question.unasked, *unasked))
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(self._settle_s)
            words = await self._words(question)
            moment = await asyncio.to_thread(self._look, question, words, None)
            answer = gates.baseline(question, self._policy(), moment)
            if answer.outcome != "fail":
                break
        await asyncio.to_thread(self._baselines.keep, question.rollout_id, question.wave, moment)
        return answer

    async def judge(self, question: GateQuestion) -> GateAnswer:
        """Look once, and compare with the baseline and with the control."""
        before = await asyncio.to_thread(self._baselines.of, question.rollout_id, question.wave)
        words = await self._words(question)
        after = await asyncio.to_thread(self._look, question, words, before)
        gone = {} if before is None else await asyncio.to_thread(self._gone, question, before, after)
        return gates.judge(question, self._policy(), before, after, now=self._clock(), gone=gone)

    async def _words(self, question: GateQuestion) -> list[Word]:
        sites = (*question.changed, *question.unchanged)
        return list(await asyncio.gather(*(self._word(site) for site in sites)))

    async def _word(self, site: str) -> Word:
        link = self._links.get(site)
        if link is None:
            return Word(site, None, None, "it is no site of this controller")
        status = None
        try:
            async with asyncio.timeout(AGENT_S):
                status = await link.status()
                rows = await link.adj_rib_out()
        except TransportError as error:
            return Word(site, status, None, str(error))
        except TimeoutError:
            return Word(site, status, None, f"no answer within {AGENT_S:g} s")
        sent: dict[Prefix, AsPath] = {row.prefix: row.as_path for row in rows}
        return Word(site, status, sent)

    def _look(self, question: GateQuestion, words: Sequence[Word], before: Moment | None) -> Moment:
        touched = [prefix for prefix, _ in question.footprint.bgp]
        sample = _sample(words, touched) if before is None else [p.prefix for p in before.probes]
        asked = list(dict.fromkeys([*_first(touched, PROBED), *sample]))
        targets = self._intended.addresses(asked)
        mine = self._intended.owned(question.account_id, asked) | set(touched)
        sites = (*question.changed, *question.unchanged)
        seen = self._looker.look(sites, touched, targets, frozenset(mine))
        return msgspec.structs.replace(seen, words=tuple(words))

    def _gone(self, question: GateQuestion, before: Moment, after: Moment) -> dict[str, frozenset[Prefix]]:
        lost: dict[str, set[Prefix]] = {site: set() for site in (*question.changed, *question.unchanged)}
        now = {
            (s.kind, s.observer, s.site, s.family): s.holds.keys() for s in after.sights if s.state == "told"
        }
        for old in before.sights:
            key = (old.kind, old.observer, old.site, old.family)
            if old.site in lost and key in now:
                lost[old.site] |= old.holds.keys() - now[key]
        for probe in after.probes:
            if probe.site in lost and probe.through != "answered":
                lost[probe.site].add(probe.prefix)
        return {site: self._intended.gone(site, frozenset(found)) for site, found in lost.items()}


def _sample(words: Sequence[Word], touched: Sequence[Prefix]) -> list[Prefix]:
    """Choose unchanged prefixes that sites send: the same ones whoever asks, and spread over all."""
    sent = {p for word in words for p in word.sent or ()}.difference(touched)
    return _first(sent, SAMPLED)


def _first(prefixes: Sequence[Prefix] | set[Prefix], count: int) -> list[Prefix]:
    chosen = sorted(prefixes, key=lambda p: hashlib.sha256(p.encode()).digest())[:count]
    return sorted(chosen, key=prefix_key)
