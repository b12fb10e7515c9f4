"""A year of ordinary work, drawn from one seed. The rates are guesses, on the busy side, each with a name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from controller.bgp import Prefix
from tests.year.fleet import Change, Fleet

HOUR, DAY = 3600.0, 86400.0
YEAR_DAYS = 365


@dataclass(frozen=True)
class Rates:
    """How often each kind of work comes.

    ``toggles``: times a year that a prefix is withdrawn by its owner, and announced again. ``bulk``: times a
    year that an account withdraws all it has (maintenance); ``careless``: the share of those with more than
    twenty prefixes that do so at once, and not as a migration, as they are told to. ``nightly``: accounts
    whose automation withdraws at 02:00 sharp, each night. ``flaps``: episodes a day of a service that goes on
    and off for an hour. ``migrations``: large accounts that move away, a year. ``drains``: times a year that
    each site is drained. ``onboarding``: prefixes announced for the first time, a day. ``removals``: prefixes
    a day that the clean-up removes, as their owners asked. ``orders``: prefixes a week that two operators
    withdraw (abuse, legal orders). ``slips``: times a week that one operator withdraws a prefix alone.
    """

    toggles: float = 4.0
    bulk: float = 0.25
    careless: float = 0.1
    nightly: int = 12
    flaps: float = 3.0
    migrations: float = 8.0
    drains: float = 2.0
    onboarding: float = 6.0
    removals: float = 4.0
    orders: float = 5.0
    slips: float = 2.0


def year(fleet: Fleet, chance: random.Random, rates: Rates, days: int = YEAR_DAYS) -> list[Change]:
    """Return all changes of so many days, in order."""
    found: list[Change] = []
    for part in (_toggles, _bulk, _nightly, _flaps, _migrations, _drains, _onboarding, _removals, _operators):
        found += part(fleet, chance, rates, days)
    return sorted(found, key=lambda c: c.at)


def _some(chance: random.Random, rate: float) -> int:
    """Return a count with that mean."""
    return int(rate) + (chance.random() < rate % 1)


def _working_time(chance: random.Random, days: int) -> float:
    """Return a moment; three of four fall into working hours."""
    hour = chance.gauss(13, 3) % 24 if chance.random() < 0.75 else chance.uniform(0, 24)
    return chance.randrange(days) * DAY + hour * HOUR


def _pair(
    at: float, back: float, kind: str, account: str, prefixes: tuple[Prefix, ...]
) -> tuple[Change, Change]:
    """Return an owner's withdrawal and the announcement that ends it."""
    actor = f"customer:{account}"
    return (
        Change(at, kind, account, actor, "withdraw", prefixes, "owner"),
        Change(back, kind, account, actor, "announce", prefixes),
    )


def _toggles(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    for account, prefixes in fleet.accounts.items():
        for _ in range(_some(chance, rates.toggles * len(prefixes) * days / YEAR_DAYS)):
            at = _working_time(chance, days)
            some = (chance.choice(prefixes),)
            yield from _pair(at, at + chance.expovariate(1 / (4 * HOUR)), "toggle", account, some)


def _bulk(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    for account, prefixes in fleet.accounts.items():
        for _ in range(_some(chance, rates.bulk * days / YEAR_DAYS)):
            at = _working_time(chance, days)
            if len(prefixes) <= 20 or chance.random() < rates.careless:
                yield from _pair(at, at + 4 * HOUR, "maintenance", account, prefixes)
            else:
                yield from _moving(at, at + 6 * HOUR, "maintenance", account, prefixes)


def _moving(
    at: float, back: float, kind: str, account: str, prefixes: tuple[Prefix, ...]
) -> Iterator[Change]:
    """Give an owner's migration: ten prefixes a minute, each seen elsewhere first; and its end."""
    actor = f"customer:{account}"
    for n, start in enumerate(range(0, len(prefixes), 10)):
        some = prefixes[start : start + 10]
        yield Change(
            at + 60 * n, kind, account, actor, "withdraw", some, "owner", "migration", elsewhere=True
        )
    yield Change(back, kind, account, actor, "announce", prefixes)


def _nightly(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    accounts = sorted(fleet.accounts, key=lambda a: len(fleet.accounts[a]))[-rates.nightly * 4 :]
    for account in chance.sample(accounts, min(rates.nightly, len(accounts))):
        some = fleet.accounts[account][: 1 + chance.randrange(3)]
        for day in range(days):
            at = day * DAY + 2 * HOUR + chance.uniform(0, 10)
            yield from _pair(at, at + 1200 + chance.uniform(0, 60), "nightly", account, some)


def _flaps(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    for _ in range(_some(chance, rates.flaps * days)):
        account = chance.choice(list(fleet.accounts))
        some = fleet.accounts[account][: 1 + chance.randrange(2)]
        at = _working_time(chance, days)
        end = at + HOUR
        while at < end:
            back = at + chance.uniform(20, 120)
            yield from _pair(at, back, "flapping", account, some)
            at = back + chance.uniform(20, 180)


def _migrations(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    large = sorted(fleet.accounts, key=lambda a: -len(fleet.accounts[a]))[:20]
    for _ in range(_some(chance, rates.migrations * days / YEAR_DAYS)):
        account, at = chance.choice(large), _working_time(chance, days)
        # They come back after a month: the year needs no new customers.
        yield from _moving(at, at + 30 * DAY, "migration", account, fleet.accounts[account])


def _drains(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    for site in fleet.sites:
        for _ in range(_some(chance, rates.drains * days / YEAR_DAYS)):
            at = _working_time(chance, days)
            # As change-sets of the lane, one an account: harder on the guards than the overlay of a drain.
            # A sample keeps the year short.
            for account in chance.sample(list(fleet.accounts), min(8, len(fleet.accounts))):
                some = fleet.accounts[account]
                common = ("drain", account, f"operator:noc{chance.randrange(4)}")
                yield Change(at, *common, "withdraw", some, "operators", "drain", (site,))
                yield Change(at + 2 * HOUR, *common, "announce", some, "", None, (site,))


def _onboarding(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    for _ in range(_some(chance, rates.onboarding * days)):
        account = chance.choice(list(fleet.accounts))
        some = (chance.choice(fleet.accounts[account]),)
        yield Change(
            _working_time(chance, days), "onboarding", account, f"customer:{account}", "announce", some
        )


def _removals(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    for day in range(days):
        for n in range(_some(chance, rates.removals)):
            account = chance.choice(list(fleet.accounts))
            some = (chance.choice(fleet.accounts[account]),)
            at = day * DAY + 4 * HOUR + 5 * n
            yield Change(at, "clean-up", account, "task:clean-up", "unbind", some, "owner")
            yield Change(at + HOUR, "clean-up", account, f"customer:{account}", "bind", some)


def _operators(fleet: Fleet, chance: random.Random, rates: Rates, days: int) -> Iterator[Change]:
    for kind, rate, asked in (("order", rates.orders, "operators"), ("slip", rates.slips, "")):
        for _ in range(_some(chance, rate * days / 7)):
            account = chance.choice(list(fleet.accounts))
            some = (chance.choice(fleet.accounts[account]),)
            at = _working_time(chance, days)
            yield Change(at, kind, account, f"operator:noc{chance.randrange(4)}", "withdraw", some, asked)
            yield Change(at + DAY, kind, account, f"customer:{account}", "announce", some)
