"""The lab process: it makes the lab's namespaces, and owns all that runs in them.

It is told of a socket to whoever waits for the lab to come up: when that one goes before the lab is up,
nobody wants the lab, and it ends. :mod:`labs.runtimes.init` starts it; nothing can outlive that.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from controller.errors import HeraldError
from labs.runtimes.bring_up import Lab
from labs.runtimes.control import Control
from labs.runtimes.errors import LabStartError
from labs.runtimes.plan import read_plan
from labs.runtimes.wire import Line, error_line, send_line


class LabProcess:
    """Brings the lab up, serves its control socket, and ends."""

    def __init__(self, plan_file: Path, waiting: socket.socket) -> None:
        self.plan = read_plan(plan_file)
        self.waiting = waiting
        self.up = False
        self.failed = False
        self.ending = threading.Event()
        self.lab = Lab(self.plan, lambda p: self.say(Line(progress=p)), lambda w: self.say(Line(warning=w)))

    def say(self, line: Line) -> None:
        """Tell whoever waits for the start; when nobody does any more, the lab ends."""
        try:
            send_line(self.waiting, line)
        except OSError:
            if not self.up:
                self.end()

    def end(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """End the lab: also the handler of SIGTERM and SIGINT."""
        self.lab.cancelled.set()
        self.ending.set()

    def run(self) -> int:
        """Run to the lab's end; return the exit status."""
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, self.end)
        for work in (self.lab.children.reap_for_ever, self._watch, self._work):
            threading.Thread(target=self._guard, args=(work,), name=work.__name__, daemon=True).start()
        # The main thread does nothing but wait: it is the one that runs the signals' handlers.
        self.ending.wait()
        for path in (self.plan.paths.inventory, self.plan.paths.control):
            path.unlink(missing_ok=True)
        return 1 if self.failed else 0

    def _guard(self, work: Callable[[], None]) -> None:
        """Do ``work``; if it fails, the lab ends, and whoever waits for it is told."""
        try:
            work()
        except HeraldError as error:
            self._give_up(error_line(error))
        except BaseException as error:
            # A mistake of ours: it must not leave half a lab behind.
            traceback.print_exc()
            what = f"the lab process failed: {error!r} (see {self.plan.paths.log('lab')})"
            self._give_up(error_line(LabStartError(what)))
            raise

    def _watch(self) -> None:
        """Notice when whoever waits for the start goes away."""
        while self.waiting.recv(1):
            pass
        if not self.up:
            self.end()

    def _work(self) -> None:
        warnings = self.lab.bring_up()
        control = Control(self.lab, self.end)
        self.up = True
        self.say(Line(result={"instance": self.plan.paths.instance, "warnings": warnings}))
        self.waiting.shutdown(socket.SHUT_RDWR)
        control.serve_for_ever()

    def _give_up(self, line: Line) -> None:
        self.failed = True
        self.say(line)
        self.end()


def run(plan_file: str, descriptor: int) -> int:
    """Run a lab from its plan to its end; return the exit status."""
    status = LabProcess(Path(plan_file), socket.socket(fileno=descriptor)).run()
    sys.stdout.flush()
    return status
