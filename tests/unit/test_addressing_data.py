"""The lab's customers are read strictly: what the API would refuse is told before anything is started."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from labs.topology import TopologyError
from labs.topology.addressing_data import read_addressing

GOOD: dict[str, Any] = {
    "services": [{"id": "cdn", "name": "CDN"}],
    "accounts": [
        {
            "id": "acme",
            "name": "Acme",
            "prefixes": [
                {
                    "cidr": "192.0.2.0/24",
                    "asn": 64511,
                    "approved": True,
                    "bindings": [{"cidr": "192.0.2.0/24", "service_id": "cdn"}],
                }
            ],
        }
    ],
}
PREFIX = ("accounts", 0, "prefixes", 0)
BINDING = (*PREFIX, "bindings", 0)


def written(folder: Path, document: Any) -> Path:
    path = folder / "addressing.json"
    path.write_text(json.dumps(document))
    return path


def changed(place: tuple[str | int, ...], value: Any) -> Any:
    document: Any = copy.deepcopy(GOOD)
    holder = document
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value
    return document


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (account,) = read_addressing(written(tmp_path, GOOD)).accounts
    assert (account.prefixes[0].asn, account.prefixes[0].bindings[0].service_id) == (64511, "cdn")


@pytest.mark.parametrize(
    ("place", "value", "part"),
    [
        ((*PREFIX, "cidr"), "192.0.2.1/24", "host bits set: did you mean 192.0.2.0/24"),
        ((*PREFIX, "cidr"), "2001:DB8::/48", "allowed: 2001:db8::/48"),
        ((*PREFIX, "cidr"), "nonsense", "no length"),
        ((*PREFIX, "asn"), 0, "accounts[0].prefixes[0].asn"),
        ((*PREFIX, "asn"), 2**32, "asn"),
        ((*PREFIX, "asn"), "64511", "asn"),
        ((*PREFIX, "aproved"), True, "aproved"),
        ((*BINDING, "cidr"), "198.51.100.0/24", "does not lie in the prefix"),
        ((*BINDING, "cidr"), "192.0.2.0/25", "its first binding is 192.0.2.0/25; allowed: the whole prefix"),
        ((*BINDING, "service_id"), "cnd", "no service 'cnd'; allowed: cdn"),
        (("accounts",), [*GOOD["accounts"], *GOOD["accounts"]], "acme is given 2 times"),
        (("accounts", 0, "id"), "", "id"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, place: tuple[str | int, ...], value: Any, part: str) -> None:
    with pytest.raises(TopologyError) as caught:
        read_addressing(written(tmp_path, changed(place, value)))
    assert part in str(caught.value)
    assert "addressing.json" in str(caught.value)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "addressing.json"
    path.write_bytes(b'{"accounts": [{"id": "\xff"}]}')
    with pytest.raises(TopologyError, match=r"addressing\.json"):
        read_addressing(path)
