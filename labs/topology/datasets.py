"""What the first labs' customers have: ``configs/addressing.json``, from documentation space."""

from __future__ import annotations

import json

CDN = "cdn"


def _prefix(
    cidr: str, asn: int | None, description: str, *, approved: bool = True, bound: bool = True
) -> object:
    return {
        "cidr": cidr,
        "asn": asn,
        "description": description,
        "approved": approved,
        "bindings": [{"cidr": cidr, "service_id": CDN}] if bound else [],
    }


SERVICES = [
    {"id": CDN, "name": "CDN"},
    {"id": "spectrum", "name": "Spectrum"},
    {"id": "magic-transit", "name": "Magic Transit"},
]


def _text(more: list[object]) -> str:
    data = {
        "services": SERVICES,
        "accounts": [
            {
                "id": "acme",
                "name": "Acme",
                "prefixes": [
                    _prefix("192.0.2.0/24", None, "our own AS is the origin"),
                    _prefix("2001:db8:1000::/48", None, "the same over IPv6"),
                    *more,
                ],
            },
            {
                "id": "globex",
                "name": "Globex",
                "prefixes": [
                    _prefix("198.51.100.0/24", 64511, "the customer's AS is the origin"),
                    _prefix("2001:db8:2000::/48", 64511, "the same over IPv6"),
                ],
            },
            {
                "id": "initech",
                "name": "Initech",
                "prefixes": [
                    _prefix("203.0.113.0/24", None, "not approved yet", approved=False, bound=False)
                ],
            },
            {
                "id": "umbrella",
                "name": "Umbrella",
                "prefixes": [_prefix("100.64.0.0/22", None, "approved, nothing bound", bound=False)],
            },
        ],
    }
    return json.dumps(data, indent=2) + "\n"


CLIQUE_ADDRESSING = _text([])
TWO_SITES_ADDRESSING = _text(
    [_prefix("198.18.0.0/22", None, "a wider prefix, of which parts can be announced")]
)


SIX_SITES_ACCOUNTS = 40


def _many(accounts: int) -> str:
    """Return customers with two /24s and a /48 each, all approved and bound, and nothing announced."""
    data = {
        "services": SERVICES,
        "accounts": [
            {
                "id": f"customer-{i:03}",
                "name": f"Customer {i}",
                "prefixes": [
                    _prefix(f"100.{64 + n // 256}.{n % 256}.0/24", None, "one of two")
                    for n in (2 * i - 2, 2 * i - 1)
                ]
                + [_prefix(f"2001:db8:{i:x}::/48", None, "the same over IPv6")],
            }
            for i in range(1, accounts + 1)
        ],
    }
    return json.dumps(data, indent=1) + "\n"


SIX_SITES_ADDRESSING = _many(SIX_SITES_ACCOUNTS)
