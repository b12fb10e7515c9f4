"""Asks DNS for the TXT records of a reverse zone."""

from __future__ import annotations

from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from controller.validation.config import endpoint
from controller.validation.errors import TxtError
from controller.validation.reverse import token_name


def make_resolver(servers: Sequence[str], timeout_s: float) -> dns.asyncresolver.Resolver:
    """Return a resolver that asks ``servers`` alone, for at most ``timeout_s`` seconds a name."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(*endpoint(s, 53)) for s in servers]
    resolver.lifetime = timeout_s
    resolver.timeout = timeout_s / max(len(servers), 1)
    return resolver


async def zone_texts(resolver: dns.asyncresolver.Resolver, zone: str) -> tuple[str, ...]:
    """Return the TXT records at ``_herald.<zone>`` and at the zone itself; none when there are none.

    Raises :class:`TxtError` when no server answers for either name.
    """
    return await _texts(resolver, token_name(zone)) + await _texts(resolver, zone)


async def _texts(resolver: dns.asyncresolver.Resolver, name: str) -> tuple[str, ...]:
    try:
        answer = await resolver.resolve(name, dns.rdatatype.TXT)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except dns.exception.DNSException as error:
        reason = " ".join(str(error).split())[:300]
        raise TxtError(f"no DNS server answers for {name}: {reason}") from error
    return tuple(b"".join(r.strings).decode(errors="replace") for r in answer)
