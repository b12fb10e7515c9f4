"""What Schemathesis is told of our formats, so that its cases get past the first check (its hooks module)."""

from __future__ import annotations

import ipaddress
import random

import schemathesis
from hypothesis import strategies as st

SERVICE = "cdn"


def _network(address: int, length: int, version: int) -> str:
    width = 32 if version == 4 else 128
    base = (address >> (width - length)) << (width - length)
    kind = ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    return str(kind((base, length)))


CIDRS = st.one_of(
    st.builds(_network, st.integers(0x14000000, 0x1500FFFF), st.integers(16, 24), st.just(4)),
    st.builds(_network, st.integers(0x2A00 << 112, (0x2A01 << 112) - 1), st.integers(32, 48), st.just(6)),
    st.sampled_from(["192.0.2.0/24", "192.0.2.0/25", "192.0.2.1/24", "0.0.0.0/0", "2001:db8:1000::/48"]),
)

schemathesis.openapi.format("cidr", CIDRS)


@schemathesis.hook
def map_body(context, body):
    """Bind a service that there is, most of the time."""
    if isinstance(body, dict) and isinstance(body.get("service_id"), str) and random.random() < 0.8:
        body["service_id"] = SERVICE
    return body
