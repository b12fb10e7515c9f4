"""All routes of the guards together."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from controller.guard import freeze_routes, hold_routes
from controller.guard.breaker_routes import build_breaker_router
from controller.guard.policy_routes import build_policy_router
from controller.safety.policy import Policy


def build_guard_routers(
    policy: Callable[[], Policy] = Policy, moved: Callable[[], None] = lambda: None
) -> list[APIRouter]:
    """Return them; ``moved()`` is called after a scope of the breaker may have closed, in a worker thread."""
    return [
        build_breaker_router(policy, moved),
        hold_routes.router,
        freeze_routes.router,
        build_policy_router(policy),
    ]
