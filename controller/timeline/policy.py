"""Where webhooks may go, how often a delivery is tried and for how long (pure)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from controller.timeline.errors import TargetError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address that a translator would reach."""

Verdict = Literal["delivered", "retry", "gone"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt met. ``status``: the HTTP status, None when there was no answer.

    ``error``: what went wrong, empty when nothing did; ``retry_after_s``: how long the receiver asks to wait.
    """

    status: int | None
    error: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """The package's defaults are for production; a lab lets webhooks go to itself.

    - ``private_targets``: also to loopback, private and link-local addresses, and without TLS.
    - ``timeout_s``: the longest that one attempt may take, from the look-up to the answer.
    - ``first_delay_s``, ``longest_delay_s``: the wait after the first failure, and the longest one.
    - ``give_up_after``: a delivery that failed for so long disables its webhook.
    - ``at_once``: attempts at a time, one for each webhook.
    - ``most_webhooks``: an account has at most so many.
    """

    private_targets: bool = False
    timeout_s: float = 10.0
    first_delay_s: float = 1.0
    longest_delay_s: float = 1800.0
    give_up_after: timedelta = timedelta(days=3)
    at_once: int = 16
    most_webhooks: int = 20

    def delay_s(self, attempt: int, chance: float) -> float:
        """Return the seconds to wait after the failed attempt with this number (1 is the first).

        It doubles, up to ``longest_delay_s``; ``chance`` from [0, 1) takes up to half of it away, so that
        those that failed together do not come back together.
        """
        longest = min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(attempt - 1, 30))
        return longest * (1 - chance / 2)

    def gives_up(self, first_attempt_at: datetime, now: datetime) -> bool:
        """Tell whether a delivery that still fails at ``now`` has failed for too long."""
        return now - first_attempt_at >= self.give_up_after

    def check_url(self, url: str) -> None:
        """Raise :class:`TargetError` unless ``url`` may be a webhook's.

        What a name leads to is checked when it is connected to; an address is checked here already.
        """
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise TargetError(f"it is no URL: {error}") from error
        schemes = ("https", "http") if self.private_targets else ("https",)
        if parts.scheme not in schemes:
            raise TargetError(f"it begins with {parts.scheme!r}: give {' or '.join(schemes)}")
        if not host:
            raise TargetError("it names no host: give https://HOST/PATH")
        if "@" in parts.netloc:
            raise TargetError("it has a user or password in it: deliveries are signed, leave that out")
        if parts.fragment or "#" in url:
            raise TargetError("it has a fragment (#…): that is never sent, leave it out")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return
        self.check_address(address)

    def check_address(self, address: Address) -> None:
        """Raise :class:`TargetError` unless a webhook may be sent to ``address``.

        In production that means the public Internet: not this host, not the networks around it.
        """
        real = _real(address)
        if real.is_multicast or real.is_unspecified or (real.is_reserved and not real.is_loopback):
            raise TargetError(f"{address} is no host's address")
        if not self.private_targets and not real.is_global:
            raise TargetError(f"{address} is not on the public Internet: give a public address")


def _real(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return inner
        if address.teredo is not None:
            return address.teredo[1]
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def verdict(status: int | None) -> Verdict:
    """Return what an answer means; None: there was none. A redirect is no delivery, and is not followed."""
    if status is None:
        return "retry"
    if status == 410:
        return "gone"
    return "delivered" if 200 <= status < 300 else "retry"
