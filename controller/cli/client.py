"""A small typed client of the API, over TCP or a unix socket: for the command line, labs and tests."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx
import msgspec

from controller.bgp import Prefix
from controller.cli.errors import ApiError, ApiUnreachableError, CliError
from controller.observe.inventory import Inventory

TIMEOUT_S = 15.0
"""Seconds for which one answer is waited for, beside what was asked to be waited."""

LONGEST_WAIT_S = 30.0
UNDER_WAY = frozenset({"queued", "rolling"})
CHANGE_SET_HEADER = "Herald-Change-Set"

Object = dict[str, Any]
"""An object of the compatible API, as JSON."""


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


class Client:
    """The API at ``url`` (``http://HOST:PORT`` or ``unix:/PATH``) with a bearer token.

    Methods raise :class:`ApiError` with the server's own words when it refuses, and
    :class:`ApiUnreachableError` when it does not answer.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s
        headers = {"Authorization": f"Bearer {token}"}
        if url.startswith("unix:"):
            transport = httpx.HTTPTransport(uds=url.removeprefix("unix:").removeprefix("//"))
            self._http = httpx.Client(
                transport=transport, base_url="http://herald", headers=headers, timeout=timeout_s
            )
        elif url.startswith(("http://", "https://")):
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)
        else:
            raise CliError(f"{url!r} is no URL of an API: give http://HOST:PORT or unix:/PATH")

    @classmethod
    def from_inventory(cls, inventory: Inventory, *, token: str | None = None) -> Client:
        """Return the client of a running lab's API, as the operator unless another token is given."""
        return cls(f"unix:{inventory.api_socket}", token or inventory.api_token)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- who is who ---------------------------------------------------------------------------------------
    def caller(self) -> Caller:
        """Return whose token this client uses."""
        return msgspec.convert(self._get("/herald/v1/caller"), Caller)

    def accounts(self) -> list[Object]:
        """Return all accounts (a customer: its own)."""
        return _objects(self._get("/herald/v1/accounts"))

    def create_account(self, name: str, *, id: str | None = None) -> Object:  # noqa: A002 (the field's name)
        """Make an account, or return the one that has this id and name already."""
        return self._write("POST", "/herald/v1/accounts", {"name": name, "id": id})[0]

    def create_token(self, role: str, *, account_id: str | None = None, description: str = "") -> Object:
        """Issue a token: the answer's ``token`` is shown this once."""
        body = {"role": role, "account_id": account_id, "description": description}
        return self._write("POST", "/herald/v1/tokens", body)[0]

    def tokens(self) -> list[Object]:
        """Return all tokens, without the secrets."""
        return _objects(self._get("/herald/v1/tokens"))

    def revoke_token(self, token_id: str) -> Object:
        """Revoke a token."""
        return self._write("DELETE", f"/herald/v1/tokens/{token_id}")[0]

    # -- the compatible resources -------------------------------------------------------------------------
    def services(self, account_id: str) -> list[Object]:
        """Return all services."""
        return _objects(self._result(f"{_base(account_id)}/services"))

    def create_service(self, id: str, name: str) -> Object:  # noqa: A002 (the field's name)
        """Make a service, or return the one that has this id and name already."""
        return self._write("POST", "/herald/v1/services", {"id": id, "name": name})[0]

    def prefixes(self, account_id: str) -> list[Object]:
        """Return the account's prefixes."""
        return _objects(self._result(f"{_base(account_id)}/prefixes"))

    def prefix(self, account_id: str, prefix_id: str) -> Object:
        """Return one prefix."""
        return _object(self._result(f"{_base(account_id)}/prefixes/{prefix_id}"))

    def create_prefix(
        self, account_id: str, cidr: str, *, asn: int | None = None, description: str = ""
    ) -> Object:
        """Onboard a prefix."""
        body = {"cidr": cidr, "asn": asn, "description": description}
        return self._write("POST", f"{_base(account_id)}/prefixes", body)[0]

    def describe_prefix(self, account_id: str, prefix_id: str, description: str) -> Object:
        """Change a prefix's description."""
        path = f"{_base(account_id)}/prefixes/{prefix_id}"
        return self._write("PATCH", path, {"description": description})[0]

    def approve_prefix(self, account_id: str, prefix_id: str) -> tuple[Object, str | None]:
        """Approve a prefix; returns it and the change-set's id, None when it was approved already."""
        return self._write("POST", f"{_base(account_id)}/prefixes/{prefix_id}/approve")

    def delete_prefix(self, account_id: str, prefix_id: str) -> None:
        """Delete a prefix that is not approved."""
        self._write("DELETE", f"{_base(account_id)}/prefixes/{prefix_id}")

    def bgp_prefixes(self, account_id: str, prefix_id: str) -> list[Object]:
        """Return the BGP prefixes in a prefix."""
        return _objects(self._result(f"{_base(account_id)}/prefixes/{prefix_id}/bgp/prefixes"))

    def bgp_prefix(self, account_id: str, prefix_id: str, bgp_prefix_id: str) -> Object:
        """Return one BGP prefix."""
        path = f"{_base(account_id)}/prefixes/{prefix_id}/bgp/prefixes/{bgp_prefix_id}"
        return _object(self._result(path))

    def create_bgp_prefix(self, account_id: str, prefix_id: str, cidr: str) -> tuple[Object, str | None]:
        """Make a part of a prefix advertisable; returns it and the change-set's id."""
        return self._write("POST", f"{_base(account_id)}/prefixes/{prefix_id}/bgp/prefixes", {"cidr": cidr})

    def edit_bgp_prefix(
        self, account_id: str, prefix_id: str, bgp_prefix_id: str, changes: Mapping[str, object]
    ) -> tuple[Object, str | None]:
        """Change ``on_demand``, ``asn_prepend_count`` or ``auto_advertise_withdraw``."""
        path = f"{_base(account_id)}/prefixes/{prefix_id}/bgp/prefixes/{bgp_prefix_id}"
        return self._write("PATCH", path, dict(changes))

    def delete_bgp_prefix(self, account_id: str, prefix_id: str, bgp_prefix_id: str) -> str | None:
        """Delete a withdrawn BGP prefix; returns the change-set's id."""
        path = f"{_base(account_id)}/prefixes/{prefix_id}/bgp/prefixes/{bgp_prefix_id}"
        return self._write("DELETE", path)[1]

    def bindings(self, account_id: str, prefix_id: str) -> list[Object]:
        """Return the bindings in a prefix."""
        return _objects(self._result(f"{_base(account_id)}/prefixes/{prefix_id}/bindings"))

    def bind(self, account_id: str, prefix_id: str, cidr: str, service_id: str) -> tuple[Object, str | None]:
        """Bind a service to a part of a prefix; returns the binding and the change-set's id."""
        body = {"cidr": cidr, "service_id": service_id}
        return self._write("POST", f"{_base(account_id)}/prefixes/{prefix_id}/bindings", body)

    def unbind(self, account_id: str, prefix_id: str, binding_id: str) -> str | None:
        """Delete a binding; returns the change-set's id."""
        return self._write("DELETE", f"{_base(account_id)}/prefixes/{prefix_id}/bindings/{binding_id}")[1]

    # -- advertising --------------------------------------------------------------------------------------
    def whose(self, prefix: Prefix) -> Owner:
        """Return whose ``prefix`` is; refused (404) when nothing onboarded covers it."""
        return msgspec.convert(self._get("/herald/v1/bgp_prefixes", {"cidr": prefix}), Owner)

    def put_advertisement(
        self, owner: Owner, prefix: Prefix, *, advertised: bool, sites: Sequence[str] | None
    ) -> tuple[Object, str | None]:
        """Advertise ``prefix`` at ``sites`` (None: all) or withdraw it; a refusal leaves nothing behind.

        Returns the BGP prefix, made if there was none, and the change-set's id.
        """
        wanted = {"advertised": advertised, "sites": None if sites is None else list(sites)}
        base = f"/herald/v1/accounts/{owner.account_id}"
        if owner.bgp_prefix_id is not None:
            return self._write("PUT", f"{base}/bgp_prefixes/{owner.bgp_prefix_id}/advertisement", wanted)
        body = {**wanted, "cidr": prefix}
        return self._write("PUT", f"{base}/prefixes/{owner.prefix_id}/advertisement", body)

    def advertise(
        self, prefix: Prefix, *, advertised: bool, sites: Sequence[str] | None = None
    ) -> str | None:
        """Find whose ``prefix`` is and announce (making the BGP prefix if need be) or withdraw it.

        Returns the change-set's id; None when there is no such BGP prefix to withdraw.
        """
        owner = self.whose(prefix)
        if owner.bgp_prefix_id is None and not advertised:
            return None
        return self.put_advertisement(owner, prefix, advertised=advertised, sites=sites)[1]

    # -- how far it is ------------------------------------------------------------------------------------
    def change_set(self, change_set_id: str, *, wait_s: float = 0.0) -> ChangeSetProgress:
        """Return how far a change-set is, after at most ``wait_s`` seconds once it is over."""
        query = {"wait": f"{wait_s:.3f}"} if wait_s > 0 else None
        found = self._get(f"/herald/v1/change-sets/{change_set_id}", query, extra_s=wait_s)
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
        return _objects(self._get("/herald/v1/sites"))

    def rollouts(self) -> list[Object]:
        """Return what was rolled out, newest first."""
        return _objects(self._get("/herald/v1/rollouts"))

    def snapshots(self) -> list[Object]:
        """Return the history of the operational state, newest first."""
        return _objects(self._get("/herald/v1/snapshots"))

    # -- HTTP ---------------------------------------------------------------------------------------------
    def _result(self, path: str) -> object:
        return _object(self._get(path))["result"]

    def _get(self, path: str, query: Mapping[str, str] | None = None, *, extra_s: float = 0.0) -> object:
        return self._call("GET", path, query=query, extra_s=extra_s)[0]

    def _write(self, method: str, path: str, body: object = None) -> tuple[Object, str | None]:
        answer, headers = self._call(method, path, body=body)
        found = _object(answer)
        result = found.get("result", {}) if "success" in found else found
        return result, headers.get(CHANGE_SET_HEADER)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        extra_s: float = 0.0,
    ) -> tuple[object, httpx.Headers]:
        try:
            response = self._http.request(
                method, path, params=query, json=body, timeout=self._timeout_s + extra_s
            )
        except httpx.TimeoutException as error:
            raise ApiUnreachableError(f"the API at {self.url} does not answer in time: try again") from error
        except httpx.HTTPError as error:
            raise ApiUnreachableError(
                f"the API at {self.url} does not answer ({error}): is herald serve running?"
            ) from error
        except httpx.InvalidURL as error:
            raise CliError(f"{self.url!r} is no URL of an API: {error}") from error
        try:
            answer: object = msgspec.json.decode(response.content) if response.content else {}
        except msgspec.DecodeError as error:
            raise ApiUnreachableError(
                f"{self.url} answers {method} {path} with no JSON: is it Herald's API?"
            ) from error
        if not response.is_success:
            raise _refused(answer, response)
        return answer, response.headers


def _base(account_id: str) -> str:
    return f"/client/v4/accounts/{account_id}/addressing"


def _object(value: object) -> Object:
    return msgspec.convert(value, Object)


def _objects(value: object) -> list[Object]:
    return msgspec.convert(value, list[Object])


def _refused(answer: object, response: httpx.Response) -> ApiError:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if not errors:
        return ApiError(
            f"{response.request.method} {response.request.url.path}: {response.status_code}",
            status=response.status_code,
        )
    first = errors[0]
    pointer = (first.get("source") or {}).get("pointer")
    message = "; ".join(str(e.get("message", "")) for e in errors)
    return ApiError(message, status=response.status_code, code=first.get("code", 0), pointer=pointer)
