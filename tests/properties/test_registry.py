"""The registry at a site: nothing outside it is announced anew, and nothing is ever withdrawn for it.

The histories are those of ``test_agent_guard``, whose checks hold here, too: nothing leaves the speaker that
the guard did not let go, whatever entries come. What an entry covers is found by a model of its own.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from controller.agent import commands
from controller.agent.commands import Surroundings
from controller.agent.registry import Listed, Register, bar, enrol, take
from controller.bgp import Prefix, Route
from controller.safety.registry import (
    Index,
    Loss,
    Owned,
    Registered,
    RegistryEntry,
    RegistryError,
    Revoked,
    compose,
    read_entry,
    sign_entry,
)
from controller.snapshots.model import Chunk
from controller.snapshots.projection import SiteState
from controller.transport.messages import RegistryNews
from tests.properties.test_agent_guard import OPERATIONS, GuardedHistory, Operation, live_through
from tests.properties.test_site_histories import ACCOUNTS, chunk_of, spread

OURS, FORGER = b"r" * 32, b"f" * 32
KEYS = (Ed25519PrivateKey.from_private_bytes(OURS).public_key().public_bytes_raw(),)
OWN_AS, OTHER_AS = 64500, 64511
NOON = datetime(2026, 2, 20, 12, tzinfo=UTC)

Pair = tuple[Prefix, int]
"""A prefix with the AS that originates it."""


def covered(entry: RegistryEntry | None, pair: Pair) -> bool:
    """The model: each line is looked at, by the addresses themselves."""
    if entry is None:
        return False
    wanted = ipaddress.ip_network(pair[0])

    def within(inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: str) -> bool:
        around = ipaddress.ip_network(outer)
        return inner.version == around.version and inner.subnet_of(around)  # type: ignore[arg-type]

    revoked = any(
        within(wanted, r.cidr) or within(ipaddress.ip_network(r.cidr), pair[0]) for r in entry.revoked
    )
    allowed = any(
        within(wanted, r.cidr)
        and 0 < wanted.prefixlen <= r.longest
        and pair[1] in {OWN_AS if asn is None else asn for asn in r.origins}
        for r in entry.registered
    )
    return allowed and not revoked


class RegisteredHistory(GuardedHistory):
    """A guarded site that checks the registry; entries that are wide, narrow, empty, old and forged."""

    kinds = ("withdraw", "delete", "reorigin", "unbind")
    registry_keys = KEYS
    checks = True

    def __init__(self, count: int) -> None:
        self.believed: dict[str, RegistryEntry] = {}
        self.out: dict[str, set[Pair]] = {"a": set(), "b": set()}
        super().__init__(count)

    def chunk(self, bits: int) -> Chunk:
        """Let the second prefix have another origin at times."""
        chunk = chunk_of(bits)
        if not bits >> 26 & 1:
            return chunk
        second = ACCOUNTS[chunk.account_id][1]
        return msgspec.structs.replace(
            chunk,
            prefixes=tuple(
                msgspec.structs.replace(p, asn=OTHER_AS if p.cidr == second else None) for p in chunk.prefixes
            ),
            bgp_prefixes=tuple(
                msgspec.structs.replace(b, asn=OTHER_AS if b.cidr == second else None)
                for b in chunk.bgp_prefixes
            ),
        )

    def registry(self, account: str, bits: int) -> str:
        if not self.checks:
            return ""
        first, second = (Prefix(c) for c in ACCOUNTS[account])
        registered = []
        if bits & 3:
            registered.append(Registered(first, 24 if bits >> 2 & 3 else 23, (None,)))
        if bits >> 4 & 3:
            origins = ((None,), (OTHER_AS,), (None, OTHER_AS), (OTHER_AS,))[bits >> 6 & 3]
            registered.append(Registered(second, 48, origins))
        revoked = (Revoked(Prefix(f"{first[:-3]}/25"), "a test"),) if bits >> 8 & 7 == 0 else ()
        known = self.believed.get(account)
        older = bits >> 12 & 3 == 0 and known is not None
        serial = known.serial - 1 if older and known else (0 if known is None else known.serial) + 1
        entry = RegistryEntry(account, serial, tuple(registered), revoked)
        kind = bits >> 14 & 7
        if kind == 0:
            return ""
        if kind == 1:
            return sign_entry(entry, FORGER)
        if kind == 2:
            return sign_entry(msgspec.structs.replace(entry, account_id="ab"["ba".index(account)]), OURS)
        if not older:
            self.believed[account] = entry
        return sign_entry(entry, OURS)

    def command(self, bits: int) -> None:
        account = "ab"[bits & 1]
        had = self.out[account] & (self.asked(account) | self.standing(account))
        super().command(bits)
        asked = self.asked(account)
        anew = {pair for pair in asked - had if covered(self.believed.get(account), pair)}
        self.out[account] = had & (asked | self.standing(account)) | anew
        let_out = {pair for pair in asked if pair[0] not in self.state.barred_of(account)}
        assert let_out == asked & self.out[account], "what is let out was out, or is covered"
        known = self.state.listed.get(account)
        assert (known.entry if known else None) == self.believed.get(account)

    def news(self, bits: int) -> None:
        """An entry comes without a command: it lets out what it covers, and bars nothing."""
        account = "ab"[bits & 1]
        barred = self.state.barred_of(account)
        text = self.registry(account, spread(bits + 3))
        more = bits >> 30 & 1
        told = RegistryNews("s1", {account: text}, self.state.revocations + more)
        around = Surroundings(registry_keys=KEYS)
        receipt, records = commands.enrol_all(told, self.state, self.projections.asked(self.state), around)
        before = self.state.revocations
        for record in records:
            self.journal(record)
        assert self.state.revocations - before == (more and receipt.outcome == "accepted")
        assert set(self.state.barred_of(account)) <= set(barred)
        now_out = {
            p for p in self.asked(account) if p[0] in barred and p[0] not in self.state.barred_of(account)
        }
        assert all(covered(self.believed.get(account), pair) for pair in now_out)
        self.out[account] |= now_out

    def asked(self, account: str) -> set[Pair]:
        state = self.projections.asked(self.state).get(account)
        return set() if state is None else {(r.prefix, r.as_path[-1]) for r in state.routes}

    def standing(self, account: str) -> set[Pair]:
        standing = self.state.standing.get(account)
        return set() if standing is None else {(r.prefix, r.as_path[-1]) for r in standing.routes}

    def check_quorum_of_new(self, prefixes: set[Prefix]) -> None:
        super().check_quorum_of_new(prefixes)
        out = self.out["a"] | self.out["b"]
        for route in self.facts().desired.routes:
            if route.prefix in prefixes:
                assert (route.prefix, route.as_path[-1]) in out, f"{route} goes out, and nothing covers it"


WITH_NEWS: dict[Operation, int] = {**OPERATIONS, RegisteredHistory.news: 2}  # type: ignore[dict-item]
STEPS = st.tuples(
    st.sampled_from([operation for operation, weight in WITH_NEWS.items() for _ in range(weight)]),
    st.integers(0, 2**32 - 1),
)


@given(machines=st.integers(1, 3), steps=st.lists(STEPS, min_size=20, max_size=60))
def test_nothing_outside_the_registry_goes_out_anew_and_nothing_goes_for_it(
    machines: int, steps: list[tuple[Operation, int]]
) -> None:
    live_through(RegisteredHistory(machines), steps)


def try_all() -> None:
    operations = list(WITH_NEWS)
    for seed in range(200):
        steps = [
            (operations[spread(seed * 97 + i) % len(operations)], spread(seed * 89 + i) & 0xFFFFFFFF)
            for i in range(60)
        ]
        live_through(RegisteredHistory(2), steps)


def test_a_site_that_believes_no_entry_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything out, and the same histories break: the model can fail."""
    monkeypatch.setattr(commands, "bar", lambda known, live, wanted, own_as: known)
    with pytest.raises(AssertionError):
        try_all()


