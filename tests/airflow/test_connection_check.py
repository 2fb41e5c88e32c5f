"""The connection test where the task runs, and in a terminal: the words of the Test button, told apart by branch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_kore.__main__ import main
from airflow_provider_kore.exceptions import RateLimitedError, ServerError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException
from airflow_provider_kore.hooks.campaign import KoreCampaignHook
from airflow_provider_kore.operators.connection import KoreConnectionCheckOperator

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench

    from airflow_provider_kore.simulator import Simulator


def check(conn_id: str = "kore_default") -> str:
    return KoreConnectionCheckOperator(task_id="check", kore_conn_id=conn_id).execute({})  # type: ignore[typeddict-item]


def sentence(conn_id: str = "kore_default") -> str:
    return KoreCampaignHook(conn_id).test_connection()[1]


# --- The task -------------------------------------------------------------------------------------------------------


def test_a_task_says_what_works_and_costs_one_request(bench: Bench) -> None:
    assert check() == f"Connected to {bench.kore.url} (v2): the application has 1 contact list."
    assert len(bench.kore.requests) == 1


def test_what_a_person_has_to_mend_fails_the_task_at_once_in_the_buttons_words(bench: Bench) -> None:
    bench.connect(password="another-secret-that-is-long-enough-to-sign-with")
    with pytest.raises(AirflowFailException) as caught:
        check()
    assert str(caught.value) == sentence()


def test_the_other_algorithm_is_found_out_by_the_task_too(bench: Bench) -> None:
    bench.kore.configure(jwt_algorithm="HS512", client_secret="x" * 64)
    bench.connect(jwt_algorithm="HS256")
    with pytest.raises(AirflowFailException, match="The app signs with HS512, not HS256") as caught:
        check()
    assert str(caught.value) == sentence()


def test_a_wrong_field_fails_the_task_without_a_request(bench: Bench) -> None:
    bench.connect(api_version="v7")
    with pytest.raises(AirflowFailException, match="'api_version'"):
        check()
    assert bench.kore.requests == []


def test_what_may_pass_is_left_to_the_tasks_retries(bench: Bench) -> None:
    with bench.kore.fault("server_error"):
        with pytest.raises(ServerError) as caught:
            check()
        assert str(caught.value) == sentence()
    assert check().startswith("Connected to")


def test_a_spent_allowance_is_no_wrong_connection(bench: Bench) -> None:
    bench.kore.configure(requests_per_minute=1)
    check()
    with pytest.raises(RateLimitedError, match="per-minute allowance is spent"):
        check()


def test_a_connection_that_is_nowhere_fails_the_task_at_once(bench: Bench) -> None:
    with pytest.raises(AirflowFailException, match=r"kore_nowhere.* isn't defined.*define this connection"):
        check("kore_nowhere")
    assert bench.kore.requests == []


# --- The terminal ---------------------------------------------------------------------------------------------------


def terminal(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, with no other connection than the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_CONN_")}
    return subprocess.run(
        [sys.executable, "-m", "airflow_provider_kore", *arguments],
        env=kept | {"AIRFLOW_HOME": str(home)} | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_reads_a_secrets_backend_and_says_what_works_and_nothing_else(
    kore: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "connections.json").write_text(json.dumps({"kore_default": kore.connection}))
    done = terminal(
        "check",
        home=tmp_path,
        AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps({"connections_file_path": str(tmp_path / "connections.json")}),
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"Connected to {kore.url} (v2): the application has 0 contact lists.\n",
        "",
    )


def test_the_command_fails_in_the_same_words(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.connect(password="another-secret-that-is-long-enough-to-sign-with")
    capsys.readouterr()
    assert main(["check"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"{sentence()}\n")


def test_the_command_names_a_connection_that_is_nowhere(tmp_path: Path) -> None:
    done = terminal("check", "--conn-id", "kore_nowhere", home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "The conn_id `kore_nowhere` isn't defined" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_reads_airflows_database(kore: Simulator, airflow_home: Path, airflow_db: Path) -> None:
    command = ["connections", "add", "kore_stored", "--conn-json", json.dumps(kore.connection)]
    subprocess.run([sys.executable, "-m", "airflow", *command], check=True, capture_output=True, timeout=120)
    done = terminal("check", "--conn-id", "kore_stored", home=airflow_home)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_mistake_on_the_command_line_is_not_a_broken_connection(tmp_path: Path) -> None:
    assert terminal("chek", home=tmp_path).returncode == 2
