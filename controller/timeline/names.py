"""The types of what is told, and the patterns with which a webhook chooses among them (pure).

A type is ``<object>.<what happened>``; a pattern is a type, ``<object>.*`` or ``*``. Types are never used
anew for another thing. ``docs/webhooks.md`` lists them; a test holds it to :data:`TYPES`, and :data:`TYPES`
to what the code records.
"""

from __future__ import annotations

from collections.abc import Iterable

PAST = {
    "create": "created",
    "edit": "edited",
    "approve": "approved",
    "delete": "deleted",
    "advertise": "advertised",
    "withdraw": "withdrawn",
    "prepend": "prepended",
    "auto-advertise": "auto_advertise_set",
    "issue": "issued",
    "revoke": "revoked",
    "rotate": "rotated",
    "redeliver": "redelivered",
    "test": "tested",
    "verify": "verified",
    "deploy": "deployed",
    "freeze": "frozen",
    "lift": "lifted",
    "manage": "managed",
    "validate": "validation_asked",
    "check": "checked",
    "lock": "locked",
    "unlock": "unlocked",
    "wrong-unlock": "unlock_refused",
    "ask-deletion": "deletion_asked",
    "take-back-deletion": "deletion_taken_back",
    "undelete": "undeleted",
    "purge": "purged",
    "offer": "offered",
    "give": "given",
    "take": "taken",
    "end": "ended",
    "ask": "asked",
    "confirm": "confirmed",
    "cancel": "cancelled",
    "plan": "planned",
    "put-back": "put_back",
    "roll-back": "rolled_back",
    "keep": "kept",
    "drop": "dropped",
}
"""How what was done is called once it is done."""

CONFIGURED = {
    "account.created": "the account was made",
    "token.issued": "a token of the account was issued",
    "token.revoked": "a token of the account was revoked",
    "prefix.created": "a prefix was onboarded",
    "prefix.approved": "an operator approved a prefix",
    "prefix.edited": "its description was changed",
    "prefix.deleted": "a prefix was deleted (a tombstone)",
    "prefix.validation_asked": "its checks were asked for",
    "prefix.deletion_asked": "its owner asked for it to be removed",
    "prefix.deletion_taken_back": "its owner does not want it removed any more",
    "prefix.undeleted": "a deleted prefix came back with all that stood in it",
    "prefix.purged": "a deleted prefix is gone for good",
    "prefix.locked": "a withdrawal lock was put on it",
    "prefix.unlocked": "its withdrawal lock was taken away",
    "prefix.unlock_refused": "somebody gave a wrong code or key for its withdrawal lock",
    "prefix.offered": "it was offered to another account",
    "prefix.given": "it went to another account",
    "prefix.taken": "it came from another account",
    "bgp_prefix.created": "a part of a prefix became advertisable",
    "bgp_prefix.advertised": "it was asked to be advertised; it is not on the air yet",
    "bgp_prefix.withdrawn": "it was asked to be withdrawn",
    "bgp_prefix.prepended": "its number of prepends was set",
    "bgp_prefix.auto_advertise_set": "its auto_advertise_withdraw was set",
    "bgp_prefix.deleted": "a BGP prefix was deleted (a tombstone)",
    "binding.created": "a service was bound",
    "binding.deleted": "a binding was deleted (a tombstone)",
    "delegation.created": "a part of a prefix was delegated to another account",
    "delegation.edited": "what a delegated account may do was changed",
    "delegation.deleted": "a delegation was deleted",
    "delegation.undeleted": "a delegation came back with its prefix",
    "delegation.ended": "a delegation ended with what it stood on",
    "loa_document.created": "a letter of authorization was uploaded or made",
    "loa_document.verified": "an operator has verified a letter",
    "loa_document.withdrawn": "a letter holds no longer",
    "address_map.created": "an address map was made",
    "address_map.edited": "an address map or its members were changed",
    "address_map.managed": "an operator set what its account may do with an address map",
    "address_map.deleted": "an address map was deleted",
    "intent_request.asked": "an operator asked for an intent in the account's name",
    "intent_request.confirmed": "a second operator confirmed it",
    "migration.planned": "a migration away was planned",
    "migration.confirmed": "a migration was confirmed",
    "migration.withdrawn": "a migration withdrew a prefix",
    "migration.cancelled": "a migration was cancelled",
    "transfer.cancelled": "the offer of a transfer was taken back",
    "rollback.rolled_back": "the account was rolled back to a snapshot; writes that take away wait",
    "pin.kept": "an operator kept a change-set that a rollback had undone or kept back",
    "pin.dropped": "an operator dropped such a change-set: what it asked for is not asked for any more",
    "pin.ended": "everything about a rollback of the account is decided",
    "prefix.put_back": "a prefix is configured again as it is in production",
    "bgp_prefix.put_back": "a BGP prefix is configured again as it is in production",
    "binding.put_back": "a binding is configured again as it is in production",
    "revocation.revoked": "something was revoked for good: no rollback brings it back",
    "hold.deployed": "somebody decided that what was held is carried out",
    "hold.dropped": "somebody decided that what was held is never carried out",
    "freeze.frozen": "somebody froze the account: nothing is taken away until that is lifted",
    "freeze.lifted": "a freeze of the account was lifted by who had made it, or by break-glass",
    "webhook.created": "a webhook was made",
    "webhook.edited": "a webhook was changed",
    "webhook.rotated": "a webhook's secret was rotated",
    "webhook.tested": "a test was asked for",
    "webhook.redelivered": "a delivery was asked for again",
    "webhook.deleted": "a webhook was deleted",
}
"""What somebody asked for."""

