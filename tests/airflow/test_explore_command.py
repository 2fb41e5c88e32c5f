"""Exploring as a person does it: in a terminal, with an Airflow connection."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.__main__ import main
from airflow_provider_kore.simulator.settings import Settings, with_changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.simulator import Simulator


@pytest.fixture
def filled(kore: Simulator, define: Callable[[str, dict[str, Any]], None]) -> Simulator:
    """An environment with a long and a short list, and its connection."""
    kore.add_list("cl-private", contacts=1_200, name="A private name")
    kore.append("cl-private", 3)
    kore.add_list("cl-fed", contacts=10, source="passiveApi")
    kore.forget_requests()
    define("kore_default", kore.connection)
    return kore


def test_it_prints_a_table_and_a_simulator_that_behaves_so(
    filled: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "| totalResults counts     | the list " in said.out
    assert "python -m airflow_provider_kore.simulator \\\n  --set default_limit=50" in said.out
    assert len(filled.requests) <= 12
    for private in ("private", "cc-", "cl-", filled.settings.client_secret, filled.settings.account_id, filled.url):
        assert private not in said.out


def test_as_json_it_is_one_object_of_facts_and_settings(filled: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    filled.configure(limit_handling="reject_412", max_limit=100, unknown_id="error_200")
    assert main(["explore", "--json", "--contact-list-id", "cl-private"]) == 0
    told = json.loads(capsys.readouterr().out)
    settings = with_changes(Settings(), told["settings"])
    assert (settings.limit_handling, settings.max_limit, settings.unknown_id) == ("reject_412", 100, "error_200")
    assert told["requests"] == len(filled.requests) <= 12
    assert {fact["fact"] for fact in told["facts"] if not fact["learned"]} <= {"text of a refusal"}


def test_it_asks_no_more_than_it_is_told_to(filled: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--most-requests", "4"]) == 0
    assert len(filled.requests) == 4
    assert "not learned: no request was left" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["explore", "--most-requests", "13"],
        ["explore", "--most-requests", "0"],
        ["explore", "--most-requests", "many"],
        ["explore", "--contact-list", "cl-1", "more"],
        ["explore", "--contact-list-id", "A private/name"],
        ["explore", "--contact-list-id", ""],
    ],
)
def test_a_mistake_on_the_command_line_costs_no_request(
    arguments: list[str], filled: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as err:
        status = err.code  # type: ignore[assignment]
    assert status == 2
    said = capsys.readouterr()
    assert (said.out, "A private" in said.err) == ("", False)
    assert filled.requests == []


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("fault", ["not_json", "html_body", "too_many_requests", "unauthorized", "reset_after_headers"])
def test_a_connection_that_does_not_work_is_one_line(
    fault: str, after: int, filled: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    with filled.fault(fault, after_requests=after):
        assert main(["explore"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert "cl-" not in said.err
    assert len(filled.requests) <= after + 2


def test_a_page_that_hangs_is_one_line(
    filled: Simulator, define: Callable[[str, dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    define("kore_default", {**filled.connection, "extra": {**filled.connection["extra"], "timeout": 0.3}})
    with filled.fault("latency", endpoint="contacts", seconds=1.0):
        assert main(["explore"]) == 1
        time.sleep(1.0)  # until the server is done with it: what it leaves behind is logged in a later test
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(r"did not (answer|finish its answer) within 0\.3 s", said.err)  # whose clock is first
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("changes", [{"password": "another-secret-that-is-long-enough-to-sign-with"}, {"host": ""}, {}])
def test_a_wrong_connection_is_one_line(
    changes: dict[str, str],
    filled: Simulator,
    define: Callable[[str, dict[str, Any]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if changes:
        define("kore_other", {**filled.connection, **changes})
    assert main(["explore", "--conn-id", "kore_other"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "another-secret" not in said.err


def test_a_server_that_is_not_there_is_one_line(
    filled: Simulator, define: Callable[[str, dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        define("kore_default", {**filled.connection, "host": f"http://127.0.0.1:{closed.getsockname()[1]}"})
        assert main(["explore"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "refuses the connection" in said.err
