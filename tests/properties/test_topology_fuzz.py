"""Whatever is done to a topology file, reading it gives a topology or a :class:`TopologyError`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from labs.topology import TopologyError, load_topology

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "topologies/two-sites/two-sites.clab.yml").read_text()
PIECES = ["{", "}", "[", "]", ":", "- ", "\n", "  ", "&a ", "*a", "<<: ", "!!int ", "${", "null", "~", "\t",
          "'", '"', "\x00", "endpoints", "nodes:", "1e999", "0x", "2026-02-30", "é", "? ", "| "]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, len(SOURCE)), st.integers(0, 60), st.sampled_from(PIECES)),
        min_size=1,
        max_size=4,
    )
)
def test_a_mutilated_file_is_a_topology_or_a_topology_error(edits: list[tuple[int, int, str]]) -> None:
    text = SOURCE
    for start, removed, added in edits:
        text = text[:start] + added + text[start + removed :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.clab.yml"
        path.write_text(text)
        (Path(folder) / "configs").symlink_to(ROOT / "topologies/two-sites/configs")
        try:
            load_topology(path, {})
        except TopologyError as error:
            assert str(error)
