"""Sends one request to a webhook's target, to an address that the policy allows and to no other.

The name is looked up here, all its addresses are checked, and the connection goes to one of those: a name
that leads elsewhere a moment later (DNS rebinding) is not looked up again. TLS still checks the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from types import TracebackType

import httpx

from controller.timeline.errors import TargetError
from controller.timeline.policy import Answer, WebhookPolicy

READ_AT_MOST = 1024
"""Bytes of an answer that are read: only its status counts."""

TRY_AT_MOST = 3
"""Addresses of one name that are tried at one attempt."""


class Sender:
    """An HTTP client that follows no redirect, uses no proxy and keeps no connection."""

    def __init__(self, policy: WebhookPolicy) -> None:
        self._policy = policy
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=policy.timeout_s,
            # A kept connection would belong to an address, not to the name that was checked by TLS.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send ``body``; whatever goes wrong is in the answer, nothing is raised."""
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                return await self._post(httpx.URL(url), headers, body)
        except TimeoutError:
            return Answer(None, f"no answer within {self._policy.timeout_s:g} s")
        except TargetError as error:
            return Answer(None, f"refused by our policy: {error}")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Answer(None, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    async def _post(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> Answer:
        self._policy.check_url(str(url))
        addresses = await self._addresses(url)
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, url, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(addresses[-1], url, headers, body)

    async def _addresses(self, url: httpx.URL) -> list[str]:
        """Return the target's addresses, all of them allowed; raises :class:`TargetError`, OSError."""
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in found))
        for address in addresses:
            self._policy.check_address(ipaddress.ip_address(address))
        return addresses[:TRY_AT_MOST]

    async def _post_to(self, address: str, url: httpx.URL, headers: dict[str, str], body: bytes) -> Answer:
        sent = {
            **headers,
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": "Herald-Webhooks",
        }
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            headers=sent,
            content=body,
            extensions={"sni_hostname": url.host},
        )
        response = await self._client.send(request, stream=True)
        said = b""
        try:
            if response.is_success:
                return Answer(response.status_code)
            async for part in response.aiter_raw(READ_AT_MOST):
                said = part
                break
        finally:
            await response.aclose()
        return Answer(
            response.status_code, _why(response, said), _seconds(response.headers.get("Retry-After"))
        )


def _why(response: httpx.Response, said: bytes) -> str:
    if response.is_redirect:
        return f"{response.status_code}: a redirect, which is not followed: give the URL that it leads to"
    text = " ".join(said.decode("utf-8", "replace").split())
    return f"{response.status_code} {response.reason_phrase}: {text}"


def _seconds(retry_after: str | None) -> float | None:
    """Return what a Retry-After header asks for in seconds; dates and nonsense are left alone."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