OPERATIONAL = {
    "change_set.queued": "accepted, not rolled out yet",
    "change_set.rolling": "its roll-out has begun",
    "change_set.held": "it is held: the reason says by what, and what would let it go on",
    "change_set.done": "in effect at every site",
    "change_set.failed": "it was refused, or failed at a site: the reason says which",
    "breaker.opened": "the breaker opened for it: what takes something away there is held until it is closed",
    "breaker.reminded": "it is still open, and nobody has answered: each time more are told",
    "breaker.closed": "somebody looked at what waited, and closed it: how each group was decided",
    "freeze.stands": "a freeze was made (operators)",
    "freeze.ended": "a freeze was lifted (operators)",
    "drain.began": "a site is taken out of use: routes of the account go from there, and stay at others",
    "drain.ended": "a site comes back into use, with all that is operational by then",
    "site.unreachable": "nobody answers at a site: it keeps what it has, and is tried again",
    "site.waiting": "a site has it and waits: the reason says for what",
    "site.degraded": "a route stays announced at a site though too few of its machines serve it",
    "site.unserved": "a site has withdrawn a route, since its machines report its bindings absent",
    "site.confirmed": "in effect at a site",
    "site.superseded": "a site has a later change-set already",
    "site.conflict": "a site holds what this controller never made",
    "site.refused": "a site refused it",
    "site.put_back": "a site took it back by itself: nobody confirmed in time that it is final",
    "webhook.disabled": "a webhook was disabled: its target is gone, or did not answer for too long",
    "webhook.test": "the notification of a test; only the webhook that is tested gets it",
}
"""What became of it."""

OBSERVED = {
    "prefix.checked": "a check of it (IRR, RPKI, ownership) came to another state: which, by which evidence",
    "bgp_prefix.visible": "routers hold it: how many of how many, which, and by which paths",
    "bgp_prefix.absent": "no router that can be looked at holds it any more",
}
"""What other routers were seen to hold."""

TYPES = CONFIGURED | OPERATIONAL | OBSERVED
"""Every type and its meaning."""


def event_type(object_kind: str, action: str) -> str:
    """Return the type of what was done to an object."""
    past = PAST.get(action) or action.replace("-", "_")
    return f"{object_kind.replace('-', '_')}.{past}"


def matches(pattern: str, type_: str) -> bool:
    """Tell whether a pattern chooses a type."""
    return pattern in ("*", type_) or (pattern.endswith(".*") and type_.startswith(pattern[:-1]))


def wanted(patterns: Iterable[str], type_: str) -> bool:
    """Tell whether any of the patterns chooses a type."""
    return any(matches(pattern, type_) for pattern in patterns)


def chooses_nothing(pattern: str) -> bool:
    """Tell whether a pattern can never choose anything: most likely it is a misspelling."""
    return not any(matches(pattern, type_) for type_ in TYPES)
