"""What only a server can do: go away, come back, be locked, be too old; and passwords that never show."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from controller.addressing.tables import AccountRow
from controller.store import (
    Store,
    StoreAddressError,
    StoreError,
    StoreUnavailableError,
    open_store,
    postgresql,
    store_address,
)
from tests import addressing_api  # not its names: these tests run once
from tests.postgresql import Server
from tests.stores import a_store, stores
from tests.unit.test_store import account

pytestmark = pytest.mark.skipif("config.getoption('--store') == 'sqlite'")


@pytest.fixture(autouse=True)
def on_postgresql() -> Iterator[None]:
    with stores.use("postgresql"):
        yield


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    opened = open_store(a_store(tmp_path / "herald.db"))
    yield opened
    opened.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, which it may stop."""
    own = Server()
    yield own
    own.remove()


def names(store: Store) -> list[str]:
    with store.read() as session:
        return list(session.scalars(text("SELECT id FROM accounts ORDER BY id")))


def test_a_server_that_goes_and_comes_back_costs_no_more_than_what_was_under_way(server: Server) -> None:
    store = open_store(server.url(server.create()))
    with store.write() as session:
        session.add(account("before"))
    with pytest.raises(StoreUnavailableError, match="cannot be used now"), store.write() as session:
        session.add(account("lost"))
        session.flush()
        server.stop()
        session.execute(text("SELECT 1"))
    with pytest.raises(StoreUnavailableError), store.read():
        pass
    server.start()
    assert names(store) == ["before"], "at once, on a pool full of dead connections"
    with store.write() as session:
        session.add(account("after"))
    assert names(store) == ["after", "before"]
    store.close()


def test_a_server_that_goes_during_the_commit_is_unavailable_not_a_bug(server: Server) -> None:
    store = open_store(server.url(server.create()))
    with pytest.raises(StoreUnavailableError), store.write() as session:
        session.add(account("who-knows"))
        session.flush()
        server.stop()
    store.close()


def test_the_api_says_503_while_the_server_is_away_and_serves_when_it_is_back(
    server: Server, tmp_path
) -> None:
    shared, stores._server = stores._server, server
    try:
        name = server.create()
        open_store(server.url(name)).close()
        stores._free.append(name)
        with addressing_api.running_api(tmp_path) as api, api.http() as http:
            assert http.get("/herald/v1/accounts").status_code == 200
            server.stop()
            for answer in (
                http.get("/herald/v1/accounts"),
                http.post("/herald/v1/accounts", json={"name": "x"}),
            ):
                assert answer.status_code == 503
                assert answer.headers["Retry-After"] == "1"
                assert str(server.folder) not in answer.text, "nothing of our insides"
            server.start()
            assert http.post("/herald/v1/accounts", json={"name": "x"}).status_code == 200
    finally:
        stores._server = shared
        stores._used.clear()


def test_a_writer_that_waits_too_long_is_told_to_try_again(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(postgresql, "LOCK_TIMEOUT_S", 1)
    other = open_store(store.address)
    with store.write(), pytest.raises(StoreUnavailableError, match="lock timeout"), other.write():
        pass
    with other.write() as session:
        session.add(account("acme"))
    other.close()


def test_a_writer_sees_what_was_committed_while_it_waited(store: Store) -> None:
    """With a snapshot from before the lock it would not."""
    other = open_store(store.address)
    seen: list[int] = []

    def wait_and_count() -> None:
        with other.write() as session:
            seen.append(session.execute(text("SELECT count(*) FROM accounts")).scalar_one())

    with store.write() as session:
        waiting = threading.Thread(target=wait_and_count)
        waiting.start()
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while session.execute(text(waits)).scalar_one() == 0:
            waiting.join(0.01)
        session.add(account("acme"))
    waiting.join()
    assert seen == [1]
    other.close()


def test_commits_reach_the_disk_whatever_the_servers_default_is(store: Store) -> None:
    name = store.address.url.database
    stores.server.run_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    other = open_store(store.address)
    with other.write() as session:
        assert session.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    other.close()
    stores.server.run_sql(f"ALTER DATABASE {name} RESET synchronous_commit")


def test_what_cannot_be_used_is_one_line_without_the_password(monkeypatch) -> None:
    url = f"postgresql://nobody:s3cret@/missing?host={stores.server.folder}&password=s3cret"
    with pytest.raises(
        StoreUnavailableError, match="cannot open the database postgresql://nobody@/missing"
    ) as e:
        open_store(url)
    assert "s3cret" not in str(e.value) and "\n" not in str(e.value)
    monkeypatch.setattr(postgresql, "OLDEST", 99)
    with pytest.raises(StoreError, match="Herald needs 99 or later"):
        open_store(stores.server.url("postgres"))


def test_a_database_in_another_encoding_is_refused() -> None:
    stores.server.run_sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="encoding is SQL_ASCII"):
        open_store(stores.server.url("ascii"))
    stores.server.drop("ascii")


@pytest.mark.parametrize(
    "text",
    [
        "mysql://u:s3cret@h/d",
        "postgresql://u:s3cret@h:port/d",
        "sqlite://",
        "sqlite:///a?mode=s3cret",
        "x://",
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(StoreAddressError, match="give a file's path") as e:
        store_address(text)
    assert "s3cret" not in str(e.value)


def test_an_address_shows_no_secret() -> None:
    found = store_address("postgresql://u:s3cret@h:5433/d?sslpassword=s3cret&host=/run/pg&options=s3cret")
    assert "s3cret" not in f"{found} {found!r} {[found]}"
    assert str(store_address("sqlite:////var/lib/herald.db")) == "/var/lib/herald.db"


def test_accounts_of_other_stores_are_never_there(store: Store) -> None:
    """Each store here is empty: the pool of databases is emptied before it is used again."""
    with store.read() as session:
        assert session.get(AccountRow, "acme") is None
