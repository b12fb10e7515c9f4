"""Who may (pure): roles, scopes by resource and verb, and what a token may hand on to another.

A resource is the one tag of its routes (``bgp_prefixes``); a verb is what the HTTP method means. Scopes can
only narrow what a role may do, never widen it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from controller.addressing.errors import Kind, Refusal

Role = Literal["customer", "operator", "task", "break-glass"]
Verb = Literal["read", "create", "edit", "delete"]
Scopes = Mapping[str, frozenset[Verb]]
"""Resource (or :data:`ANY`) to the verbs that are allowed on it."""

ROLES: tuple[Role, ...] = get_args(Role)
VERBS: tuple[Verb, ...] = get_args(Verb)
ANY = "*"
"""The scope that stands for every resource, those of later releases among them."""

OF_METHOD: Mapping[str, Verb] = {
    "GET": "read", "HEAD": "read", "POST": "create", "PATCH": "edit", "PUT": "edit", "DELETE": "delete",
}  # fmt: skip

OPEN = frozenset({"caller"})
"""Resources that every valid token may read: a client must be able to learn what its token is."""

LONGEST_BREAK_GLASS = timedelta(hours=8)

OPERATORS: frozenset[Role] = frozenset({"operator", "break-glass"})
EXPIRING: frozenset[Role] = frozenset({"task", "break-glass"})


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. ``account_id`` None: an operator, or a task for all accounts.

    ``scopes`` None: all that the role may do. ``expires_at`` None: never.
    """

    token_id: str
    role: Role
    account_id: str | None
    scopes: Scopes | None = None
    expires_at: datetime | None = None

    @property
    def actor(self) -> str:
        """How events and change-sets name the caller."""
        return f"{self.role}:{self.token_id}"

    @property
    def is_operator(self) -> bool:
        """Whether the caller has an operator's powers; with break-glass it has them for hours."""
        return self.role in OPERATORS

    @property
    def is_task(self) -> bool:
        """Whether nobody stands behind the call: a task cannot approve, want (intents) or issue tokens."""
        return self.role == "task"

    @property
    def sees_all_accounts(self) -> bool:
        """Whether the caller is not kept to one account."""
        return self.account_id is None

    def may(self, resource: str, verb: Verb) -> bool:
        """Tell whether role and scopes allow ``verb`` on ``resource``; accounts are another question."""
        return _role_refuses(self.role, resource, verb) is None and _in_scope(self.scopes, resource, verb)

    def require(self, resource: str, verb: Verb) -> None:
        """Refuse (403) what role or scopes do not allow."""
        why = _role_refuses(self.role, resource, verb)
        if why is not None:
            raise Refusal(Kind.FORBIDDEN, why)
        if not _in_scope(self.scopes, resource, verb):
            raise Refusal(
                Kind.OUT_OF_SCOPE,
                f"this token is not for {resource}:{verb} (it has {scopes_text(self.scopes)}): "
                "use one that has this scope",
            )

    def require_operator(self) -> None:
        """Refuse (403) anybody but an operator."""
        if not self.is_operator:
            raise Refusal(Kind.FORBIDDEN, "this is for operators only: use an operator's token")

    def require_account(self, account_id: str) -> None:
        """Refuse (403) a caller that is kept to another account."""
        if self.account_id is not None and account_id != self.account_id:
            raise Refusal(
                Kind.FORBIDDEN, f"this token is for account {self.account_id}, not for {account_id}"
            )


def _role_refuses(role: Role, resource: str, verb: Verb) -> str | None:
    if role == "task" and resource == "tokens" and verb != "read":
        return "a task issues and revokes no tokens: use an operator's or a customer's token"
    return None


def _in_scope(scopes: Scopes | None, resource: str, verb: Verb) -> bool:
    if scopes is None or (resource in OPEN and verb == "read"):
        return True
    return verb in scopes.get(resource, ()) or verb in scopes.get(ANY, ())


def scopes_text(scopes: Scopes | None) -> str:
    """Return scopes as ``resource:verb,verb …``; ``*`` for None."""
    if scopes is None:
        return ANY
    return " ".join(f"{r}:{','.join(v for v in VERBS if v in verbs)}" for r, verbs in sorted(scopes.items()))


