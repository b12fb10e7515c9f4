"""Laws of deleting, over random accounts on a real API: undelete undoes it, and bulk is all or nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.snapshots.model import encode_chunk
from tests.addressing_api import running_api
from tests.removal import BASE, admit, cast

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

parts = st.lists(
    st.tuples(
        st.integers(0, 3),  # which /24
        st.booleans(),  # bound by itself
        st.sampled_from([None, ["site1"], ["site2"], ["site1", "site2"]]),
        st.integers(0, 3),  # prepends
    ),
    max_size=4,
    unique_by=lambda part: part[0],
)


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("laws")) as api, cast(api) as made:
        made.space = iter(range(1, 10_000))
        yield made


def onboard(play, some: list) -> str:
    """Onboard a /22 with these parts, all withdrawn; return its id."""
    at = next(play.space) * 4
    base = f"20.{at >> 8}"
    id_ = play.another(f"{base}.{at & 255}.0/22")
    for which, bound, sites, prepends in some:
        cidr = f"{base}.{(at & 255) + which}.0/24"
        if bound:
            body = {"cidr": cidr, "service_id": "cdn"}
            assert play.owner.post(f"{BASE}/{id_}/bindings", json=body).status_code == 200
        put = f"/herald/v1/accounts/acme/prefixes/{id_}/advertisement"
        for advertised in (True, False):
            answer = play.owner.put(put, json={"cidr": cidr, "advertised": advertised, "sites": sites})
            assert answer.status_code == 200
        path = f"{BASE}/{id_}/bgp/prefixes/{answer.json()['id']}"
        assert play.owner.patch(path, json={"asn_prepend_count": prepends}).status_code == 200
    return id_


@FEW
@given(st.lists(parts, min_size=1, max_size=2), st.booleans())
def test_undelete_is_the_inverse_of_delete(play, several: list, once_more: bool) -> None:
    ids = [onboard(play, some) for some in several]
    before = admit(play.api)
    for _ in range(2 if once_more else 1):
        for id_ in ids:
            assert play.ask_deletion(id_).status_code == 200
        assert play.delete(*ids).status_code == 200
        gone = admit(play.api)
        assert not {p.id for p in gone.prefixes} & set(ids)
        assert not {o.prefix_id for o in (*gone.bgp_prefixes, *gone.bindings)} & set(ids)
        for id_ in reversed(ids):
            answer = play.owner.post(f"/herald/v1/accounts/acme/prefixes/{id_}/undelete")
            assert answer.status_code == 200, answer.text
        assert encode_chunk(admit(play.api)) == encode_chunk(before)


@FEW
@given(
    st.lists(st.sampled_from(["wanted", "unasked", "on the air", "unknown"]), min_size=1, max_size=5),
    st.integers(-1, 1),
    st.booleans(),
)
def test_a_bulk_delete_is_all_or_nothing(play, kinds: list[str], off_by: int, repeat: bool) -> None:
    ids = []
    for kind in kinds:
        id_ = "nothing" if kind == "unknown" else onboard(play, [])
        if kind in {"wanted", "on the air"}:
            assert play.ask_deletion(id_).status_code == 200
        if kind == "on the air":
            (bgp,) = play.owner.get(f"{BASE}/{id_}/bgp/prefixes").json()["result"]
            play.owner.patch(
                f"{BASE}/{id_}/bgp/prefixes/{bgp['id']}", json={"on_demand": {"advertised": True}}
            )
        ids.append(id_)
    if repeat:
        ids.append(ids[0])
    bad = {f"/ids/{i}" for i, kind in enumerate(kinds) if kind != "wanted"}
    bad |= {f"/ids/{i}" for i, id_ in enumerate(ids) if id_ in ids[:i]}
    bad |= {"/expected_count"} if off_by else set()
    before, change_sets = play.api.counts(), play.api.change_sets()
    answer = play.delete(*ids, count=max(0, len(ids) + off_by))
    if bad:
        assert answer.status_code in {409, 423}
        assert {e["source"]["pointer"] for e in answer.json()["errors"]} == bad
        assert (play.api.counts(), play.api.change_sets()) == (before, change_sets)
    else:
        assert answer.json()["count"] == len(ids)
        assert len(play.api.change_sets()) == len(change_sets) + 1
        left = {p["id"] for p in play.owner.get(BASE).json()["result"]}
        assert not left & set(ids)
