"""Reads the site's policy at the agent's start: the tightening file, and the signed record with its delay."""

from __future__ import annotations

from pathlib import Path

import structlog

from controller.agent.config import AgentConfig
from controller.agent.journal import Journal
from controller.agent.journal_records import Known
from controller.agent.key_file import KeyFile
from controller.agent.policy import (
    AgentPolicy,
    AgentPolicyError,
    in_effect,
    read_policy_record,
    record_hash,
)
from controller.safety.budget import Budget, Reading

log = structlog.get_logger()


def read_policy(config: AgentConfig, journal: Journal, now: Reading) -> tuple[AgentPolicy, float | None]:
    """Return the policy that holds now, and in how many seconds it is to be read again (None: never).

    Since when a record is known is journalled. A file or record that is refused changes nothing, and is said
    in the log: what holds then is the compiled-in floor.

    Raises :class:`~controller.agent.errors.JournalError`.
    """
    tightened_by = _text(config.policy)
    record, known_for_s = None, 0.0
    text = _text(config.policy_record)
    try:
        if text:
            record = read_policy_record(text, journal.state.site, KeyFile(config.keys).keys().policy)
            known_for_s = _known_for(journal, record_hash(text), now)
        policy = in_effect(record, known_for_s, config.policy_delay_s, tightened_by)
    except AgentPolicyError as error:
        log.error("policy refused: the floor holds", reason=str(error))  # noqa: TRY400 - one line says it
        return AgentPolicy(), None
    left = config.policy_delay_s - known_for_s
    if record is None or left <= 0:
        return policy, None
    log.warning("policy record waits", serial=record.serial, who=record.who, why=record.why, seconds=left)
    return policy, left


def _known_for(journal: Journal, name: str, now: Reading) -> float:
    """Return for how long the record has provably been known; note it when it is new."""
    known = journal.state.known
    if known is None or known.record != name:
        journal.append(Known(name, Budget().at(now)))
        return 0.0
    clock = known.clock.at(now)
    if clock.boot_id != known.clock.boot_id:
        # After a reboot: what passed before it is kept as far as it was written down.
        journal.append(Known(name, clock))
    return clock.passed_s


def _text(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        log.error("policy not read", path=path, reason=str(error))  # noqa: TRY400
        return ""
