"""The simulator as a command: ``python -m airflow_provider_kore.simulator --list cl-demo=1234``.

It prints one line of JSON with the URL and the Airflow connection, and serves until it is interrupted or terminated.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.simulator.endpoints import ENDPOINTS
from airflow_provider_kore.simulator.faults import FAULTS, Fault
from airflow_provider_kore.simulator.settings import Settings, setting_names
from airflow_provider_kore.simulator.simulator import Simulator
from airflow_provider_kore.simulator.triggers import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

_USAGE_ERROR = 2


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status, 2 for a mistake on the command line."""
    options = _parser().parse_args(arguments)
    try:
        simulator = _simulator(options)
        # Blocked before any thread starts, so that only sigwait below receives them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        simulator.start()
    except (ValueError, TypeError, OSError) as err:
        sys.stderr.write(f"kore simulator: {err}\n")
        return _USAGE_ERROR
    with simulator:
        _say({"url": simulator.url, "connection": json.dumps(simulator.connection)})
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    if options.report:
        _say(simulator.report())
    return 0


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_kore.simulator",
        description="A Kore.ai Campaign API on this machine. Prints its URL and the Airflow connection, then serves.",
        epilog=f"Settings: {', '.join(sorted(setting_names()))}. Faults: {', '.join(sorted(FAULTS))}. "
        f"Endpoints: {', '.join(ENDPOINTS)}.",
    )
    add = parser.add_argument
    repeated: dict[str, Any] = {"action": "append", "default": []}
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on (default: a free one)")
    add("--certfile", help="PEM certificate chain; serves https")
    add("--keyfile", help="PEM key of the certificate")
    add("--list", **repeated, metavar="ID=N", dest="lists", help="a contact list of N contacts")
    add("--campaign", **repeated, metavar="ID=N", help="a voice campaign with N call results")
    fault = "a misbehaviour, such as server_error,endpoint=contacts,probability=0.05"
    add("--fault", **repeated, metavar="NAME[,KEY=VALUE…]", help=fault)
    add("--set", **repeated, metavar="NAME=VALUE", dest="settings", help="a setting, see below")
    add("--latency", type=float, help="seconds every answer takes (setting latency)")
    add("--seed", type=int, help="seed of everything random (setting seed)")
    add("--report", action="store_true", help="print what was served when it ends")
    return parser


def _simulator(options: argparse.Namespace) -> Simulator:
    settings = _typed(map(_pair, options.settings), Settings)
    settings |= {name: value for name in ("latency", "seed") if (value := getattr(options, name)) is not None}
    simulator = Simulator(
        host=options.host, port=options.port, certfile=options.certfile, keyfile=options.keyfile, **settings
    )
    for text in options.lists:
        list_id, contacts = _pair(text)
        simulator.add_list(list_id, contacts=_count(text, contacts))
    for text in options.campaign:
        campaign_id, results = _pair(text)
        simulator.add_campaign(campaign_id, results=_count(text, results))
    for text in options.fault:
        name, *conditions = text.split(",")
        kind = FAULTS.get(name, Fault)
        simulator.add_fault(name, **_typed(map(_pair, conditions), kind, Trigger))
    return simulator


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"{text!r}: write it as name=value")
    return name, value


def _typed(pairs: Iterable[tuple[str, str]], *kinds: type[DataclassInstance]) -> dict[str, Any]:
    """Read each value as JSON, unless its field in one of ``kinds`` holds text, as ``unknown_id=404`` does."""
    texts = {field.name for kind in kinds for field in fields(kind) if isinstance(field.default, str)}
    return {name: value if name in texts else _json_or_text(value) for name, value in pairs}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _count(text: str, value: str) -> int:
    if not value.isdecimal():
        raise ValueError(f"{text!r}: use a whole number, 0 or more, after the equals sign")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
