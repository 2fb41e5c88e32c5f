"""Processes that leave nothing behind."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDS_WITH_US = """
import os, sys, threading
def watch():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
"""
"""First lines of a program that ends when its standard input does: as soon as we, who hold the pipe, are gone."""

GRACE = 10.0
"""Seconds that a process gets to end politely."""


@contextmanager
def ended_session(
    command: Sequence[str], environment: dict[str, str], log: Any, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a session of its own; at the end of the block nothing of that session is left."""
    process = subprocess.Popen(
        list(command),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        end_sessions([process])


def end_sessions(processes: Sequence[subprocess.Popen[bytes]], grace: float = GRACE) -> None:
    """End processes and everything that they have started: politely, and after some seconds for certain."""
    import psutil  # type: ignore[import-untyped]

    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + grace
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    sessions = {process.pid for process in processes}
    for found in psutil.process_iter():  # a task of Airflow 3.3 has left the process group, but not the session
        try:
            if os.getsid(found.pid) in sessions:
                found.kill()
        except (OSError, psutil.Error):
            continue
    for process in processes:
        process.wait()


def free_port() -> int:
    """Return a loopback port that is free at this moment, and that the system gives to nobody by itself.

    A server listens some seconds later: by then, a port of those that the system hands out may be another test's.
    """
    chance = random.SystemRandom()  # hypothesis gives the other one the same seed in each process
    for port in chance.sample(range(20_000, 32_768), 100):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("none of 100 ports of 127.0.0.1 is free")
