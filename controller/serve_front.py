"""What stands in front of the API: TLS, where it may listen without, and how many calls it takes."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from controller.errors import HeraldError
from controller.transport.errors import TransportTlsError
from controller.transport.tls import ServerTls, TlsFiles

if TYPE_CHECKING:
    from controller.addressing.rates import Rates

log = structlog.get_logger()


class ServeError(HeraldError):
    """``herald serve`` was told something that it cannot do."""


@dataclass(frozen=True, slots=True)
class Front:
    """``rate``: ``CALLS/SECONDS`` of customers and tasks. ``insecure``: without TLS wherever it listens."""

    tls: TlsFiles | None = None
    insecure: bool = False
    rate: str | None = None

    def check(self, host: str | None) -> None:
        """Raise :class:`ServeError` for what makes no sense, or would send tokens over a network in clear.

        ``host`` None: on a unix socket.
        """
        self.rates()
        if host is None:
            if self.tls is not None:
                raise ServeError("TLS is for --listen: a unix socket has none")
        elif self.tls is None and not self.insecure and not is_loopback(host):
            raise ServeError(
                f"{host} is no loopback address, and tokens would be sent in clear: "
                "give --tls-cert and --tls-key, or --insecure"
            )

    def rates(self) -> Rates | None:
        """Return the rates; None for the defaults. Raises the error of a rate that cannot be read."""
        if self.rate is None:
            return None
        from controller.addressing.rates import Rate, Rates  # noqa: PLC0415 (slow to import)

        return Rates.of_calls(Rate.parse(self.rate))

    def open(self) -> ServerTls | None:
        """Read the files of TLS, and again at each SIGHUP; raises :class:`TransportTlsError`."""
        if self.tls is None:
            return None
        opened = ServerTls(self.tls)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, opened, self.tls)
        return opened


def _reload(opened: ServerTls, files: TlsFiles) -> None:
    try:
        opened.reload()
    except TransportTlsError as error:
        log.warning("the certificate stays the one that it was", reason=str(error))
    else:
        log.info("the certificate was read again", cert=str(files.cert))


def is_loopback(host: str) -> bool:
    """Tell whether everything that ``host`` stands for is an address of this machine's own."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(a).partition("%")[0]).is_loopback for a in found)
