"""The vendor's calls as data, and a server that knows nothing else.

``vendor-calls.json`` is the vendor's documentation, copied. Nothing here is taken from the client or the simulator.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "vendor-calls.json").read_text(encoding="utf-8"))
IDS = {"stream": "st-1", "account": "a-1", "list": "cl-1", "campaign": "cd-1"}
INSTANT = "2025-12-09T04:28:44.832Z"

UNWRITTEN = {"contacts": {"skip", "limit"}, "interaction details": set[str]()}
"""Query parameters that no page has: the request side of ``getAllContacts`` is not documented, its answer is."""


@dataclass(frozen=True)
class Row:
    """One documented call."""

    name: str
    version: str
    method: str
    path: str
    """With its placeholders."""
    query: dict[str, str]
    account: str
    """Whether the sample's query has ``accountId``: ``yes``, ``no``, or ``some``."""
    body: Any
    """None: there is none."""
    answer: dict[str, Any]
    headers: dict[str, str]

    @property
    def id(self) -> str:
        return f"{self.name} {self.version}"

    def filled(self, text: str, **ids: str) -> str:
        for name, value in {**IDS, **ids}.items():
            text = text.replace("{" + name + "}", value)
        return text

    def matches(self, method: str, path: str, query: dict[str, str]) -> bool:
        view = self.query.get("view")
        return method == self.method and path == self.filled(self.path) and (view is None or query.get("view") == view)


def _row(call: dict[str, Any], v2: dict[str, Any]) -> Row:
    query = call["query"] if isinstance(call["query"], dict) else {}
    if isinstance(call["query"], str):
        account = "some" if call["query"].startswith("accountId in some") else "no"
    else:
        account = "yes" if "accountId" in query else "no"
    body = v2["body"] if call["body"] == "as v2" else call["body"]
    answer = call["answer"] if isinstance(call["answer"], dict) else v2["answer"]
    return Row(
        name=call["name"],
        version=call["version"],
        method=call["method"],
        path=call["url"].removeprefix("{host}"),
        query={name: value for name, value in query.items() if name != "accountId"},
        account=account,
        body=None if isinstance(body, str) else body,
        answer=answer,
        headers=call.get("headers", TABLE["headers"]),
    )


def rows() -> list[Row]:
    """Return every row, with ``as v2`` resolved."""
    v2 = {call["name"]: call for call in TABLE["calls"] if isinstance(call["answer"], dict)}
    return [_row(call, v2[call["name"]]) for call in TABLE["calls"]]


READS = [row for row in rows() if row.version in {"v1", "v2"} and row.name != "interaction details"]
"""The calls of the Campaign API that the provider makes; interaction details are another API's."""


def shape_problem(told: Any, documented: Any, where: str = "answer") -> str | None:  # noqa: PLR0911  # a list of checks
    """Say where a value lacks a documented key, or has another type; None if it has the documented shape."""
    if isinstance(documented, dict):
        if not isinstance(told, dict):
            return f"{where} is no object"
        for name, value in documented.items():
            if name not in told:
                return f"{where}.{name} is missing"
            problem = shape_problem(told[name], value, f"{where}.{name}")
            if problem:
                return problem
        return None
    if isinstance(documented, list):
        if not isinstance(told, list):
            return f"{where} is no array"
        return shape_problem(told[0], documented[0], f"{where}[0]") if documented and told else None
    if isinstance(documented, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", documented):
        good = isinstance(told, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told)
        return None if good else f"{where} is no instant"
    return None if type(told) is type(documented) else f"{where} is {type(told).__name__}"


def body_problem(row: Row, body: bytes) -> str | None:
    """Say what in a request's body is not documented; None if nothing."""
    if row.body is None:
        return "a body where none is documented" if body else None
    try:
        sent = json.loads(body)
    except ValueError:
        return "a body that is no JSON"
    unknown = sorted(set(sent) - set(row.body))
    if unknown:
        return f"unknown fields {unknown}"
    match row.name:
        case "call results":
            good = type(sent.get("page")) is int and sent["page"] >= 1 and sent.get("limit") in range(1, 101)
            return None if good and type(sent["limit"]) is int else "page or limit outside the documented range"
        case "campaigns":
            return _campaigns_problem(sent)
    return None


def _campaigns_problem(sent: dict[str, Any]) -> str | None:  # noqa: PLR0911  # a list of checks
    if sent.get("type") not in {"voice", "sms"}:
        return "type is required"
    for name in ("skip", "limit", "page"):
        if name in sent and sent[name] != "" and type(sent[name]) is not int:
            return f"{name} is no number"
    for name in ("startDate", "endDate"):
        if name in sent and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(sent[name])):
            return f"{name} has another form"
    sort_by, filters = sent.get("sortBy", {}), sent.get("filters", {})
    if not set(sort_by) <= {"name", "createdAt", "updatedAt"} or not set(sort_by.values()) <= {"asc", "desc"}:
        return "sortBy"
    if not set(filters) <= {"status", "priority", "dialingMode"}:
        return "filters"
    if not all(type(each) is int for each in filters.get("priority", [])):
        return "filters.priority holds no numbers"
    return None


