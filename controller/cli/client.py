"""A small typed client of the API: what the command line, labs and tests call most, by name.

Commands of resources that nobody else calls use :class:`controller.cli.http.Http` and ``routes`` as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from controller.bgp import Prefix
from controller.cli.answers import Object, Written
from controller.cli.http import Http, Terms
from controller.cli.routes import addressing, herald
from controller.observe.inventory import Inventory

LONGEST_WAIT_S = 30.0
UNDER_WAY = frozenset({"queued", "rolling"})


class Owner(msgspec.Struct, frozen=True):
    """Whose a prefix is; ``bgp_prefix_id`` None: it is no BGP prefix yet."""

    account_id: str
    prefix_id: str
    prefix_cidr: Prefix
    bgp_prefix_id: str | None


class SiteProgress(msgspec.Struct, frozen=True):
    """How far one site is, and why it is not further."""

    state: str
    reason: str = ""


class ChangeSetProgress(msgspec.Struct, frozen=True):
    """How far a change-set is: queued, rolling, done, failed or held."""

    id: str
    state: str
    reason: str = ""
    rollout_id: str | None = None
    sites: dict[str, SiteProgress] = {}  # msgspec copies it


class Caller(msgspec.Struct, frozen=True):
    """Whose token it is; an operator has no account."""

    id: str
    role: str
    account_id: str | None


class Client(Http):
    """The API of :class:`Http`, by the names of what it has."""

    @classmethod
    def from_inventory(
        cls, inventory: Inventory, *, token: str | None = None, terms: Terms | None = None
    ) -> Client:
        """Return the client of a running lab's API, as the operator unless another token is given."""
        return cls(f"unix:{inventory.api_socket}", token or inventory.api_token, terms=terms)

    @classmethod
    def of_owner(cls, inventory: Inventory, account_id: str, *, terms: Terms | None = None) -> Client:
        """Return the client of a running lab's API as the owner ``account_id``.

        As the operator where the lab has no token of that account: one that was made after it came up.
        """
        return cls.from_inventory(inventory, token=inventory.owner_token(account_id), terms=terms)

    def __enter__(self) -> Client:
        return self

    # -- who is who ---------------------------------------------------------------------------------------
    def caller(self) -> Caller:
        """Return whose token this client uses."""
        return msgspec.convert(self.get(herald("caller")), Caller)

    def accounts(self) -> list[Object]:
        """Return all accounts (a customer: its own)."""
        return self.all(herald("accounts"))

    def create_account(self, name: str, *, id: str | None = None) -> Object:  # noqa: A002 (the field's name)
        """Make an account, or return the one that has this id and name already."""
        return self.write("POST", herald("accounts"), {"name": name, "id": id}).result

    def create_token(self, role: str, *, account_id: str | None = None, description: str = "") -> Object:
        """Issue a token: the answer's ``token`` is shown this once."""
        body = {"role": role, "account_id": account_id, "description": description}
        return self.write("POST", herald("tokens"), body).result

    def tokens(self) -> list[Object]:
        """Return all tokens, without the secrets."""
        return self.all(herald("tokens"))

    def revoke_token(self, token_id: str) -> Object:
        """Revoke a token."""
        return self.write("DELETE", herald("tokens", token_id)).result

    # -- the compatible resources -------------------------------------------------------------------------
    def services(self, account_id: str) -> list[Object]:
        """Return all services."""
        return self.all(addressing(account_id, "services"))

    def create_service(self, id: str, name: str) -> Object:  # noqa: A002 (the field's name)
        """Make a service, or return the one that has this id and name already."""
        return self.write("POST", herald("services"), {"id": id, "name": name}).result

    def prefixes(self, account_id: str) -> list[Object]:
        """Return the account's prefixes."""
        return self.all(addressing(account_id, "prefixes"))

    def prefix(self, account_id: str, prefix_id: str) -> Object:
        """Return one prefix."""
        return self.one(addressing(account_id, "prefixes", prefix_id))

    def create_prefix(
        self, account_id: str, cidr: str, *, asn: int | None = None, description: str = ""
    ) -> Object:
        """Onboard a prefix."""
        body = {"cidr": cidr, "asn": asn, "description": description}
        return self.write("POST", addressing(account_id, "prefixes"), body).result

    def describe_prefix(self, account_id: str, prefix_id: str, description: str) -> Object:
        """Change a prefix's description."""
        path = addressing(account_id, "prefixes", prefix_id)
        return self.write("PATCH", path, {"description": description}).result

    def approve_prefix(self, account_id: str, prefix_id: str) -> tuple[Object, str | None]:
        """Approve a prefix; returns it and the change-set's id, None when it was approved already."""
        return _pair(self.write("POST", addressing(account_id, "prefixes", prefix_id, "approve")))

    def delete_prefix(self, account_id: str, prefix_id: str) -> None:
        """Delete a prefix that is not approved."""
        self.write("DELETE", addressing(account_id, "prefixes", prefix_id))

    def bgp_prefixes(self, account_id: str, prefix_id: str) -> list[Object]:
        """Return the BGP prefixes in a prefix."""
        return self.all(addressing(account_id, "prefixes", prefix_id, "bgp", "prefixes"))

    def bgp_prefix(self, account_id: str, prefix_id: str, bgp_prefix_id: str) -> Object:
        """Return one BGP prefix."""
        return self.one(addressing(account_id, "prefixes", prefix_id, "bgp", "prefixes", bgp_prefix_id))

    def create_bgp_prefix(self, account_id: str, prefix_id: str, cidr: str) -> tuple[Object, str | None]:
        """Make a part of a prefix advertisable; returns it and the change-set's id."""
        path = addressing(account_id, "prefixes", prefix_id, "bgp", "prefixes")
        return _pair(self.write("POST", path, {"cidr": cidr}))

    def edit_bgp_prefix(
        self, account_id: str, prefix_id: str, bgp_prefix_id: str, changes: Mapping[str, object]
    ) -> tuple[Object, str | None]:
        """Change ``on_demand``, ``asn_prepend_count`` or ``auto_advertise_withdraw``."""
        path = addressing(account_id, "prefixes", prefix_id, "bgp", "prefixes", bgp_prefix_id)
        return _pair(self.write("PATCH", path, dict(changes)))

    def delete_bgp_prefix(self, account_id: str, prefix_id: str, bgp_prefix_id: str) -> str | None:
        """Delete a withdrawn BGP prefix; returns the change-set's id."""
        path = addressing(account_id, "prefixes", prefix_id, "bgp", "prefixes", bgp_prefix_id)
        return _pair(self.write("DELETE", path))[1]

    def bindings(self, account_id: str, prefix_id: str) -> list[Object]:
        """Return the bindings in a prefix."""
        return self.all(addressing(account_id, "prefixes", prefix_id, "bindings"))

    def bind(self, account_id: str, prefix_id: str, cidr: str, service_id: str) -> tuple[Object, str | None]:
        """Bind a service to a part of a prefix; returns the binding and the change-set's id."""
        body = {"cidr": cidr, "service_id": service_id}
        return _pair(self.write("POST", addressing(account_id, "prefixes", prefix_id, "bindings"), body))

    def unbind(self, account_id: str, prefix_id: str, binding_id: str) -> str | None:
        """Delete a binding; returns the change-set's id."""
        path = addressing(account_id, "prefixes", prefix_id, "bindings", binding_id)
        return _pair(self.write("DELETE", path))[1]

    # -- advertising --------------------------------------------------------------------------------------
    def whose(self, prefix: Prefix) -> Owner:
        """Return whose ``prefix`` is; refused (404) when nothing onboarded covers it."""
        return msgspec.convert(self.get(herald("bgp_prefixes"), {"cidr": prefix}), Owner)

    def put_advertisement(
        self, owner: Owner, prefix: Prefix, *, advertised: bool, sites: Sequence[str] | None
    ) -> Written:
        """Advertise ``prefix`` at ``sites`` (None: all) or withdraw it; a refusal leaves nothing behind.

        Returns the BGP prefix, made if there was none, with its change-set.
        """
        wanted = {"advertised": advertised, "sites": None if sites is None else list(sites)}
        if owner.bgp_prefix_id is not None:
            of = ("bgp_prefixes", owner.bgp_prefix_id)
            return self.write("PUT", herald("accounts", owner.account_id, *of, "advertisement"), wanted)
        of = ("prefixes", owner.prefix_id)
        body = {**wanted, "cidr": prefix}
        return self.write("PUT", herald("accounts", owner.account_id, *of, "advertisement"), body)

    def advertise(
        self, prefix: Prefix, *, advertised: bool, sites: Sequence[str] | None = None
    ) -> str | None:
        """Find whose ``prefix`` is and announce (making the BGP prefix if need be) or withdraw it.

        Returns the change-set's id; None when there is no such BGP prefix to withdraw.
        """
        owner = self.whose(prefix)
        if owner.bgp_prefix_id is None and not advertised:
            return None
        return _pair(self.put_advertisement(owner, prefix, advertised=advertised, sites=sites))[1]

    # -- how far it is ------------------------------------------------------------------------------------
    def change_set(self, change_set_id: str, *, wait_s: float = 0.0) -> ChangeSetProgress:
        """Return how far a change-set is, after at most ``wait_s`` seconds once it is over."""
        query = {"wait": f"{wait_s:.3f}"} if wait_s > 0 else None
        found = self.get(herald("change-sets", change_set_id), query, extra_s=wait_s)
        return msgspec.convert(found, ChangeSetProgress)

    def wait_change_set(self, change_set_id: str, seconds: float) -> ChangeSetProgress:
        """Return a change-set once it is over, or as it is after ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            progress = self.change_set(change_set_id, wait_s=min(left, LONGEST_WAIT_S))
            if progress.state not in UNDER_WAY or left <= 0:
                return progress

    def sites(self) -> list[Object]:
        """Return each site with its agent's last status (operators only)."""
        return self.all(herald("sites"))

    def rollouts(self) -> list[Object]:
        """Return what was rolled out, newest first."""
        return self.all(herald("rollouts"))

    def snapshots(self) -> list[Object]:
        """Return the history of the operational state, newest first."""
        return self.all(herald("snapshots"))


def _pair(made: Written) -> tuple[Object, str | None]:
    return made.result, next(iter(made.change_sets), None)
