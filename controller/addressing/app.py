"""Puts the API together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from controller import __version__
from controller.addressing import (
    accounts,
    address_map_members,
    address_maps,
    advertisement,
    all_prefixes,
    approvals,
    audit,
    bgp_prefixes,
    bgp_status,
    bindings,
    checks,
    delegations,
    deletion_requests,
    deletions,
    intent_requests,
    later,
    loa_documents,
    migrations,
    prefix_deletions,
    prefix_purges,
    prefixes,
    regions,
    revocations,
    services,
    tokens,
    transfers,
    validations,
    vrp_sources,
    withdrawal_locks,
)
from controller.addressing.access import AccessMiddleware
from controller.addressing.context import Context
from controller.addressing.description import describe
from controller.addressing.envelope import refusal_response, unavailable_response
from controller.addressing.errors import Kind, Refusal, Refusals
from controller.addressing.intents import IntentService, temporary_service
from controller.addressing.life_policy import LifePolicy
from controller.addressing.policy import AddressPolicy
from controller.addressing.rates import Rates
from controller.addressing.strict import StrictMiddleware, methods_at
from controller.addressing.validation_view import NoSources, Validation
from controller.addressing.views import OperationalView
from controller.store import Store, StoreUnavailableError

log = structlog.get_logger()

ROUTERS = tuple(
    room.router
    for room in (
        prefixes, approvals, bgp_prefixes, bgp_status, bindings, services,
        delegations, loa_documents, address_maps, address_map_members, regions,
        advertisement, accounts, tokens, validations, checks, vrp_sources, audit,
        intent_requests, all_prefixes, deletion_requests, deletions, prefix_deletions, prefix_purges,
        withdrawal_locks, transfers, revocations, migrations, later,
    )
)  # fmt: skip

BY_STATUS = {404: Kind.NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED}


def create_app(
    store: Store,
    *,
    view: OperationalView,
    sites: Sequence[str],
    on_change_set: Callable[[str], None],
    extra_routers: Sequence[APIRouter] = (),
    policy: AddressPolicy | None = None,
    rates: Rates | None = None,
    intents: IntentService | None = None,
    life: LifePolicy | None = None,
    validation: Validation | None = None,
) -> FastAPI:
    """Return the API over ``store``.

    ``sites``: the names of all sites. ``on_change_set(id)`` is called after the commit, in a worker
    thread; it must only wake somebody, and not raise. ``extra_routers`` get the same authentication and
    strictness; their endpoints raise :class:`Refusal` and take ``CallerDep``. ``intents`` None: they are
    signed with a key that is kept nowhere. ``validation`` None: no source.
    """
    app: FastAPI = FastAPI(
        title="Herald",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            Middleware(AccessMiddleware, store=store, described=lambda: app, rates=rates),
            Middleware(StrictMiddleware, described=lambda: app),
        ],
    )
    app.state.context = Context(
        store,
        view,
        tuple(sites),
        on_change_set,
        policy or AddressPolicy(),
        intents or temporary_service(),
        life or LifePolicy(),
        validation or NoSources(),
    )
    for router in (*ROUTERS, intent_requests.keys_router, *extra_routers):
        app.include_router(router)
    app.openapi = describe(app)  # type: ignore[method-assign]
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(Refusals, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(StoreUnavailableError, _unavailable)
    app.add_exception_handler(Exception, _crashed)
    return app


def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Refusals):
        return refusal_response(*error.refusals)
    assert isinstance(error, Refusal)
    return refusal_response(error)


def _invalid(request: Request, error: Exception) -> Response:
    """Name each field that is wrong; the value itself is not repeated, it may be a secret."""
    assert isinstance(error, RequestValidationError)
    refusals = []
    for problem in error.errors():
        place, *path = problem["loc"]
        kind = Kind.MALFORMED_BODY if place == "body" else Kind.MALFORMED_QUERY
        pointer = "".join(f"/{part}" for part in path)
        name = ".".join(str(part) for part in path) or place
        message = "unknown field" if problem["type"] == "extra_forbidden" else problem["msg"]
        refusals.append(
            Refusal(kind, f"{name}: {message}", pointer if place == "body" else f"/{place}{pointer}")
        )
    return refusal_response(*refusals)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = BY_STATUS.get(error.status_code, Kind.MALFORMED_BODY)
    answer = refusal_response(Refusal(kind, f"{request.method} {request.url.path}: {error.detail}"))
    if kind is Kind.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(methods_at(request.app.openapi(), request.url.path))
    return answer


def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("store unavailable", method=request.method, path=request.url.path, reason=str(error))
    return unavailable_response()


def _crashed(request: Request, error: Exception) -> Response:
    # The traceback is in the server's own record: Starlette raises the error again for it.
    log.error("request failed", method=request.method, path=request.url.path, error=repr(error))
    return refusal_response(
        Refusal(
            Kind.INTERNAL,
            "something went wrong here, and was logged: tell the operator",
        )
    )
