"""Profiles for Hypothesis (a small seeded tier for CI, a long one on demand); the stores to run on."""

from __future__ import annotations

import functools
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import mrtparse  # noqa: F401  (imported here for its side effect, which is undone below)
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.driving import folder  # noqa: F401 (a fixture)
from tests.serve_process import empty_database, serve_folder  # noqa: F401 (fixtures)
from tests.stores import KINDS, stores

# Importing mrtparse makes SIGPIPE fatal: a write to a closed socket would end pytest unheard.
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
# A shell starts background jobs with SIGINT ignored, which programs inherit: tests of Ctrl-C would fail.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "ci",
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--store", choices=[*KINDS, "both"], default="both", help="The store that the API runs on."
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what serves the API, and what is marked ``stores``, on each kind of store.

    Not the tests of the command line: it sees the API, and no store behind it.
    """
    serves = hasattr(metafunc.module, "running_api") or metafunc.definition.get_closest_marker("stores")
    speaks = metafunc.module.__name__.rpartition(".")[2].startswith("test_cli")
    if serves and not speaks and "store_kind" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--store")
        kinds = KINDS if wanted == "both" else (wanted,)
        metafunc.parametrize("store_kind", kinds, indirect=True, scope="module")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A test that runs a process's own start in this one leaves its logging to nobody else."""
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


@pytest.fixture(autouse=True, scope="module")
def store_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of store that :func:`tests.stores.a_store` gives: SQLite, unless the test runs on each."""
    kind = getattr(request, "param", "sqlite")
    with stores.use(kind):
        yield kind


_KIND: list[pytest.FixtureDef[Any]] = []


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Make a fixture that outlives its test anew for the other store: all of a module hang on its kind."""
    if fixturedef.argname == "store_kind":
        _KIND[:] = [fixturedef]
    elif fixturedef.scope == "module" and _KIND:
        _KIND[0].addfinalizer(functools.partial(fixturedef.finish, request=request))


def pytest_sessionfinish() -> None:
    stores.close()
