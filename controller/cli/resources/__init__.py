"""The API's resources, a short module each: their columns, and what each command asks for.

A module has its group as ``app`` (:class:`controller.cli.frame.Commands`); GROUPS names them all, with what
``herald --help`` says of them, so that each is loaded only when one of its commands is asked for.
"""

from __future__ import annotations

GROUPS = (
    ("prefixes", "Onboarded prefixes: list, show, add, change, approve, delete."),
    ("bgp-prefixes", "The advertisable parts of prefixes: list, show, add, change, delete."),
    ("bindings", "Services bound to prefixes: list, show, add, delete."),
    ("delegations", "Parts of prefixes that other accounts may use: list, show, add, change, delete."),
    ("address-maps", "Which addresses answer for which zones: list, show, add, change, delete."),
    ("loa", "Letters of authorization: list, show, add, download, verify, withdraw."),
    ("deletions", "Asking for a prefix's removal, removing, bringing back: list, pending, undelete, …"),
    ("locks", "Withdrawal locks on prefixes: show, add, delete."),
    ("transfers", "Offering a prefix to another account: list, add, accept, cancel."),
    ("migrations", "Moving many prefixes away: list, show, add, confirm, withdraw, cancel."),
    ("intents", "Intents of two operators: list, show, add, confirm, keys."),
    ("tasks", "What Herald does by itself: list, show, run, runs, approve, stop, start."),
    ("registry", "What an account may announce at all, as sites check it: show, keys."),
    ("revocations", "The ledger of what no rollback brings back: list, add."),
    ("accounts", "Customers' accounts."),
    ("services", "Services that may be bound to prefixes."),
    ("tokens", "Bearer tokens: issue, list, show, revoke; customers those of their account."),
    ("audit", "What was changed, by whom, when and why: list, verify, watch."),
    ("timeline", "What happened to an account: asked, became, seen, in one order."),
    ("webhooks", "Who is told what happens: list, show, add, change, delete, deliveries, …"),
    ("validation", "Sources of RPKI, IRR and DNS, and how the checks stand: status, accept."),
    ("breaker", "The circuit breaker: show, answer, close."),
    ("holds", "What is held before it becomes operational: list, deploy, drop."),
    ("policy", "The policy of the controller's guards: show, check."),
    ("rollouts", "How changes go over the sites: list, show, watch, pause, resume, abort."),
    ("snapshots", "What production was to be, when, by whom and why: list, show, diff, check, collect."),
    ("rollbacks", "What was rolled back, and how far it is: list, show (herald rollback does it)."),
    ("pins", "Accounts that were rolled back, and what is to be decided: list, show, decide."),
    ("site", "One site by its agent's own socket, with everything else gone: show, override, withdraw, …"),
    ("store", "The store: status, copies, exports, checks."),
)
"""Name and help; the module is the name with underscores."""
