"""The command line; other packages add to it by the entry-point group herald.commands.

``app`` builds the commands and turns errors into one line and an exit code; ``find`` finds a running lab;
``client`` speaks to the API. Commands import what they need when they run, so that ``herald --help`` and
the starts of agents and machines stay quick.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run ``herald`` with this process's arguments; the console script's entry."""
    try:
        from controller.cli.app import run  # noqa: PLC0415 (importing the package must stay cheap)

        code = run(sys.argv[1:])
    except (KeyboardInterrupt, RuntimeError) as error:
        # Python 3.11 wraps an interrupt in a RuntimeError where it meets a class being made.
        if isinstance(error, RuntimeError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        print("herald: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
