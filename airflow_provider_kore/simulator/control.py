"""The control API below ``/_simulator/``: another process adds lists, sets faults and reads the report.

It speaks JSON, asks for no token, and its requests appear in no report::

    POST /_simulator/lists                 {"list_id": "cl-1", "contacts": 5000}
    POST /_simulator/lists/cl-1/append     {"n": 3}
    POST /_simulator/faults                {"name": "server_error", "after_requests": 70}
    GET  /_simulator/report
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_kore.simulator.answers import Answer
from airflow_provider_kore.simulator.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kore.simulator.triggers import ArmedFault

PREFIX = "/_simulator/"


def control(simulator: Environment, method: str, target: str, body: bytes) -> Answer:
    """Answer one control request; mistakes come back as 400 or 404 with a sentence."""
    path = target.partition("?")[0].removeprefix(PREFIX)
    try:
        fields = json.loads(body or b"{}")
        if not isinstance(fields, dict):
            return _answer(400, {"error": "the body must be a JSON object"})
        for route, act in _ROUTES.items():
            found = re.fullmatch(route.replace("*", "([^/]+)"), f"{method} {path}")
            if found is not None:
                told = act(simulator, *map(unquote, found.groups()), **fields)
                return _answer(201 if method == "POST" and "*" not in route else 200, {} if told is None else told)
    except KeyError as err:
        return _answer(404, {"error": str(err.args[0])})
    except (ValueError, TypeError, IndexError) as err:
        return _answer(400, {"error": str(err)})
    return _answer(404, {"error": f"the control API has no {method} {PREFIX}{path}"})


def _remove_fault(simulator: Environment, number: str) -> None:
    for fault in simulator.faults:
        if str(fault.number) == number:
            fault.remove()
            return
    raise KeyError(f"there is no fault number {number}")


def _shown(faults: list[ArmedFault]) -> list[Mapping[str, object]]:
    return [{"number": fault.number, "name": fault.name, "fired": fault.fired} for fault in faults]


_ROUTES: dict[str, Callable[..., object]] = {
    "POST lists": Environment.add_list,
    "DELETE lists/*": Environment.remove_list,
    "GET lists/*/ids": lambda simulator, list_id: list(simulator.contact_ids(list_id)),
    "POST lists/*/append": Environment.append,
    "POST lists/*/insert": Environment.insert,
    "POST lists/*/remove": lambda simulator, list_id, **more: {"result": simulator.remove(list_id, **more)},
    "POST lists/*/update": Environment.update,
    "POST campaigns": Environment.add_campaign,
    "POST campaigns/*/status": Environment.set_campaign_status,
    "POST campaigns/*/restart": Environment.restart_campaign,
    "POST campaigns/*/results": Environment.add_campaign_results,
    "POST faults": lambda simulator, **conditions: {"number": simulator.add_fault(**conditions).number},
    "GET faults": lambda simulator: _shown(simulator.faults),
    "DELETE faults": Environment.clear_faults,
    "DELETE faults/*": _remove_fault,
    "GET settings": lambda simulator: asdict(simulator.settings),
    "PATCH settings": Environment.configure,
    "GET requests": lambda simulator: [asdict(record) for record in simulator.requests],
    "DELETE requests": Environment.forget_requests,
    "GET report": Environment.report,
    "GET connection": lambda simulator: simulator.connection,
}
"""What is called for each request; a star stands for an id."""


def _answer(status: int, value: object) -> Answer:
    return Answer(status=status, body=json.dumps(value).encode())
