"""Validation as a whole: its sources, and sets of VRPs that a person has to decide on (operators)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import func, select

from controller.addressing.auth import CallerDep
from controller.addressing.context import Context, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.prefix_check_bodies import AcceptVrps, SourceBody, ValidationBody
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.validation_tables import PrefixCheckRow
from controller.addressing.writes import Write, WriterDep
from controller.validation.checks import CHECKS
from controller.validation.errors import ValidationError
from controller.validation.feeds import FeedReport

router = APIRouter(prefix="/herald/v1/validation", tags=["validation"])


@router.get("", response_model=ValidationBody)
def get_validation(caller: CallerDep, context: ContextDep) -> Response:
    """What is configured, how the sources of VRPs are, and how many checks are in which state (operators)."""
    caller.require_operator()
    config = context.validation.config
    return json_response(
        {
            "required": config.required,
            "available": config.available(),
            "whois": config.whois,
            "dns": config.dns,
            "sources": [_source_body(r) for r in context.validation.report()],
            "checks": _counts(context),
        }
    )


@router.post("/accept", response_model=SourceBody, responses=refuses(Kind.NOTHING_TO_ACCEPT))
def accept_vrps(body: AcceptVrps, caller: CallerDep, writer: WriterDep, context: ContextDep) -> Response:
    """Take a set of VRPs that was refused because its source has shrunk: somebody has looked (operators)."""
    caller.require_operator()
    before = _the_source(context.validation.report(), body)

    def work(write: Write) -> dict[str, Any]:
        write.record("accept-vrps", "validation", "vrps", None, source=body.source, vrps=body.vrps)
        if not writer.dry_run:
            try:
                context.validation.accept(body.source, body.vrps)
            except ValidationError as error:
                raise Refusal(Kind.NOTHING_TO_ACCEPT, str(error)) from error
        return {**_source_body(before), "refused": None, "vrps": body.vrps, "state": "fresh", "trouble": ""}

    return writer.run(work)


def _the_source(found: Sequence[FeedReport], body: AcceptVrps) -> FeedReport:
    source = next((r for r in found if r.source == body.source), None)
    if source is None:
        known = ", ".join(r.source for r in found) or "none"
        raise Refusal(
            Kind.NOTHING_TO_ACCEPT,
            f"no source of VRPs is called {body.source!r}: there are {known}",
            "/source",
        )
    if source.refused != body.vrps:
        has = "no refused set" if source.refused is None else f"a refused set of {source.refused} VRPs"
        raise Refusal(
            Kind.NOTHING_TO_ACCEPT, f"{body.source} has {has}, not {body.vrps}: look again", "/vrps"
        )
    return source


def _source_body(report: FeedReport) -> dict[str, Any]:
    return {
        "source": report.source,
        "kind": report.kind,
        "state": report.state,
        "vrps": report.vrps,
        "at": rfc3339(report.at),
        "trouble": report.trouble,
        "refused": report.refused,
    }


def _counts(context: Context) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {name: {} for name in CHECKS}
    query = (
        select(PrefixCheckRow.name, PrefixCheckRow.state, func.count())
        .join(PrefixRow, PrefixRow.id == PrefixCheckRow.prefix_id)
        .where(PrefixRow.deleted_at.is_(None))
        .group_by(PrefixCheckRow.name, PrefixCheckRow.state)
    )
    with context.store.read() as session:
        for name, state, count in session.execute(query):
            found[name][state] = count
    return found
