"""TLS for the server: a context made of files, checked before it is used, and read again when asked to."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from controller.transport.errors import TransportTlsError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the certificate and its chain, its key; who signs clients' certificates if they need one."""

    cert: Path
    key: Path
    client_ca: Path | None = None


class ServerTls:
    """The server's context; ``reload`` gives connections to come the files as they are then."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files; raises :class:`TransportTlsError` that says which of them is wrong, and how."""
        self._files = files
        self.context = _context(files)

    def reload(self) -> None:
        """Read certificate and key again; raises :class:`TransportTlsError`, and then keeps the old ones.

        Who signs clients' certificates is added to: a signer that was taken out is one until a restart.
        """
        _context(self._files)
        _load(self.context, self._files)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, files)
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    for path in (files.cert, files.key, files.client_ca):
        if path is not None:
            _readable(path)
    try:
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    except ssl.SSLError as error:
        raise TransportTlsError(_why(files, error)) from error
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except ssl.SSLError as error:
            raise TransportTlsError(f"{files.client_ca} holds no certificate in PEM") from error


def _readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise TransportTlsError(f"cannot read {path}: {error.strerror}") from error


def _no_password() -> str:
    raise TransportTlsError("the TLS key is encrypted: give one without a pass phrase, in a private file")


def _why(files: TlsFiles, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {files.key} is not that of the certificate in {files.cert}"
    lonely = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        lonely.load_verify_locations(files.cert)
    except ssl.SSLError:
        return f"{files.cert} holds no certificate in PEM"
    return f"{files.key} holds no private key in PEM, or one that cannot be used ({error.reason})"
