"""Ends a test's processes when the test's own process is gone, however that came: ``process_guard.py FOLDER``.

It reads lines from its standard input: ``SIGNAL PID``, where the process leads a session of its own. When the input
ends, it sends each one its signal and kills what is left of all the sessions, then removes the folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE = 10.0
"""Seconds that a process has to obey its signal."""


def main(folder: str) -> None:
    """Read until whoever started us closes the pipe, or dies."""
    leaders: dict[int, int] = {}
    for line in sys.stdin:
        number, pid = line.split()
        leaders[int(pid)] = int(number)
    for pid, number in leaders.items():
        if pid in members({pid}):  # and not a stranger who got the number later
            send(pid, number)
    deadline = time.monotonic() + PATIENCE
    while members(set(leaders)) and time.monotonic() < deadline:
        for pid in members({leader for leader, number in leaders.items() if number == signal.SIGKILL}):
            send(pid, signal.SIGKILL)
        time.sleep(0.05)
    for pid in members(set(leaders)):
        send(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def members(leaders: set[int]) -> list[int]:
    """Return the processes of these sessions that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The state and the session follow the name, which is in brackets and may hold any character.
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        if int(session) in leaders and state != "Z":
            found.append(int(entry.name))
    return found


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(sys.argv[1])