def scopes_from(found: Mapping[str, Sequence[str]] | None) -> Scopes | None:
    """Return scopes as they are kept in JSON; verbs that this release does not know allow nothing."""
    if found is None:
        return None
    return {resource: frozenset(v for v in VERBS if v in verbs) for resource, verbs in found.items()}


@dataclass(frozen=True, slots=True)
class WantedToken:
    """A token that somebody wants to issue."""

    role: Role
    account_id: str | None
    scopes: Scopes | None
    expires_at: datetime | None


def check_issue(caller: Caller, wanted: WantedToken, resources: frozenset[str], now: datetime) -> None:
    """Refuse a token that makes no sense, or that could do more, or for longer, than its issuer's."""
    _check_shape(wanted, resources, now)
    if not caller.is_operator:
        if wanted.role != "customer":
            raise Refusal(Kind.FORBIDDEN, f"only operators issue tokens of the role {wanted.role}", "/role")
        if wanted.account_id != caller.account_id:
            raise Refusal(
                Kind.WIDER_TOKEN,
                f"this token is for account {caller.account_id}: issue tokens for that one",
                "/account_id",
            )
    if caller.role == "break-glass" and wanted.role == "operator":
        raise Refusal(
            Kind.WIDER_TOKEN, "a break-glass token issues no operator's: it would outlast it", "/role"
        )
    if caller.expires_at is not None and (wanted.expires_at is None or wanted.expires_at > caller.expires_at):
        raise Refusal(
            Kind.WIDER_TOKEN,
            f"your own token ends at {caller.expires_at.isoformat()}: give an expires_at that is no later",
            "/expires_at",
        )
    beyond = wider(wanted.scopes, caller.scopes)
    if beyond is not None:
        raise Refusal(
            Kind.WIDER_TOKEN,
            f"your own token has {scopes_text(caller.scopes)}, not {beyond}: ask for no more than that",
            "/scopes",
        )


def _check_shape(wanted: WantedToken, resources: frozenset[str], now: datetime) -> None:
    role = wanted.role
    if role == "customer" and wanted.account_id is None:
        raise Refusal(Kind.MALFORMED_BODY, "a customer's token needs an account_id", "/account_id")
    if role in OPERATORS and wanted.account_id is not None:
        raise Refusal(
            Kind.MALFORMED_BODY, f"the role {role} is for all accounts: leave account_id out", "/account_id"
        )
    if role in EXPIRING and wanted.expires_at is None:
        raise Refusal(Kind.MALFORMED_BODY, f"a token of the role {role} needs an expires_at", "/expires_at")
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise Refusal(
            Kind.MALFORMED_BODY,
            f"{wanted.expires_at.isoformat()} is over: give a time to come",
            "/expires_at",
        )
    if role == "break-glass" and wanted.expires_at and wanted.expires_at - now > LONGEST_BREAK_GLASS:
        raise Refusal(
            Kind.MALFORMED_BODY,
            "a break-glass token lasts at most 8 hours: give an earlier time",
            "/expires_at",
        )
    if role == "task" and (wanted.scopes is None or ANY in wanted.scopes):
        raise Refusal(Kind.MALFORMED_BODY, "a task's token names each resource that it may touch", "/scopes")
    for resource in wanted.scopes or ():
        if resource not in resources and resource != ANY:
            raise Refusal(
                Kind.MALFORMED_BODY,
                f"there is no resource {resource!r}: there are {', '.join(sorted(resources))}",
                f"/scopes/{resource}",
            )


def wider(wanted: Scopes | None, own: Scopes | None) -> str | None:
    """Return something (``resource:verb``) that ``wanted`` allows and ``own`` does not; None if nothing."""
    if own is None:
        return None
    if wanted is None:
        return "everything"
    for resource, verbs in sorted(wanted.items()):
        for verb in VERBS:
            allowed = verb in own.get(resource, ()) or verb in own.get(ANY, ())
            if verb in verbs and not allowed:
                return f"{resource}:{verb}"
    return None
