"""How many calls a token may make, and how often an address may fail to say who it is.

Moving windows of the ``limits`` library, kept in this process. Each window is counted in hundredths, so
that one takes a few kilobytes however many calls it allows, and only so many are kept: the one that was not
used for longest goes first.
"""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from limits import RateLimitItemPerSecond
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from controller.addressing.errors import AddressingError
from controller.addressing.permissions import Caller

PARTS = 100
"""A window's parts: a call counts until its part is over, so never for less than the window."""

MOST_WINDOWS = 10_000
OPERATORS_TIMES = 50


class RateError(AddressingError):
    """A rate that cannot be read; a person must give another."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``calls`` in any ``seconds``."""

    calls: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return ``CALLS/SECONDS``; raises :class:`RateError`."""
        found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,5})", text)
        if found is None:
            raise RateError(f"{text!r} is no CALLS/SECONDS, such as 1200/300")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Rates:
    """``failures``: calls without a good token, an address; ``local_failures``: all on a unix socket."""

    customer: Rate = Rate(1_200, 300)
    operator: Rate = Rate(60_000, 300)
    failures: Rate = Rate(600, 300)
    local_failures: Rate = Rate(6_000, 300)

    @classmethod
    def of_calls(cls, rate: Rate) -> Rates:
        """Return the rates with another one for customers and tasks, and 50 times that for operators."""
        return cls(customer=rate, operator=Rate(rate.calls * OPERATORS_TIMES, rate.seconds))


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a quota is left; ``reset_s``: seconds until more of it is free."""

    policy: str
    rate: Rate
    left: int
    reset_s: int
    allowed: bool

    def headers(self) -> dict[str, str]:
        """Return the headers of draft-ietf-httpapi-ratelimit-headers-10."""
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.rate.calls};w={self.rate.seconds}',
            "RateLimit": f'"{self.policy}";r={self.left};t={self.reset_s}',
        }


class Limiter:
    """Counts calls; used from one thread (the event loop's). ``clock``: seconds, monotonic."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = rates
        self._clock = clock
        # Apart, so that a flood from many addresses makes no token's window be forgotten.
        self._calls = MovingWindowRateLimiter(WindowStorage(clock))
        self._failures = MovingWindowRateLimiter(WindowStorage(clock))

    def call(self, caller: Caller) -> Standing:
        """Count one call of a token, and tell whether it is within the token's rate."""
        policy, rate = "customer", self._rates.customer
        if caller.is_operator:
            policy, rate = "operator", self._rates.operator
        return self._hit(self._calls, policy, rate, caller.token_id)

    def failure(self, address: str | None) -> Standing:
        """Count one failure to authenticate; ``address`` None: on a unix socket."""
        return self._hit(self._failures, *self._failing(address))

    def failed(self, address: str | None) -> Standing:
        """Tell where an address stands, without counting anything."""
        policy, rate, key = self._failing(address)
        item = _item(rate)
        return self._standing(self._failures, policy, rate, key, self._failures.test(item, key))

    def _failing(self, address: str | None) -> tuple[str, Rate, str]:
        if address is None:
            return "failures", self._rates.local_failures, "unix"
        return "failures", self._rates.failures, address

    def _hit(self, limiter: MovingWindowRateLimiter, policy: str, rate: Rate, key: str) -> Standing:
        return self._standing(limiter, policy, rate, key, limiter.hit(_item(rate), key))

    def _standing(
        self, limiter: MovingWindowRateLimiter, policy: str, rate: Rate, key: str, allowed: bool
    ) -> Standing:
        stats = limiter.get_window_stats(_item(rate), key)
        reset_s = max(math.ceil(stats.reset_time - self._clock()), 1)
        return Standing(policy, rate, max(stats.remaining, 0), reset_s, allowed)


def _item(rate: Rate) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(rate.calls, rate.seconds)


@dataclass(slots=True)
class _Window:
    """Calls by part, oldest first: when the part ends, and how many there were."""

    parts: deque[tuple[float, int]] = field(default_factory=deque)
    count: int = 0


class WindowStorage(Storage, MovingWindowSupport):
    """Moving windows in memory, bounded in number and size."""

    STORAGE_SCHEME = ["herald-memory"]  # noqa: RUF012 (the library's own declaration)

    def __init__(self, clock: Callable[[], float], most: int = MOST_WINDOWS) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count ``amount`` calls unless they are more than ``limit`` in ``expiry`` seconds."""
        window, now = self._current(key, expiry), self._clock()
        if window.count + amount > limit:
            return False
        size = expiry / PARTS
        end = (math.floor(now / size) + 1) * size
        if window.parts and window.parts[-1][0] == end:
            window.parts[-1] = (end, window.parts[-1][1] + amount)
        else:
            window.parts.append((end, amount))
        window.count += amount
        self._windows[key] = window
        self._windows.move_to_end(key)
        while len(self._windows) > self._most:
            self._windows.popitem(last=False)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return since when calls are counted, and how many there were."""
        window = self._current(key, expiry)
        return (window.parts[0][0] if window.parts else self._clock()), window.count

    def _current(self, key: str, expiry: int) -> _Window:
        window, now = self._windows.get(key) or _Window(), self._clock()
        while window.parts and window.parts[0][0] + expiry <= now:
            window.count -= window.parts.popleft()[1]
        return window

    def clear(self, key: str) -> None:
        """Forget one window."""
        self._windows.pop(key, None)

    def reset(self) -> int | None:
        """Forget all windows; return how many there were."""
        count = len(self._windows)
        self._windows.clear()
        return count

    def check(self) -> bool:
        """Tell that memory is there."""
        return True

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Nothing that could fail is asked."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Not for this storage: it has moving windows only."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """Not for this storage: it has moving windows only."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Not for this storage: it has moving windows only."""
        raise NotImplementedError
