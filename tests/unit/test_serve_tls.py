"""TLS of ``herald serve``: by files, read again on SIGHUP, refused in one line; in clear by no accident."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from controller.serve_front import Front, ServeError, is_loopback
from controller.transport.errors import TransportTlsError
from controller.transport.http_server import serve_app
from controller.transport.tls import ServerTls, TlsFiles
from tests.certificates import Signer
from tests.serve_process import operator_token, started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Serving:
    """A running ``herald serve`` with TLS."""

    process: asyncio.subprocess.Process
    port: int
    token: str

    async def status(self, verify: ssl.SSLContext) -> int:
        async with httpx.AsyncClient(verify=verify, timeout=30) as client:
            answer = await client.get(
                f"https://localhost:{self.port}/herald/v1/caller",
                headers={"Authorization": f"Bearer {self.token}"},
            )
            return answer.status_code

    async def serial(self, trusted: ssl.SSLContext) -> int:
        _, writer = await asyncio.open_connection("localhost", self.port, ssl=trusted)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(shown).serial_number

    async def logged(self, words: str) -> str:
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}")


@asynccontextmanager
async def serving(
    folder: Path, cert: Path, key: Path, client_ca: Path | None = None
) -> AsyncIterator[Serving]:
    port = free_port()
    listen = ["--listen", f"127.0.0.1:{port}", "--tls-cert", str(cert), "--tls-key", str(key)]
    if client_ca is not None:
        listen += ["--tls-client-ca", str(client_ca)]
    async with started(folder, *listen, stderr=asyncio.subprocess.PIPE) as process:
        yield Serving(process, port, operator_token(folder))
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


def trusting(path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(path))


def test_over_tls_with_a_certificate_that_is_read_again_and_kept_when_the_new_one_is_wrong(
    tmp_path: Path,
) -> None:
    signer = Signer(tmp_path)
    cert, key, first = signer.issue("api")

    async def scenario() -> None:
        async with serving(tmp_path, cert, key) as serve:
            trusted = trusting(signer.path)
            assert await serve.status(trusted) == 200
            with pytest.raises(httpx.ConnectError):
                await serve.status(ssl.create_default_context())
            with pytest.raises(httpx.HTTPError):
                async with httpx.AsyncClient() as plain:
                    await plain.get(f"http://localhost:{serve.port}/herald/v1/caller")
            assert await serve.serial(trusted) == first
            _, _, second = signer.issue("api")
            serve.process.send_signal(signal.SIGHUP)
            await serve.logged("read again")
            assert await serve.serial(trusted) == second != first
            key.write_text("nonsense")
            serve.process.send_signal(signal.SIGHUP)
            assert "holds no private key" in await serve.logged("stays the one that it was")
            assert await serve.serial(trusted) == second
            assert await serve.status(trusted) == 200

    asyncio.run(scenario())


def test_clients_may_need_a_certificate_of_their_own(tmp_path: Path) -> None:
    signer = Signer(tmp_path)
    cert, key, _ = signer.issue("api")
    mine, my_key, _ = signer.issue("me")

    async def scenario() -> None:
        async with serving(tmp_path, cert, key, signer.path) as serve:
            with pytest.raises(httpx.HTTPError):
                await serve.status(trusting(signer.path))
            known = trusting(signer.path)
            known.load_cert_chain(mine, my_key)
            assert await serve.status(known) == 200

    asyncio.run(scenario())


def test_files_that_cannot_be_used_are_named_in_one_line(tmp_path: Path) -> None:
    signer = Signer(tmp_path)
    cert, key, _ = signer.issue("api")
    _, other_key, _ = signer.issue("other")
    _, secret, _ = signer.issue("secret", password=b"x")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    for files, says in (
        (TlsFiles(tmp_path / "none", key), f"cannot read {tmp_path / 'none'}: No such file"),
        (TlsFiles(cert, tmp_path), "Is a directory"),
        (TlsFiles(cert, other_key), f"the key in {other_key} is not that of the certificate in {cert}"),
        (TlsFiles(nonsense, key), f"{nonsense} holds no certificate in PEM"),
        (TlsFiles(cert, nonsense), f"{nonsense} holds no private key in PEM"),
        (TlsFiles(key, cert), f"{key} holds no certificate in PEM"),
        (TlsFiles(cert, secret), "without a pass phrase"),
        (TlsFiles(cert, key, nonsense), f"{nonsense} holds no certificate in PEM"),
        (TlsFiles(cert, key, tmp_path / "none"), "cannot read"),
    ):
        with pytest.raises(TransportTlsError) as wrong:
            ServerTls(files)
        assert says in str(wrong.value) and "\n" not in str(wrong.value), files
    assert ServerTls(TlsFiles(cert, key)).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_nothing_listens_beyond_loopback_in_clear_by_accident(tmp_path: Path) -> None:
    tls = TlsFiles(tmp_path / "c", tmp_path / "k")
    for host in ("0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(ServeError, match="sent in clear"):
            Front().check(host)
        Front(insecure=True).check(host)
        Front(tls).check(host)
    for host in ("127.0.0.1", "::1", "127.8.8.8", "localhost"):
        Front().check(host)
    Front().check(None)
    with pytest.raises(ServeError, match="unix socket"):
        Front(tls).check(None)
    assert not is_loopback("0.0.0.0")


def test_who_sends_no_headers_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("controller.transport.http_protocol.HEADERS_DEADLINE_S", 0.05)

    async def app(scope: object, receive: object, send: object) -> None: ...

    async def scenario() -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        server = asyncio.create_task(serve_app(app, socket=tmp_path / "s", ready=ready.set, stop=stop))
        await ready.wait()
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(sent)
            assert await reader.read() == b"", "closed, and nothing answered"
            writer.close()
        stop.set()
        await server

    asyncio.run(scenario())
