"""ETags (RFC 9110, 8.8.3): one object's configured state in a word, for writes that must not meet another's.

The tag covers the object's own row, and neither operational nor observed state: what moves by itself must
not make a careful client's write fail.
"""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import inspect

from controller.store import Base


def etag(row: Base) -> str:
    """Return the strong entity tag of a row as it is now, in quotes."""
    mapper = inspect(type(row))
    values = [type(row).__tablename__, *(getattr(row, c.key) for c in mapper.column_attrs)]
    digest = hashlib.sha256(msgspec.json.encode(values)).hexdigest()
    return f'"{digest[:32]}"'
