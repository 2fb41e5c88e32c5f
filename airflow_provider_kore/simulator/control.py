"""The control API below ``/_simulator/``: another process adds lists, sets faults and reads the report.

It speaks JSON, asks for no token, and its requests appear in no report::

    POST /_simulator/lists                 {"list_id": "cl-1", "contacts": 5000}
    POST /_simulator/lists/cl-1/append     {"n": 3}
    POST /_simulator/faults                {"name": "server_error", "after_requests": 70}
    GET  /_simulator/report
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_kore.simulator.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.simulator.environment import Environment

PREFIX = "/_simulator/"


def control(
    environment: Environment, connection: Callable[[], object], method: str, target: str, body: bytes
) -> Answer:
    """Answer one control request; mistakes come back as 400 or 404 with a sentence.

    :param connection: returns what an Airflow connection to it needs.
    """
    segments = [unquote(segment) for segment in target.partition("?")[0].removeprefix(PREFIX).split("/")]
    try:
        fields = json.loads(body or b"{}")
        if not isinstance(fields, dict):
            return _answer(400, {"error": "the body must be a JSON object"})
        return _route(environment, connection, method, segments, fields)
    except KeyError as err:
        return _answer(404, {"error": str(err.args[0])})
    except (ValueError, TypeError, IndexError) as err:
        return _answer(400, {"error": str(err)})


def _route(
    environment: Environment, connection: Callable[[], object], method: str, segments: list[str], fields: dict[str, Any]
) -> Answer:
    match method, segments:
        case _, ["lists", *rest]:
            return _lists(environment, method, rest, fields)
        case _, ["faults", *rest]:
            return _faults(environment, method, rest, fields)
        case _, ["campaigns", *rest]:
            return _campaigns(environment, method, rest, fields)
        case "GET", [what]:
            return _read(environment, connection, what)
        case "PATCH", ["settings"]:
            environment.configure(**fields)
        case "DELETE", ["requests"]:
            environment.forget_requests()
        case _:
            return _no_such(method, segments)
    return _answer(200, {})


def _read(environment: Environment, connection: Callable[[], object], what: str) -> Answer:
    readers: dict[str, Callable[[], object]] = {
        "connection": connection,
        "settings": lambda: asdict(environment.settings),
        "requests": lambda: [asdict(record) for record in environment.requests],
        "report": environment.report,
    }
    return _answer(200, readers[what]()) if what in readers else _no_such("GET", [what])


def _campaigns(environment: Environment, method: str, rest: list[str], fields: dict[str, Any]) -> Answer:
    match method, rest:
        case "POST", []:
            environment.add_campaign(**fields)
            return _answer(201, {})
        case "POST", [campaign_id, "status"]:
            environment.set_campaign_status(campaign_id, **fields)
            return _answer(200, {})
        case "POST", [campaign_id, "restart"]:
            environment.restart_campaign(campaign_id, **fields)
            return _answer(200, {})
        case "POST", [campaign_id, "results"]:
            environment.add_campaign_results(campaign_id, **fields)
            return _answer(200, {})
    return _no_such(method, ["campaigns", *rest])


def _lists(environment: Environment, method: str, rest: list[str], fields: dict[str, Any]) -> Answer:
    changes: dict[str, Callable[..., object]] = {
        "append": environment.append,
        "insert": environment.insert,
        "remove": environment.remove,
        "update": environment.update,
    }
    match method, rest:
        case "POST", []:
            environment.add_list(**fields)
            return _answer(201, {})
        case "DELETE", [list_id]:
            environment.remove_list(list_id)
            return _answer(200, {})
        case "GET", [list_id, "ids"]:
            return _answer(200, list(environment.contact_ids(list_id)))
        case "POST", [list_id, change] if change in changes:
            return _answer(200, {"result": changes[change](list_id, **fields)})
    return _no_such(method, ["lists", *rest])


def _faults(environment: Environment, method: str, rest: list[str], fields: dict[str, Any]) -> Answer:
    match method, rest:
        case "GET", []:
            found = [{"number": fault.number, "name": fault.name, "fired": fault.fired} for fault in environment.faults]
            return _answer(200, found)
        case "POST", []:
            return _answer(201, {"number": environment.add_fault(**fields).number})
        case "DELETE", []:
            environment.clear_faults()
            return _answer(200, {})
        case "DELETE", [number]:
            for fault in environment.faults:
                if str(fault.number) == number:
                    fault.remove()
                    return _answer(200, {})
            return _answer(404, {"error": f"there is no fault number {number}"})
    return _no_such(method, ["faults", *rest])


def _answer(status: int, value: object) -> Answer:
    return Answer(status=status, body=json.dumps(value).encode())


def _no_such(method: str, segments: list[str]) -> Answer:
    return _answer(404, {"error": f"the control API has no {method} {PREFIX}{'/'.join(segments)}"})
