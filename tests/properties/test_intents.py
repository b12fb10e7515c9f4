"""Laws of intents: nobody changes one unseen, and covering is monotone; of migrations: the table is whole."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import Prefix
from controller.safety import migration
from controller.safety.effects import Effect, subtractive
from controller.safety.intents import (
    BadSignatureError,
    Intent,
    IntentError,
    IntentExpiredError,
    IntentNotYetValidError,
    MalformedIntentError,
    UnknownKeyError,
    covers_all,
    covers_effect,
    needed,
    ordered,
    sign,
    uncovered,
    verify,
)
from controller.safety.subtraction import subtraction
from controller.snapshots.model import BgpPrefixObject, Change

NOW = datetime(2026, 2, 20, 17, 56, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = [KEY.public_key().public_bytes_raw()]
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))

CIDRS = [Prefix(c) for c in ("192.0.2.0/24", "198.18.0.0/22", "198.18.1.0/24", "2001:db8::/48")]
SITES = ("site1", "site2", "site3")
KINDS = ("withdraw", "unbind", "delete", "prepend", "narrow", "reorigin")
VERBS = ("announce", "withdraw", "less-prepend", "more-prepend", "reorigin", "bind", "unbind")

effect = st.builds(Effect, st.sampled_from(SITES), st.sampled_from(CIDRS), st.sampled_from(VERBS))
some_sites = st.none() | st.sets(st.sampled_from(SITES), min_size=1).map(lambda s: tuple(sorted(s)))


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    kind = draw(st.sampled_from(KINDS))
    sites = draw(some_sites)
    authority = draw(st.sampled_from(["owner", "operators"]))
    return Intent(
        account_id=draw(st.sampled_from(["acme", "globex"])),
        kind=kind,
        prefixes=ordered(draw(st.sets(st.sampled_from(CIDRS), min_size=1))),
        sites=("site1",) if kind == "narrow" and sites is None else sites,
        generation=draw(st.none() | st.just("a" * 64)),
        issued_at=NOW,
        not_before=NOW,
        expires_at=NOW + HOUR,
        nonce=draw(st.text("0123456789abcdef", min_size=32, max_size=32)),
        authority=authority,
        asked_by=("t1",) if authority == "owner" else ("o1", "o2"),
    )


@given(intents())
def test_what_is_signed_verifies_to_itself_in_one_ascii_line(intent: Intent) -> None:
    text = sign(intent, KEY)
    assert verify(text, PUBLIC, NOW) == intent
    assert text.isascii() and text.isprintable() and " " not in text


@given(intents(), st.data())
def test_any_flipped_bit_is_refused(intent: Intent, data: st.DataObject) -> None:
    raw = bytearray(sign(intent, KEY).encode())
    at = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[at // 8] ^= 1 << at % 8
    with pytest.raises(IntentError):
        verify(raw.decode("latin-1"), PUBLIC, NOW)


def test_every_single_flipped_bit_of_one_intent_is_refused() -> None:
    text = sign(example(), KEY).encode()
    for at in range(8 * len(text)):
        raw = bytearray(text)
        raw[at // 8] ^= 1 << at % 8
        with pytest.raises(IntentError):
            verify(raw.decode("latin-1"), PUBLIC, NOW)


@given(st.text() | st.text("hi1.ABCabc0_-=", max_size=60))
def test_what_is_no_intent_is_refused_by_a_typed_error(text: str) -> None:
    with pytest.raises(IntentError):
        verify(text, PUBLIC, NOW)


def example(**changed: object) -> Intent:
    intent = Intent(
        "acme", "withdraw", (CIDRS[0],), None, None, NOW, NOW, NOW + HOUR, "n" * 32, "owner", ("t1",)
    )
    return msgspec.structs.replace(intent, **changed)


def test_each_error_has_its_own_type() -> None:
    text = sign(example(), KEY)
    with pytest.raises(IntentExpiredError, match="ask again"):
        verify(text, PUBLIC, NOW + HOUR)
    with pytest.raises(IntentNotYetValidError):
        verify(text, PUBLIC, NOW - HOUR)
    with pytest.raises(UnknownKeyError):
        verify(text, [OTHER.public_key().public_bytes_raw()], NOW)
    with pytest.raises(UnknownKeyError):
        verify(sign(example(), OTHER), PUBLIC, NOW)
    version, key, record, signature = text.split(".")
    other = sign(example(nonce="m" * 32), KEY).split(".")
    with pytest.raises(BadSignatureError):
        verify(".".join((version, key, record, other[3])), PUBLIC, NOW)
    with pytest.raises(MalformedIntentError):
        verify(f"{version}.{key}.{record}.{signature}=", PUBLIC, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"prefixes": ()},
        {"prefixes": (CIDRS[2], CIDRS[0])},
        {"prefixes": (CIDRS[0], CIDRS[0])},
        {"prefixes": (Prefix("192.0.2.1/24"),)},
        {"kind": "narrow"},
        {"kind": "narrow", "sites": ()},
        {"sites": ("b", "a")},
        {"asked_by": ()},
        {"asked_by": ("t1", "t2")},
        {"authority": "operators"},
        {"authority": "operators", "asked_by": ("o1", "o1")},
        {"expires_at": NOW},
        {"issued_at": datetime(2026, 1, 1)},
        {"nonce": ""},
        {"account_id": ""},
    ],
)
def test_an_intent_that_contradicts_itself_is_not_signed(changed: dict) -> None:
    with pytest.raises(MalformedIntentError):
        sign(example(**changed), KEY)


# -- covers ------------------------------------------------------------------------------------------------
@given(intents(), st.sets(effect), st.sets(effect))
def test_what_covers_all_covers_each_part(intent: Intent, some: set[Effect], more: set[Effect]) -> None:
    if covers_all(intent, intent.account_id, some | more):
        assert covers_all(intent, intent.account_id, some)
    assert not set(uncovered([intent], intent.account_id, some)) - set(
        uncovered([intent], intent.account_id, some | more)
    )


@given(intents(), st.sets(st.sampled_from(CIDRS)), st.sets(effect))
def test_naming_more_covers_no_less(intent: Intent, more: set[Prefix], found: set[Effect]) -> None:
    wider = msgspec.structs.replace(intent, prefixes=ordered({*intent.prefixes, *more}))
    everywhere = msgspec.structs.replace(intent, sites=None)
    if covers_all(intent, intent.account_id, found):
        assert covers_all(wider, intent.account_id, found)
        assert covers_all(everywhere, intent.account_id, found)


@given(st.lists(intents(), max_size=4), st.sets(effect))
def test_several_intents_cover_what_any_of_them_covers(given: list[Intent], found: set[Effect]) -> None:
    left = [
        e for e in found if not any(i.account_id == "acme" and covers_effect(i, e) for i in given)
    ]  # the simple way
    assert set(uncovered(given, "acme", found)) == set(left)


@given(intents(), effect)
def test_nothing_of_another_account_and_nothing_additive_is_covered(intent: Intent, found: Effect) -> None:
    assert not covers_all(intent, "initech", [found])
    assert uncovered([intent], "initech", [found]) == (found,)
    if found.kind == "additive":
        assert not covers_all(intent, intent.account_id, [found])


@given(st.sets(effect))
def test_the_needed_intents_cover_exactly_the_subtractive_effects(found: set[Effect]) -> None:
    made = [
        example(kind=kind, prefixes=tuple(cidrs), sites=tuple(sites))
        for kind, cidrs, sites in needed(sorted(found), SITES)
    ]
    for intent in made:
        verify(sign(intent, KEY), PUBLIC, NOW)
    wanted = set(subtractive(found))
    everything = [Effect(s, c, v) for s, c, v in itertools.product(SITES, CIDRS, VERBS)]
    assert set(everything) - set(uncovered(made, "acme", everything)) == wanted


bgp_prefixes = st.builds(
    BgpPrefixObject,
    st.just("g"),
    st.just("p"),
    st.just(CIDRS[0]),
    st.sampled_from([None, 64511]),
    st.booleans(),
    some_sites,
    st.integers(0, 3),
)


@given(bgp_prefixes, bgp_prefixes)
def test_what_either_state_would_lose_counts(was: BgpPrefixObject, to_be: BgpPrefixObject) -> None:
    idle = BgpPrefixObject("g", "p", CIDRS[0], None)
    one = subtraction([Change(bgp_prefix=to_be)], [{("bgp_prefix", "g"): was}], SITES)
    both = subtraction(
        [Change(bgp_prefix=to_be)], [{("bgp_prefix", "g"): idle}, {("bgp_prefix", "g"): was}], SITES
    )
    assert one == both
    assert bool(one.effects) == ("p" in one.prefix_ids)
    gone = subtraction([Change(remove=("bgp_prefix", "g"))], [{("bgp_prefix", "g"): was}], SITES)
    assert gone.prefix_ids == {"p"}


# -- migrations ----------------------------------------------------------------------------------------------
def test_every_state_has_every_event() -> None:
    assert set(migration.TABLE) == set(itertools.product(migration.State, migration.Event))


@given(st.lists(st.sampled_from(migration.Event), max_size=12))
def test_no_history_withdraws_what_was_not_confirmed_or_leaves_an_end(history: list) -> None:
    state, confirmed = migration.State.PLANNED, False
    for event in history:
        before = state
        try:
            state = migration.step(state, event)
        except migration.MigrationStateError as error:
            assert before.value in str(error)
            continue
        confirmed |= event is migration.Event.CONFIRMED
        if event in {migration.Event.WITHDREW_SOME, migration.Event.WITHDREW_LAST}:
            assert confirmed and before not in migration.ENDS
        if before in migration.ENDS:
            assert state is before


@given(st.sampled_from(migration.State), st.integers(-2, 2))
def test_the_window_ends_by_itself(state: migration.State, hours: int) -> None:
    found = migration.at(state, NOW, NOW + hours * HOUR)
    if hours < 0:
        assert found is state
    else:
        assert found in migration.ENDS


def test_a_confirmation_is_of_one_plan() -> None:
    plan = ("m1", "acme", CIDRS[:2], NOW, NOW + HOUR)
    code = migration.confirmation(*plan)
    assert code == migration.confirmation(*plan)
    for other in (
        ("m2", *plan[1:]),
        (*plan[:2], CIDRS[:1], *plan[3:]),
        (*plan[:4], NOW + 2 * HOUR),
    ):
        assert migration.confirmation(*other) != code
