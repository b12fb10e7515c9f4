"""GoBGP's gRPC interface, as far as Herald uses it: read tables and peers, write local paths.

GoBGP 3.x only (its service is ``apipb.GobgpApi``). Version 4 renamed the service and the attributes; it
is recognised, and refused with a clear word. The driver (:mod:`controller.speakers.gobgp`) and the RIB
reader of GoBGP routers stand on this module. It is slow to import (grpc): import it where it is first
needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import grpc
import grpc.aio

from controller.bgp import Family, Prefix
from controller.errors import Remedy
from controller.speakers.gobgp_paths import GobgpPath, LocalPath, family_message, path_message, read_path
from controller.speakers.gobgp_pb import gobgp_pb2 as pb
from controller.speakers.protocol import SpeakerDownError, SpeakerError

SERVICE = "/apipb.GobgpApi/"
SERVICE_OF_4 = "/api.GoBgpService/"

PING_EVERY_S = 2.0
PING_DEADLINE_S = 5.0

Table = Literal["global", "adj-in", "adj-out"]


class GobgpUnsupportedError(SpeakerError):
    """The daemon speaks another version of the interface."""

    remedy: ClassVar[Remedy] = Remedy.PERSON


class GobgpCallError(SpeakerError):
    """GoBGP answered a call with an error of its own."""

    remedy: ClassVar[Remedy] = Remedy.RETRY


@dataclass(frozen=True, slots=True)
class GobgpPeer:
    """A configured neighbour."""

    address: str
    asn: int
    established: bool


class GobgpConnection:
    """An open gRPC channel to one GoBGP. Use :func:`connect`, or ``async with await connect(...)``."""

    def __init__(self, channel: grpc.aio.Channel, socket: str, local_as: int) -> None:
        self._channel = channel
        self._socket = socket
        self.local_as = local_as

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the channel; GoBGP keeps what it has."""
        await self._channel.close()

    async def list_paths(
        self, table: Table, family: Family, *, peer: str = "", prefix: Prefix | None = None
    ) -> list[GobgpPath]:
        """Return the paths of a table in GoBGP's order; ``peer`` names the neighbour of an Adj-RIB.

        ``prefix`` restricts the answer to that very prefix. Raises :class:`SpeakerDownError` when GoBGP is
        gone, :class:`GobgpCallError` when it refuses (an unknown peer, say).
        """
        request = pb.ListPathRequest(
            table_type={"global": pb.GLOBAL, "adj-in": pb.ADJ_IN, "adj-out": pb.ADJ_OUT}[table],
            name=peer,
            family=family_message(family),
            prefixes=[pb.TableLookupPrefix(prefix=prefix)] if prefix else [],
        )
        replies = await self._stream("ListPath", request, pb.ListPathResponse)
        return [
            read_path(Prefix(reply.destination.prefix), path)
            for reply in replies
            for path in reply.destination.paths
        ]

    async def list_peers(self) -> list[GobgpPeer]:
        """Return the configured neighbours."""
        replies = await self._stream("ListPeer", pb.ListPeerRequest(), pb.ListPeerResponse)
        return [
            GobgpPeer(
                address=reply.peer.state.neighbor_address or reply.peer.conf.neighbor_address,
                asn=reply.peer.state.peer_asn or reply.peer.conf.peer_asn,
                established=reply.peer.state.session_state == pb.PeerState.ESTABLISHED,
            )
            for reply in replies
        ]

    async def write(self, paths: Iterable[LocalPath], batch: int = 500) -> None:
        """Add and withdraw local paths in order, ``batch`` a message; return when GoBGP has taken all.

        One call: GoBGP applies the messages in order, and an error names no path. Raises as
        :meth:`list_paths` does.
        """
        call = self._channel.stream_unary(
            SERVICE + "AddPathStream",
            request_serializer=pb.AddPathStreamRequest.SerializeToString,
            response_deserializer=pb.AddPathStreamResponse.FromString,
        )
        pending = [path_message(p) for p in paths]
        requests = (
            pb.AddPathStreamRequest(table_type=pb.GLOBAL, paths=pending[i : i + batch])
            for i in range(0, len(pending), batch)
        )
        await self._answered("AddPathStream", call(requests))

    async def gone(self) -> None:
        """Return when the connection is lost (GoBGP ended), or GoBGP has not answered for some seconds."""
        while (state := self._channel.get_state()) == grpc.ChannelConnectivity.READY:
            try:
                async with asyncio.timeout(PING_EVERY_S):  # wait_for may swallow a cancellation
                    await self._channel.wait_for_state_change(state)
            except TimeoutError:
                try:
                    await _get_bgp(self._channel, SERVICE, PING_DEADLINE_S)
                except grpc.aio.AioRpcError:
                    return

    async def _stream(self, method: str, request: Any, reply: Any) -> list[Any]:
        call = self._channel.unary_stream(
            SERVICE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        try:
            return [item async for item in call(request)]
        except grpc.aio.AioRpcError as error:
            raise self._failed(method, error) from error

    async def _answered(self, method: str, call: Any) -> Any:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._failed(method, error) from error

    def _failed(self, method: str, error: grpc.aio.AioRpcError) -> SpeakerError:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return SpeakerDownError(f"GoBGP at {self._socket} is gone ({method}): {error.details()}")
        return GobgpCallError(f"GoBGP at {self._socket} refused {method}: {error.details()}")


async def connect(socket: str, timeout: float = 2.0) -> GobgpConnection:
    """Connect to GoBGP's unix socket and make sure of its version; ``timeout`` in seconds.

    Raises :class:`SpeakerDownError` when nobody answers, :class:`GobgpUnsupportedError` for version 4.
    """
    channel = grpc.aio.insecure_channel(
        f"unix:{socket}",
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )
    try:
        answer = await _get_bgp(channel, SERVICE, timeout)
        asn = pb.GetBgpResponse.FromString(answer).bgp.asn
        if asn == 0:
            # It answers before it has read its configuration, and would refuse every route.
            await channel.close()
            raise SpeakerDownError(f"GoBGP at {socket} has not started BGP yet")
        return GobgpConnection(channel, socket, asn)
    except grpc.aio.AioRpcError as error:
        unimplemented = error.code() == grpc.StatusCode.UNIMPLEMENTED
        is_4 = unimplemented and await _is_version_4(channel, timeout)
        await channel.close()
        if is_4:
            raise GobgpUnsupportedError(f"GoBGP at {socket} is version 4: use 3.x (tested: 3.10)") from error
        raise SpeakerDownError(f"no GoBGP answers at {socket}: {error.details()}") from error
    except asyncio.CancelledError:
        await channel.close()
        raise


async def _get_bgp(channel: grpc.aio.Channel, service: str, timeout: float) -> bytes:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(service + "GetBgp")
    answer: bytes = await call(b"", timeout=timeout)
    return answer


async def _is_version_4(channel: grpc.aio.Channel, timeout: float) -> bool:
    try:
        await _get_bgp(channel, SERVICE_OF_4, timeout)
    except grpc.aio.AioRpcError:
        return False
    return True
