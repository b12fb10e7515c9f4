"""Who may call which route: the declared table that tests/unit/test_addressing_authorisation.py holds.

A new route needs a line here. ``who`` is a row of :data:`VERDICTS`; ``json`` (or ``files``) a body that the
route takes; ``answer`` what whoever is allowed gets for it (as a dry run; the ids are those of real objects
of the account acme where ``furnished`` makes one, otherwise ``none``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ADDRESSING = "/client/v4/accounts/{account_id}/addressing"
PREFIX = ADDRESSING + "/prefixes/{prefix_id}"
HERALD = "/herald/v1"
HERALD_ACCOUNT = HERALD + "/accounts/{account_id}"
LETTER = HERALD_ACCOUNT + "/loa_documents/{loa_document_id}"
MAP = ADDRESSING + "/address_maps/{address_map_id}"
ACCOUNT = HERALD + "/accounts/{account_id}"
OWN = ACCOUNT + "/prefixes/{prefix_id}"
HOOK = ACCOUNT + "/webhooks/{webhook_id}"
PERMISSIONS = HERALD + "/accounts/{account_id}/prefixes/{prefix_id}/delegations/{delegation_id}/permissions"

ALLOWED, REFUSED, HIDDEN = "allowed", "refused", "hidden"
"""Answered as the table says; 403; 404, as if it were not there."""

CALLERS = ("owner", "stranger", "operator", "break-glass", "task")
"""owner: a customer of the account in the path (acme); stranger: one of another account; task: with every
scope, for all accounts."""

VERDICTS: dict[str, tuple[str, ...]] = {
    #             owner    stranger operator break-glass task
    "anybody":   (ALLOWED, ALLOWED, ALLOWED, ALLOWED, ALLOWED),
    "account":   (ALLOWED, REFUSED, ALLOWED, ALLOWED, ALLOWED),
    "operators": (REFUSED, REFUSED, ALLOWED, ALLOWED, REFUSED),
    "owners":    (ALLOWED, REFUSED, REFUSED, REFUSED, REFUSED),
    "staff":     (REFUSED, REFUSED, ALLOWED, ALLOWED, ALLOWED),
    "issuers":   (ALLOWED, REFUSED, ALLOWED, ALLOWED, REFUSED),
    "deciders":  (ALLOWED, REFUSED, ALLOWED, ALLOWED, REFUSED),
    "viewers":   (ALLOWED, HIDDEN, ALLOWED, ALLOWED, ALLOWED),
    "revokers":  (ALLOWED, HIDDEN, ALLOWED, ALLOWED, REFUSED),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One route: who may, what is sent, what whoever may gets."""

    who: str
    json: Any = None
    answer: int = 200
    query: str = ""
    files: Any = None


