"""Process 1 of a lab's PID namespace: ``python -m labs.runtimes.init PLAN DESCRIPTOR``.

It starts the lab process, reaps orphans, and ends with the lab process; and when process 1 ends, however it
ends, the kernel kills everything else in the namespace (pid_namespaces(7)): nothing can outlive the lab.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Fork: the child is the lab process, the parent waits for everybody."""
    lab = os.fork()
    if lab == 0:
        from labs.runtimes.process import run  # noqa: PLC0415  (process 1 stays small)

        # No interpreter shutdown: threads that wait in system calls would hold up the end.
        os._exit(run(sys.argv[1], int(sys.argv[2])))

    def pass_on(number: int, _frame: FrameType | None) -> None:
        os.kill(lab, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while True:
        pid, status = os.wait()
        if pid == lab:
            return 0 if status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
