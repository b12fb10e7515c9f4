"""Which test fails without which guard: the table that ``docs/guards.md`` shows and a test checks.

A key is a field of :class:`controller.safety.policy.Guards`, or the name of a check that has no switch.
"""

from __future__ import annotations

GUARDS: dict[str, str] = {
    "intents": "tests/properties/test_assess.py::test_nothing_is_taken_away_that_nobody_asked_for",
    "breaker": "tests/properties/test_assess.py::test_no_window_ever_holds_more_than_its_limit",
    "staged": "tests/properties/test_assess.py::test_what_is_broad_or_by_others_is_staged",
    "last_site": "tests/properties/test_assess.py::test_the_last_site_is_never_taken_by_itself",
    "ceiling": "tests/properties/test_assess.py::test_more_than_the_ceiling_is_a_leak",
    "non_production": "tests/properties/test_assess.py::test_a_dormant_change_of_another_prefix_is_held",
    "shrinkage": "tests/properties/test_assess.py::test_a_source_that_shrank_takes_nothing_away",
    "correlated": "tests/properties/test_correlated.py::test_one_ill_site_may_withdraw_and_a_quorum_may_not",
    "held_stays_out": "tests/unit/test_admission.py::"
    "test_a_tasks_delete_is_held_and_nothing_of_it_reaches_an_agent",
    "no_ride_along": "tests/unit/test_breaker_api.py::"
    "test_what_an_operator_asked_for_does_not_ride_along_with_the_owners_change_of_the_same_object",
    "ledger_survives": "tests/unit/test_admission.py::"
    "test_what_was_counted_and_held_before_a_crash_is_so_after_it",
    "queue_hash": "tests/unit/test_breaker_api.py::"
    "test_closing_names_the_queue_that_was_looked_at_and_decides_on_each_group",
    "freeze": "tests/unit/test_breaker_api.py::"
    "test_a_freeze_refuses_what_takes_away_and_only_its_owner_lifts_it",
    "agent_intents": "tests/properties/test_agent_guard.py::test_each_check_alone_is_missed",
    "agent_budget": "tests/properties/test_agent_guard.py::test_each_check_alone_is_missed",
    "agent_keeper": "tests/properties/test_agent_guard.py::test_each_check_alone_is_missed",
    "withdraw_quorum": "tests/properties/test_health_histories.py::test_each_rule_alone_is_missed",
    "drain": "tests/properties/test_drain.py::"
    "test_what_goes_is_announced_and_observed_at_enough_sites_that_are_not_drained",
    "agent_drain": "tests/properties/test_drain.py::"
    "test_an_agent_keeps_what_too_few_others_would_keep_and_what_exceeds_the_budget",
    "override": "tests/labs/test_agent_guard.py::test_an_override_works_with_all_else_gone",
    "epoch": "tests/unit/test_agent_epoch.py::test_an_older_journal_is_quarantined_until_it_is_released",
    "remembered": "tests/unit/test_site_journals.py::"
    "test_a_restored_journal_is_told_so_and_gets_nothing_until_it_is_released",
    "fence": "tests/unit/test_lease.py::test_an_agent_obeys_no_fence_below_the_highest",
    "commit_confirm": "tests/labs/test_agent_guard.py::test_only_its_owner_takes_a_kept_prefix",
    "smallest_scope": "tests/properties/test_assess.py::"
    "test_whatever_one_actor_does_opens_its_own_scope_alone_and_owners_go_on",
    "seen_elsewhere": "tests/unit/test_admission.py::"
    "test_a_migrations_step_waits_until_it_is_seen_elsewhere_and_goes_on_by_itself",
    "shrunken_store": "tests/unit/test_admission.py::"
    "test_what_a_shrunken_store_would_take_away_is_held_but_for_what_owners_ask_for_now",
    "health_of_services": "tests/unit/test_signals.py::"
    "test_services_of_changed_accounts_that_fail_are_told_once_and_open_the_actor",
    "telling_more": "tests/unit/test_breaker_api.py::test_each_deadline_widens_who_is_told",
    "damaged_journal": "tests/unit/test_agent_salvage.py::"
    "test_what_the_speaker_has_stands_and_machines_keep_what_they_hold_until_all_of_it_is_known",
}