ROUTES: dict[str, Row] = {
    f"GET {HERALD}/breaker": Row("anybody"),
    f"POST {HERALD}/breaker/close": Row(
        "operators",
        {"scope": "fleet", "queue_hash": "0" * 16, "decisions": {}, "only": None, "reason": "looked at"},
        answer=409,
    ),
    f"POST {HERALD}/breaker/answer": Row("operators", {"scope": "fleet", "reason": "seen"}, answer=409),
    f"GET {HERALD}/holds": Row("anybody"),
    f"POST {ACCOUNT}/holds/{{change_set_id}}/decision": Row(
        "deciders", {"decision": "drop", "reason": "no"}, answer=404
    ),
    f"GET {HERALD}/freezes": Row("anybody"),
    f"POST {HERALD}/freezes": Row("issuers", {"scope": "account:acme", "kind": "subtractive", "reason": "x"}),
    f"DELETE {HERALD}/freezes/{{freeze_id}}": Row("anybody", answer=404),
    f"GET {HERALD}/policy": Row("operators"),
    f"GET {ADDRESSING}/prefixes": Row("account"),
    f"POST {ADDRESSING}/prefixes": Row("account", {"cidr": "198.18.0.0/24", "asn": None}),
    f"GET {PREFIX}": Row("account"),
    f"PATCH {PREFIX}": Row("account", {"description": "new"}),
    f"DELETE {PREFIX}": Row("account", answer=409),  # it is approved
    f"POST {PREFIX}/approve": Row("operators"),
    f"POST {PREFIX}/validate": Row("account"),
    f"GET {HERALD}/accounts/{{account_id}}/prefixes/{{prefix_id}}/checks": Row("account"),
    f"GET {HERALD}/accounts/{{account_id}}/prefixes/{{prefix_id}}/checks/history": Row("account"),
    f"GET {HERALD}/validation": Row("operators"),
    f"POST {HERALD}/validation/accept": Row("operators", {"source": "x", "vrps": 1}, answer=409),
    f"GET {PREFIX}/bgp/prefixes": Row("account"),
    f"POST {PREFIX}/bgp/prefixes": Row("account", {"cidr": "192.0.2.0/24"}, answer=409),  # it is one
    f"GET {PREFIX}/bgp/prefixes/{{bgp_prefix_id}}": Row("account"),
    f"PATCH {PREFIX}/bgp/prefixes/{{bgp_prefix_id}}": Row("account", {"asn_prepend_count": 1}),
    f"DELETE {PREFIX}/bgp/prefixes/{{bgp_prefix_id}}": Row("account"),
    f"GET {PREFIX}/bgp/status": Row("account"),
    f"PATCH {PREFIX}/bgp/status": Row("account", {"advertised": True}),
    f"GET {PREFIX}/bindings": Row("account"),
    f"POST {PREFIX}/bindings": Row("account", {"cidr": "192.0.2.1/32", "service_id": "cdn"}),
    f"GET {PREFIX}/bindings/{{binding_id}}": Row("account"),
    f"DELETE {PREFIX}/bindings/{{binding_id}}": Row("account"),
    f"GET {PREFIX}/delegations": Row("account"),
    f"POST {PREFIX}/delegations": Row(
        "account", {"cidr": "192.0.2.128/25", "delegated_account_id": "globex"}
    ),
    f"DELETE {PREFIX}/delegations/{{delegation_id}}": Row("account", answer=404),
    f"GET {PERMISSIONS}": Row("account", answer=404),
    f"PUT {PERMISSIONS}": Row("account", {"may_advertise": True}, answer=404),
    f"GET {HERALD}/accounts/{{account_id}}/delegated_prefixes": Row("account"),
    f"POST {ADDRESSING}/loa_documents": Row(
        "account", files={"loa_document": ("letter.pdf", b"%PDF-1.4\n", "application/pdf")}
    ),
    f"GET {LETTER.replace(HERALD_ACCOUNT, ADDRESSING)}/download": Row("account", answer=404),
    f"GET {HERALD_ACCOUNT}/loa_documents": Row("account"),
    f"GET {LETTER}": Row("account", answer=404),
    f"POST {LETTER}/verify": Row("operators", answer=404),
    f"POST {LETTER}/withdraw": Row("account", answer=404),
    f"GET {ADDRESSING}/address_maps": Row("account"),
    f"POST {ADDRESSING}/address_maps": Row("account", {"description": "web"}),
    f"GET {MAP}": Row("account", answer=404),
    f"PATCH {MAP}": Row("account", {"enabled": True}, answer=404),
    f"DELETE {MAP}": Row("account", answer=404),
    f"PUT {MAP.replace(ADDRESSING, HERALD_ACCOUNT)}/management": Row(
        "operators", {"can_delete": False, "can_modify_ips": False}, answer=404
    ),
    **{
        f"{verb} {MAP}/{member}": Row("account", answer=404)
        for verb in ("PUT", "DELETE")
        for member in ("ips/{ip}", "accounts/{member_account_id}", "zones/{zone_id}")
    },
    f"GET {ADDRESSING}/regional_hostnames/regions": Row("account"),
    f"GET {ADDRESSING}/services": Row("account"),
    f"POST {HERALD}/services": Row("operators", {"id": "dns", "name": "DNS"}),
    f"GET {HERALD}/bgp_prefixes": Row("viewers", query="cidr=192.0.2.0/24"),
    f"PUT {HERALD}/accounts/{{account_id}}/bgp_prefixes/{{bgp_prefix_id}}/advertisement": Row(
        "account", {"advertised": True, "sites": None}
    ),
    f"PUT {HERALD}/accounts/{{account_id}}/prefixes/{{prefix_id}}/advertisement": Row(
        "account", {"cidr": "192.0.2.0/24", "advertised": True, "sites": None}
    ),
    f"GET {HERALD}/accounts": Row("anybody"),
    f"POST {HERALD}/accounts": Row("operators", {"id": "third", "name": "Third"}),
    f"GET {HERALD}/caller": Row("anybody"),
    f"GET {HERALD}/tokens": Row("anybody"),
    f"POST {HERALD}/tokens": Row(
        "issuers",
        {
            "role": "customer", "account_id": "acme", "scopes": {"prefixes": ["read"]},
            "expires_at": "{soon}",
        },
    ),
    f"GET {HERALD}/tokens/{{token_id}}": Row("viewers"),
    f"DELETE {HERALD}/tokens/{{token_id}}": Row("revokers"),
    f"GET {HERALD}/audit": Row("anybody"),
    f"GET {HERALD}/audit/verify": Row("operators"),
    f"GET {HERALD}/change-sets/{{change_set_id}}": Row("viewers"),
    f"GET {HERALD}/drains": Row("operators"),
    f"GET {HERALD}/drains/{{drain_id}}": Row("operators", answer=404),
    f"POST {HERALD}/drains": Row(
        "operators", {"site": "nowhere", "reason": "new cards", "capacity_confirmed": True}, answer=400
    ),
    f"POST {HERALD}/drains/{{drain_id}}/confirm": Row("operators", answer=404),
    f"POST {HERALD}/drains/{{drain_id}}/lift": Row("operators", {"reason": "done"}, answer=404),
    f"GET {HERALD}/rollouts": Row("anybody"),
    f"GET {HERALD}/rollouts/{{rollout_id}}": Row("viewers", answer=404),  # nothing was rolled out
    f"POST {HERALD}/rollouts/{{rollout_id}}/pause": Row("operators", {"reason": "why"}, answer=404),
    f"POST {HERALD}/rollouts/{{rollout_id}}/resume": Row("operators", {"reason": "why"}, answer=404),
    f"POST {HERALD}/rollouts/{{rollout_id}}/abort": Row("operators", {"reason": "why"}, answer=404),
    f"GET {HERALD}/snapshots": Row("anybody"),
    f"GET {HERALD}/snapshots/{{snapshot_id}}": Row("anybody", answer=404),  # nothing was admitted
    f"GET {HERALD}/snapshots/{{snapshot_id}}/diff/{{other_id}}": Row("anybody", answer=404),
    f"POST {HERALD}/snapshot_collections": Row("operators", {}),
    f"GET {HERALD}/chunks": Row("operators"),
    f"GET {HERALD}/rollbacks": Row("operators"),
    f"POST {HERALD}/rollbacks": Row(
        "operators", {"snapshot": "HEAD", "accounts": None, "reason": "r"}, answer=404
    ),
    f"GET {HERALD}/rollbacks/{{rollback_id}}": Row("operators", answer=404),
    f"GET {HERALD}/rollbacks/{{rollback_id}}/progress": Row("operators", answer=404),
    f"GET {HERALD}/pins": Row("anybody"),
    f"POST {ACCOUNT}/pin/decisions": Row("operators", {"decisions": {"none": "drop"}}, answer=409),
    f"GET {HERALD}/sites": Row("operators"),
    f"GET {HERALD}/store": Row("operators"),
    "GET /metrics": Row("operators"),
    f"GET {HERALD}/sites/{{site}}/adj-rib-out": Row("operators", answer=404),  # the driver has no sites
    f"GET {ACCOUNT}/timeline": Row("account"),
    f"GET {OWN}/history": Row("account"),
    f"GET {ACCOUNT}/webhooks": Row("account"),
    f"POST {ACCOUNT}/webhooks": Row("account", {"url": "https://hooks.example/", "events": ["*"]}),
    f"GET {HOOK}": Row("account", answer=404),
    f"PATCH {HOOK}": Row("account", {"enabled": False}, answer=404),
    f"DELETE {HOOK}": Row("account", answer=404),
    f"POST {HOOK}/rotate": Row("account", {}, answer=404),
    f"POST {HOOK}/test": Row("account", answer=404),
    f"GET {HOOK}/deliveries": Row("account", answer=404),
    f"POST {HOOK}/deliveries/{{delivery_id}}/redeliver": Row("account", answer=404),
    f"GET {HERALD}/intents/keys": Row("anybody"),
    f"GET {HERALD}/registry/keys": Row("anybody"),
    f"GET {ACCOUNT}/registry": Row("account"),
    f"GET {HERALD}/intent_requests": Row("operators"),
    f"POST {HERALD}/intent_requests": Row(
        "operators",
        {
            "account_id": "acme", "kind": "withdraw", "prefixes": ["192.0.2.0/24"], "reason": "r",
            "expires_in_s": 60,
        },
    ),
    f"GET {HERALD}/intent_requests/{{request_id}}": Row("operators", answer=404),
    f"POST {HERALD}/intent_requests/{{request_id}}/confirm": Row("operators", answer=404),
    f"GET {OWN}/deletion": Row("account"),
    f"PUT {OWN}/deletion": Row("owners", {"reason": "r"}),
    f"DELETE {OWN}/deletion": Row("account", answer=409),  # nobody asked
    f"POST {OWN}/undelete": Row("account", answer=404),  # it is not deleted
    f"GET {ACCOUNT}/deletions": Row("account"),
    f"GET {HERALD}/prefixes": Row("staff"),
    f"POST {HERALD}/prefix_deletions": Row(
        "staff", {"ids": ["none"], "expected_count": 1, "selector": None, "reason": "r"}, answer=409
    ),
    f"GET {HERALD}/prefix_deletions": Row("staff"),
    f"GET {HERALD}/tasks": Row("operators"),
    f"GET {HERALD}/tasks/{{task}}": Row("operators"),
    f"GET {HERALD}/tasks/{{task}}/runs": Row("operators"),
    f"POST {HERALD}/tasks/{{task}}/runs": Row("operators", {"dry_run": True}),
    f"POST {HERALD}/tasks/{{task}}/stop": Row("operators"),
    f"POST {HERALD}/tasks/{{task}}/start": Row("operators"),
    f"GET {HERALD}/task_runs/{{run_id}}": Row("operators", answer=404),
    f"POST {HERALD}/task_runs/{{run_id}}/approve": Row("operators", {"plan_hash": "0" * 64}, answer=404),
    f"POST {HERALD}/prefix_purges": Row("staff", {"ids": ["none"], "expected_count": 1}, answer=409),
    f"GET {OWN}/withdrawal_lock": Row("account", answer=404),
    f"PUT {OWN}/withdrawal_lock": Row("owners", {"public_key": None}),
    f"DELETE {OWN}/withdrawal_lock": Row("account", answer=400),  # without its header
    f"POST {OWN}/transfers": Row("owners", {"to_account_id": "globex", "reason": "r"}),
    f"GET {ACCOUNT}/transfers": Row("account"),
    f"POST {ACCOUNT}/transfers/{{transfer_id}}/accept": Row("owners", answer=404),
    f"POST {ACCOUNT}/transfers/{{transfer_id}}/cancel": Row("account", answer=404),
    f"GET {HERALD}/revocations": Row("anybody"),
    f"POST {HERALD}/revocations": Row(
        "operators", {"kind": "legal_order", "account_id": "acme", "cidr": "192.0.2.0/24", "reason": "r"}
    ),
    f"GET {ACCOUNT}/migrations": Row("account"),
    f"POST {ACCOUNT}/migrations": Row(
        "owners",
        {
            "cidrs": ["192.0.2.0/24"], "expected_count": 1, "reason": "r",
            "not_before": "2026-01-01T00:00:00Z", "not_after": "{soon}",
        },
    ),
    f"GET {ACCOUNT}/migrations/{{migration_id}}": Row("account", answer=404),
    f"POST {ACCOUNT}/migrations/{{migration_id}}/confirm": Row("owners", {"confirmation": "c"}, answer=404),
    f"POST {ACCOUNT}/migrations/{{migration_id}}/withdraw": Row(
        "owners", {"cidrs": ["192.0.2.0/24"]}, answer=404
    ),
    f"POST {ACCOUNT}/migrations/{{migration_id}}/cancel": Row("account", answer=404),
}  # fmt: skip
