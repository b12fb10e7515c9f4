"""Refusals of the API: each has an HTTP status, a code and a name, and says what to do.

::

    AddressingError
    ├── Refusal                kind: what was refused; pointer: the field to blame
    ├── Refusals               several of them at once, each with its own pointer
    └── UnrecordedWriteError   a bug: rows were changed, and no event says so
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from controller.errors import HeraldError


class Kind(Enum):
    """(HTTP status, code in the envelope, name). Codes and names are never used anew for another thing."""

    MALFORMED_QUERY = (400, 1001, "malformed_query")
    MALFORMED_BODY = (400, 1002, "malformed_body")
    MALFORMED_HEADER = (400, 1003, "malformed_header")
    MEDIA_TYPE = (415, 1004, "media_type_not_supported")
    BODY_TOO_LARGE = (413, 1005, "body_too_large")
    INVALID_PREFIX = (400, 1101, "invalid_prefix")
    INVALID_ASN = (400, 1102, "invalid_asn")
    INVALID_SITE = (400, 1103, "unknown_site")
    PREFIX_OVERLAPS = (409, 1201, "prefix_overlaps")
    NOT_WITHIN_PREFIX = (400, 1202, "not_within_prefix")
    PREFIX_NOT_APPROVED = (409, 1203, "prefix_not_valid_and_approved")
    INCOMPLETE_DEPLOYMENT = (409, 1204, "incomplete_bgp_deployment")
    STATE_LOCKED = (423, 1205, "advertise_state_locked")
    DEFAULT_BINDING_FIRST = (409, 1206, "default_binding_required")
    DEFAULT_BINDING_ONLY = (409, 1207, "service_is_default_binding_only")
    STILL_ADVERTISED = (409, 1208, "still_advertised")
    STILL_APPROVED = (409, 1209, "prefix_is_approved")
    ALREADY_EXISTS = (409, 1210, "already_exists")
    BINDING_IN_USE = (409, 1211, "binding_in_use")
    PREFIX_TOMBSTONED = (409, 1220, "prefix_is_tombstoned")
    COUNT_DISAGREES = (409, 1221, "count_disagrees")
    NOT_PENDING_DELETE = (409, 1222, "not_pending_delete")
    WITHDRAWAL_LOCKED = (423, 1223, "withdrawal_locked")
    INTENT_DOES_NOT_COVER = (409, 1224, "intent_does_not_cover")
    INTENT_NOT_USABLE = (409, 1225, "intent_not_usable")
    SECOND_OPERATOR = (409, 1226, "second_operator_needed")
    GRACE_IS_OVER = (409, 1227, "grace_is_over")
    GRACE_NOT_OVER = (409, 1228, "grace_is_not_over")
    UNLOCK_REFUSED = (403, 1229, "unlock_refused")
    UNLOCK_PAUSED = (423, 1230, "unlock_paused")
    NOT_IN_THAT_STATE = (409, 1231, "not_in_that_state")
    OUTSIDE_WINDOW = (409, 1232, "outside_window")
    REVOKED = (409, 1233, "revoked")
    UNKNOWN_PREFIX = (409, 1234, "unknown_prefix")
    NAMED_TWICE = (409, 1235, "named_twice")
    CONFIRMATION_DIFFERS = (409, 1236, "confirmation_differs")
    NOT_THE_OWNER = (403, 1270, "not_the_owner")
    INVALID_ACCOUNT = (400, 1271, "invalid_account")
    DELEGATION_OVERLAPS = (409, 1272, "delegation_overlaps")
    DELEGATION_IN_USE = (409, 1273, "delegation_in_use")
    NOT_WITHIN_DELEGATION = (400, 1274, "not_within_delegation")
    MAY_NOT_ADVERTISE = (403, 1275, "may_not_advertise")
    NOT_A_PDF = (415, 1276, "not_a_pdf")
    DOCUMENT_TOO_LARGE = (413, 1277, "document_too_large")
    UNKNOWN_LETTER = (400, 1278, "unknown_loa_document")
    LETTER_WITHDRAWN = (409, 1279, "loa_document_withdrawn")
    MALFORMED_UPLOAD = (400, 1280, "malformed_upload")
    MAP_ENABLED = (409, 1281, "address_map_is_enabled")
    MAP_MANAGED = (403, 1282, "address_map_is_managed")
    INVALID_IP = (400, 1283, "invalid_ip")
    IP_IN_ANOTHER_MAP = (409, 1284, "ip_in_another_enabled_map")
    IP_NOT_SERVED = (409, 1285, "ip_not_served")
    INVALID_MEMBER = (400, 1286, "invalid_member")
    INVALID_SNI = (400, 1287, "invalid_default_sni")
    VALIDATION_BLOCKS = (409, 1250, "validation_blocks_announcement")
    APPROVAL_NEEDS_REASON = (409, 1251, "approval_needs_reason")
    NOTHING_TO_ACCEPT = (409, 1252, "nothing_to_accept")
    SNAPSHOT_THINNED = (409, 1265, "snapshot_not_whole")
    CHUNK_DAMAGED = (409, 1266, "chunk_damaged")
    NOT_PINNED = (409, 1267, "account_not_pinned")
    ROLLED_BACK = (423, 1268, "account_rolled_back")
    ACCOUNTS_MOVED = (409, 1269, "accounts_moved")
    WEBHOOK_TARGET = (400, 1290, "webhook_target_refused")
    UNKNOWN_EVENT_TYPE = (400, 1291, "unknown_event_type")
    TOO_MANY_WEBHOOKS = (409, 1292, "too_many_webhooks")
    WEBHOOK_DISABLED = (409, 1293, "webhook_disabled")
    DELIVERY_PENDING = (409, 1294, "delivery_pending")
    SCOPE_NOT_OPEN = (409, 1240, "breaker_scope_not_open")
    SCOPE_OPEN = (409, 1241, "breaker_scope_open")
    QUEUE_CHANGED = (409, 1242, "queue_changed")
    UNDECIDED = (400, 1243, "groups_undecided")
    INTENT_NEEDED = (409, 1244, "intent_needed")
    FROZEN = (423, 1245, "frozen")
    BAD_FREEZE = (400, 1246, "bad_freeze")
    DRAIN_REFUSED = (409, 1247, "drain_refused")
    TASK_STOPPED = (409, 1260, "task_is_stopped")
    PLAN_CHANGED = (409, 1261, "plan_changed")
    KEY_REUSED = (409, 1301, "idempotency_key_reused")
    PRECONDITION_FAILED = (412, 1302, "precondition_failed")
    NOT_FOUND = (404, 7003, "not_found")
    METHOD_NOT_ALLOWED = (405, 7001, "method_not_allowed")
    NOT_IN_THIS_VERSION = (501, 7501, "not_in_this_version")
    UNAUTHENTICATED = (401, 10000, "authentication_error")
    RATE_LIMITED = (429, 10001, "rate_limited")
    BODY_TOO_SLOW = (408, 10002, "body_too_slow")
    HEADERS_TOO_LARGE = (431, 10003, "headers_too_large")
    FORBIDDEN = (403, 9109, "not_allowed")
    OUT_OF_SCOPE = (403, 9110, "out_of_scope")
    WIDER_TOKEN = (403, 9111, "wider_than_your_token")
    REASON_REQUIRED = (400, 9112, "reason_required")
    UNAVAILABLE = (503, 5003, "store_unavailable")
    INTERNAL = (500, 5000, "internal_error")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def code(self) -> int:
        """The number in the envelope."""
        return self.value[1]

    @property
    def label(self) -> str:
        """The name that the message begins with."""
        return self.value[2]


class AddressingError(HeraldError):
    """Root of the errors of this package."""


class Refusal(AddressingError):  # noqa: N818 (the field's word; not a fault)
    """A request that is refused and changes nothing. ``pointer``: a JSON pointer into the body, or
    ``/query/<name>``, ``/header/<name>``.
    """

    def __init__(self, kind: Kind, message: str, pointer: str | None = None) -> None:
        super().__init__(f"{kind.label}: {message}")
        self.kind = kind
        self.pointer = pointer


class Refusals(AddressingError):  # noqa: N818 (as above)
    """A request that is refused for several reasons at once; the first one's kind gives the status."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(str(r) for r in refusals))
        self.refusals = tuple(refusals)


class UnrecordedWriteError(AddressingError):
    """A write changed rows without recording an event; it is undone."""
