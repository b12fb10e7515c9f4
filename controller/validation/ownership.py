"""The ownership token in a prefix's remarks and TXT records (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

NAME = "herald-ownership="
"""What may stand before the token; then another token there is one for somebody else."""

Found = Literal["ours", "another", "none"]


def find_token(texts: Iterable[str], token: str) -> Found:
    """Return whether ``token`` stands in one of the texts, as a word of its own or after :data:`NAME`."""
    found: Found = "none"
    for text in texts:
        for word in text.split():
            if word.lower().removeprefix(NAME) == token.lower():
                return "ours"
            if word.lower().startswith(NAME):
                found = "another"
    return found
