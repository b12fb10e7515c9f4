"""A site's policy is compiled in: a file tightens it, and only a signed record that has waited loosens it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller.agent.config import AgentConfig, SpeakerConfig
from controller.agent.policy import (
    AgentGuards,
    AgentPolicy,
    AgentPolicyError,
    PolicyRecord,
    in_effect,
    parse_policy,
    read_policy_record,
    sign_policy,
)
from controller.safety.budget import Limit

FLOOR = AgentPolicy()
KEY = Ed25519PrivateKey.generate()
PUBLIC = (KEY.public_key().public_bytes_raw(),)
LOOSE = PolicyRecord("s1", 1, AgentPolicy(guards=AgentGuards(intents=False)), "ann", "a replay")


def test_production_has_every_guard_armed() -> None:
    assert all(getattr(FLOOR.guards, name) for name in AgentGuards.__struct_fields__)
    assert AgentConfig(SpeakerConfig("exabgp", "x"), ()).policy_delay_s >= 86400


@pytest.mark.parametrize(
    "text",
    [
        "guards.intents = false",
        "keepers = 1",
        "budget = [{seconds = 60, number = 1000}]",
        "budget = []",
        "emergency = [{seconds = 600, number = 21}, {seconds = 86400, number = 100}]",
        "ceiling = 3000000",
        "announce_share = 0.1",
        "override_s = 1e9",
        "health_withdrawal = true",
        "withdraw_share = 0.5",
        "withdraw_after_s = 1",
        "no_such_key = 1",
        "keepers = 'two'",
        "this is no TOML",
    ],
)
def test_a_file_that_loosens_or_says_nothing_known_is_refused(text: str) -> None:
    with pytest.raises(AgentPolicyError):
        parse_policy(text, FLOOR)


def test_a_file_tightens() -> None:
    found = parse_policy("keepers = 3\nbudget = [{seconds = 86400, number = 20}]", FLOOR)
    assert found.keepers == 3
    assert found.budget == (Limit(86400, 20),)
    assert found.guards == FLOOR.guards


def test_a_record_loosens_once_it_was_known_for_its_delay() -> None:
    record = read_policy_record(sign_policy(LOOSE, KEY.private_bytes_raw()), "s1", PUBLIC)
    assert in_effect(record, 86399, 86400) == FLOOR
    assert in_effect(record, 86400, 86400) == LOOSE.policy
    assert not in_effect(record, 86400, 86400, "keepers = 3").guards.intents


def test_a_record_that_is_forged_or_for_another_site_is_refused() -> None:
    forged = sign_policy(LOOSE, Ed25519PrivateKey.generate().private_bytes_raw())
    sound = sign_policy(LOOSE, KEY.private_bytes_raw())
    for text, site in ((forged, "s1"), (sound, "s2"), (sound[:-4] + "AAAA", "s1"), ("", "s1")):
        with pytest.raises(AgentPolicyError):
            read_policy_record(text, site, PUBLIC)
