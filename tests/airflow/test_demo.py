"""``make demo``: what it prints, how it ends, what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.requires_airflow("3.3")]

ROOT = Path(__file__).parents[2]


def start(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "demo" / "run.py"), *options],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_shows_what_landed_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start(tmp_path)
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "The object holds 2,000 rows with 2,000 different ids; the list has 2,000 contacts." in output
    assert "consistent" in output
    assert "make ui" in output
    assert "+15*******00" in output
    assert not re.search(r"\+1555\d{7}", output)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_one_sentence_and_an_exit_status(tmp_path: Path) -> None:
    process = start(tmp_path, "--fault", "scope_incorrect")
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "make demo failed: AirflowFailException: The token is good" in errors
    assert "Traceback" not in errors
    log = ROOT / errors.strip().splitlines()[-1].rpartition(" ")[2]
    assert "Campaign Management" in log.read_text()
    log.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_stopped_in_the_middle(tmp_path: Path, number: int) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "starting Airflow" in line:
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Stopped. Everything that was started has ended" in errors
    assert list(tmp_path.iterdir()) == []
