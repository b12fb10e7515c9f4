"""The whole configured state as lines of JSON, written from any store and read into any empty one.

``choice``   which tables are written, and which are not and why;
``lines``    one line: a row, an account's operational chunk, the head and the end of the file;
``writing``  a store → lines; ``reading``  lines → an empty store, in one transaction or not at all.

Format 1, one JSON object a line, UTF-8::

    {"herald": "export", "format": 1, "schema": "0008"}
    {"table": "accounts", "row": {"id": "acme", …}}         tables in the order of what stands on what
    {"operational": {"account_id": …, "hash": …, "chunk": {…}}}     accounts by id
    {"waiting": {"id": …, "account_id": …, "changes": […], …}}      change-sets not begun yet, in order
    {"end": {"lines": 3, "sha256": "…"}}                    of all lines before, line feeds included

A file without its end was cut off, and is refused. Binary values are base64; times RFC 3339 UTC. Equal
stores give equal bytes, whatever kind they are of.
"""

from controller.exports.errors import BadLineError, ExportError
from controller.exports.reading import Imported, import_lines
from controller.exports.writing import export_lines

__all__ = ["BadLineError", "ExportError", "Imported", "export_lines", "import_lines"]