def test_a_registry_that_takes_away_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge what is out already by the newest entry, too, and the same histories break."""
    monkeypatch.setattr(commands, "bar", lambda known, live, wanted, own_as: bar(known, (), wanted, own_as))
    with pytest.raises(AssertionError):
        try_all()


# -- entries -----------------------------------------------------------------------------------------------
def network(base: int, length: int) -> Prefix:
    return Prefix(str(ipaddress.ip_network((base << 16 & 0xFFFFFFFF, length), strict=False)))


PREFIXES = st.builds(network, st.integers(0, 7).map(lambda n: 0xC612 + n), st.integers(0, 24))
ORIGINS = st.sampled_from([None, 64500, 64511, 64512])
ENTRIES = st.builds(
    lambda registered, revoked: RegistryEntry("a", 1, tuple(registered), tuple(revoked)),
    st.lists(st.builds(Registered, PREFIXES, st.integers(8, 24), st.tuples(ORIGINS)), max_size=5),
    st.lists(st.builds(Revoked, PREFIXES, st.just("a test")), max_size=2),
)


@given(ENTRIES, PREFIXES, st.sampled_from([64500, 64511, 64512]))
def test_an_entry_covers_what_one_of_its_lines_does(entry: RegistryEntry, cidr: Prefix, origin: int) -> None:
    assert (Index(entry).against(cidr, origin, OWN_AS) is None) == covered(entry, (cidr, origin))


@given(ENTRIES, ENTRIES, st.sets(st.builds(Route, PREFIXES, st.sampled_from([(64500,), (64500, 64511)]))))
def test_what_is_out_stays_and_what_is_barred_goes_out_once_it_is_covered(
    one: RegistryEntry, other: RegistryEntry, routes: set[Route]
) -> None:
    once = {r.prefix: r for r in sorted(routes)}
    wanted = frozenset(once.values())
    first = bar(Listed(one), (), wanted, OWN_AS)
    out = {r for r in wanted if r.prefix not in first.barred}
    for entry in (other, RegistryEntry("a", 2), None):
        assert set(bar(Listed(entry), out, wanted, OWN_AS).barred) <= set(first.barred)
    newer = sign_entry(msgspec.structs.replace(other, serial=2), OURS)
    lifted = enrol(first, newer, "a", wanted, public_keys=KEYS, own_as=OWN_AS)
    assert set(lifted.barred) == {p for p in first.barred if not covered(other, (p, once[p].as_path[-1]))}
    held, conflicts = Register(OWN_AS).look({"a": SiteState(wanted, frozenset(), {})}, {"a": lifted})
    assert {h.prefix for h in held} == set(lifted.barred)
    assert {c.prefix for c in conflicts} == {
        r.prefix
        for r in wanted
        if r.prefix not in lifted.barred and not covered(other, (r.prefix, r.as_path[-1]))
    }


@given(st.integers(1, 5), st.integers(1, 5), ENTRIES, ENTRIES)
def test_the_newest_entry_is_believed_and_no_older_one(
    a: int, b: int, one: RegistryEntry, other: RegistryEntry
) -> None:
    first, then = (msgspec.structs.replace(e, serial=n) for e, n in ((one, a), (other, b)))
    known = take(Listed(), sign_entry(first, OURS), "a", KEYS)
    assert (known.entry, known.refused) == (first, "")
    after = take(known, sign_entry(then, OURS), "a", KEYS)
    assert after.entry == (then if b > a else first)
    assert bool(after.refused) == (b <= a and then != first)
    assert take(after, sign_entry(then, FORGER), "a", KEYS).entry == after.entry


def test_an_entry_of_another_account_key_or_kind_is_refused() -> None:
    text = sign_entry(RegistryEntry("a", 1), OURS)
    assert read_entry(text, "a", KEYS).serial == 1
    for account, keys, given_text, says in (
        ("b", KEYS, text, "account a's"),
        ("a", (), text, "none of the keys"),
        ("a", KEYS, text[:-4] + "AAAA", "refused"),
        ("a", KEYS, "hs1.x", "no signed record"),
    ):
        with pytest.raises(RegistryError, match=says):
            read_entry(given_text, account, keys)


def test_a_revocation_narrows_what_was_approved_before_it() -> None:
    mine = [Owned(Prefix("198.18.0.0/22"), 64511, NOON), Owned(Prefix("2001:db8::/32"), None, NOON)]

    def revoked(kind: str, cidr: str, minutes: int) -> list[str]:
        loss = Loss(7, kind, Prefix(cidr), NOON + timedelta(minutes=minutes))
        return [r.cidr for r in compose("a", mine, [loss]).revoked]

    assert revoked("legal_order", "198.18.1.0/24", 1) == ["198.18.1.0/24"]
    assert revoked("loa_withdrawn", "198.18.0.0/16", 1) == ["198.18.0.0/22"]
    assert revoked("legal_order", "198.18.1.0/24", -1) == [], "an operator approved it since"
    assert revoked("transfer", "198.18.0.0/22", 1) == [], "whose it is says it"
    assert revoked("legal_order", "203.0.113.0/24", 1) == [], "it is not the account's"
    mine += [Owned(Prefix("198.18.4.0/22"), 64511, NOON + timedelta(minutes=2))]
    assert revoked("legal_order", "198.18.0.0/21", 1) == ["198.18.0.0/22"], "the other was approved since"
    del mine[-1]
    entry = compose("a", mine, ())
    assert [(r.cidr, r.longest, r.origins) for r in entry.registered] == [
        ("198.18.0.0/22", 24, (64511,)),
        ("2001:db8::/32", 48, (None,)),
    ]