def sample(row: Row) -> dict[str, Any]:
    """Return the sample of a row with the ids that were asked for, and a total that is that of its rows.

    One page shows fewer rows than it counts.
    """
    text = json.dumps(row.answer, ensure_ascii=False)
    answer: dict[str, Any] = json.loads(text.replace('"cd-…"', '"cd-1"').replace('"cl-…"', '"cl-1"'))
    data = answer.get("data")
    if isinstance(data, dict) and "results" in data:
        data["totalResults"] = len(data["results"])
    return answer


@dataclass
class Asked:
    """What the server was asked, and what of it is in no row."""

    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)


class TableServer:
    """Answers the documented calls with their samples, and 404 to anything else, which it notes in ``asked.strange``.

    :param account: what it makes of an ``accountId`` in the query where the sample has none: ``as documented`` refuses
        (and notes) it, ``refused`` refuses it, ``required`` refuses a call without it.
    :param name_in_sort: ``either``, ``required`` as the page says, or ``refused``.
    :param refusal: status of a refusal.
    """

    def __init__(self, account: str = "as documented", name_in_sort: str = "either", refusal: int = 412) -> None:
        self.asked = Asked()
        self._account = account
        self._name = name_in_sort
        self._refusal = refusal
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = outer.answer(self.command, self.path, dict(self.headers.items()), body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET  # noqa: N815  # the library's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, k: type[BaseException] | None, e: BaseException | None, t: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection to it."""
        return {
            "conn_type": "kore",
            "host": self.url,
            "login": "cs-1",
            "password": "a-secret-that-is-long-enough-for-every-hmac-algorithm-0123456789",
            "extra": {"stream_id": IDS["stream"], "account_id": IDS["account"], "requests_per_minute": 0},
        }

    def answer(  # noqa: PLR0911  # a list of checks
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, object]:
        path, _, text = target.partition("?")
        query = dict(parse_qsl(text, keep_blank_values=True))
        self.asked.calls.append((method, path, query, body))
        row = next((row for row in rows() if row.matches(method, path, query)), None)
        if row is None:
            return self._strange(404, f"{method} {target}: in no row of the table")
        for name, value in row.headers.items():
            expected = None if name == "auth" else row.filled(value)
            told = headers.get(name)
            if not told or (expected is not None and told != expected) or told.startswith("Bearer"):
                return self._strange(401, f"{row.id}: header {name}")
        account = query.pop("accountId", None)
        if row.account == "yes" and account != IDS["account"]:
            return self._strange(401, f"{row.id}: no accountId in the query")
        if row.account == "no" and account is not None and self._account == "as documented":
            return self._strange(self._refusal, f"{row.id}: accountId in the query, which the sample has not")
        refused = account is not None if self._account == "refused" else account is None
        if row.account != "yes" and self._account in {"refused", "required"} and refused:
            return self._refusal, {"errors": [{"msg": "Invalid arguments", "code": 4002}]}
        unwritten = UNWRITTEN.get(row.name, set())
        if {name: value for name, value in query.items() if name not in unwritten} != row.query:
            return self._strange(412, f"{row.id}: query {query}, documented {row.query}")
        problem = body_problem(row, body)
        if problem:
            return self._strange(412, f"{row.id}: {problem}")
        if row.name == "campaigns" and self._refuses_sort(json.loads(body).get("sortBy", {})):
            return self._refusal, {"errors": [{"msg": "Validation errors/ Invalid arguments", "code": 4002}]}
        self.asked.rows.append(row.id)
        return 200, sample(row)

    def _refuses_sort(self, sort_by: dict[str, str]) -> bool:
        if self._name == "required":
            return bool(sort_by) and "name" not in sort_by
        return self._name == "refused" and "name" in sort_by

    def _strange(self, status: int, what: str) -> tuple[int, object]:
        self.asked.strange.append(what)
        return status, {"errors": [{"msg": "Not Found", "code": 4002}]}
