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
    "agent_intents": "tests/properties/test_agent_guard.py::test_each_check_alone_is_missed",
    "agent_budget": "tests/properties/test_agent_guard.py::test_each_check_alone_is_missed",
    "agent_keeper": "tests/properties/test_agent_guard.py::test_each_check_alone_is_missed",
    "override": "tests/labs/test_agent_guard.py::test_an_override_works_with_all_else_gone",
    "epoch": "tests/unit/test_agent_epoch.py::test_an_older_journal_is_quarantined_until_it_is_released",
    "commit_confirm": "tests/labs/test_agent_guard.py::test_only_its_owner_takes_a_kept_prefix",
}
