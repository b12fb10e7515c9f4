"""Every refusal is explained, has a code of its own, and docs/errors.md is what the code says."""

from __future__ import annotations

from pathlib import Path

from controller.addressing.errors import Kind
from controller.addressing.meanings import MEANINGS, page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


def test_every_refusal_is_explained() -> None:
    assert {k.label for k in Kind} == {k.label for k in MEANINGS}


def test_codes_and_names_are_of_one_refusal_only() -> None:
    assert len({k.code for k in Kind}) == len({k.label for k in Kind}) == len(Kind)
    assert all(k.code >= 1000 and 400 <= k.status < 600 for k in Kind)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run scripts/docs"
