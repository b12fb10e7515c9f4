"""A task's own token: only what its declaration foresees, made anew for each run, and of no use after it."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy.orm import Session

from controller.addressing.auth import hash_token, issue_token, new_token
from controller.addressing.permissions import VERBS
from controller.addressing.tables import TokenRow
from controller.tasks.declaration import Task
from controller.tasks.records import record_event


def token_id(task: str) -> str:
    """Return the id of a task's token: always the same.

    The breaker counts by actor, and the actor is the token's id; what rotates is the secret.
    """
    return hashlib.sha256(f"herald task {task}".encode()).hexdigest()[:32]


def rotate(session: Session, task: Task, now: datetime, expires_at: datetime) -> str:
    """Return a new token for one run; the one before is void, and so is this one at ``expires_at``."""
    id_ = token_id(task.name)
    what = f"task {task.name}, rotated for each run"
    row = session.get(TokenRow, id_)
    if row is None:
        token, row = issue_token(session, "task", None, what, now, scopes=task.scopes, expires_at=expires_at)
        row.id = id_
    else:
        token = new_token()
        row.hash, row.created_at, row.expires_at, row.revoked_at = hash_token(token), now, expires_at, None
        row.scopes = {r: [v for v in VERBS if v in verbs] for r, verbs in task.scopes.items()}
    detail = {"role": "task", "scopes": row.scopes, "task": task.name}
    record_event(session, now, "issue", ("token", id_), what, **detail)
    return token


def end(session: Session, task: str, now: datetime) -> None:
    """Make a task's token void: its run is over."""
    row = session.get(TokenRow, token_id(task))
    if row is not None and row.revoked_at is None:
        row.revoked_at = now
        record_event(session, now, "revoke", ("token", row.id), f"the run of {task} is over")
