"""Answers that break the contract once or for good, and refusals that quote back what was sent or are not the API's."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from clocks import ImpatientClock
from landing import QUICK, outcome_of
from test_refusals import HOUR, MINUTE, bodies, explained
from test_transport import config, http, serving

from airflow_provider_kore.api.calls import contact_lists, contacts_of
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.retry import NO_RETRIES
from airflow_provider_kore.api.sender import ASK_AGAIN
from airflow_provider_kore.exceptions import (
    ConfigError,
    ContractError,
    CredentialsError,
    FatalError,
    KoreError,
    MalformedResponseError,
    NotFoundError,
    RateLimitedError,
    RequestRefusedError,
    ScopeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KEYWORDS = ("cl-hourly-leads", "is.JSON", "cl-scope", "expired", "jwt-expired", "invalid_jwt", "permission-denied",
            "html", "per-minute", "invalid.streamid", "rate-limit")  # fmt: skip


@pytest.mark.parametrize("list_id", KEYWORDS)
def test_an_id_that_holds_a_keyword_decides_nothing(list_id: str) -> None:
    for status in (200, 400, 401, 403, 404, 429, 500):
        plain, named = (
            [type(explained(status, body)) for body in bodies(f"contact list {name} is not to be had", code="")]
            for name in ("cl-1", list_id)
        )
        assert plain == named


@pytest.mark.parametrize("list_id", KEYWORDS)
@pytest.mark.parametrize(("text", "hourly"), [(MINUTE, False), (HOUR, True)])
def test_the_window_that_is_spent_is_told_by_the_server_and_not_by_the_lists_name(
    list_id: str, text: str, hourly: bool
) -> None:
    answer = http(json.dumps({"errors": [{"msg": text}]}).encode(), "429 Too Many Requests")
    with serving(lambda *_: answer) as server, CampaignClient(config(server.url), retry=NO_RETRIES) as client:
        told: list[bool] = []
        really = client.allowance.refused

        def refused(**facts: Any) -> None:
            told.append(facts["hourly"])
            really(**facts)

        client.allowance.refused = refused  # type: ignore[method-assign]
        error = outcome_of(lambda: client.get_contact_list(list_id))
    assert isinstance(error, RateLimitedError)
    assert told == [hourly]
    assert copy.copy(error).window == error.window  # as pickling does


PAGE = {"limit": 2, "totalResults": 6}


def page_at(skip: int) -> bytes:
    results = [{"_id": f"c-{number}"} for number in range(skip, skip + 2)]
    return json.dumps(
        {"status": "success", "data": {"results": results, "skip": skip, **PAGE, "hasMore": skip < 4}}
    ).encode()


def success(data: object) -> bytes:
    return json.dumps({"status": "success", "data": data}).encode()


BROKEN: dict[str, bytes] = {
    "null": http(success(None)),
    "another type": http(success({"results": "none", "skip": 2})),
    "no id": http(success({"results": [{"phoneNumber": 1}], "skip": 2, **PAGE})),
    "another shape": http(b"[1, 2]"),
    "a number": http(b"17"),
    "an item that is no object": http(success({"results": [1, 2], "skip": 2, **PAGE})),
    "an error under 200": http(b'{"status": "error"}'),
    "a web page": http(b"<html>down</html>", "200 OK", "Content-Type: text/html"),
    "a web page under 403": http(b"<html>no</html>", "403 Forbidden", "Content-Type: text/html"),
    "no UTF-8": http(b'{"status": "success", "data": {"results": [{"_id": "\xff\xfe"}]}}'),
    "nested too deeply": http(b'{"status": "success", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "too many values": http(b'{"data": [' + b"[]," * 600_000 + b"[]]}"),
}


def walked(answer: Callable[[int, int], bytes], clock: ImpatientClock | None = None) -> tuple[list[str], int]:
    """Walk a list whose page at an offset is answered so, given how often it was asked for before."""
    asked: dict[int, int] = {}

    def reply(_number: int, request: bytes) -> bytes:
        skip = int(request.partition(b"skip=")[2].split(b"&")[0].split(b" ")[0])
        asked[skip] = asked.get(skip, 0) + 1
        return answer(skip, asked[skip] - 1)

    with (
        serving(reply) as server,
        CampaignClient(config(server.url), clock=clock or ImpatientClock(), retry=QUICK, in_flight=4) as client,
    ):
        try:
            return [record.id for page in client.iter_pages(contacts_of("cl-1")) for record in page.records], 0
        except KoreError as err:
            raise KoreError(type(err), str(err), asked[2]) from err


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_breaks_the_contract_once_is_asked_for_again(name: str) -> None:
    for page in (0, 2, 4):
        ids, _ = walked(
            lambda skip, before, at=page: BROKEN[name] if (skip, before) == (at, 0) else http(page_at(skip))
        )
        assert ids == [f"c-{number}" for number in range(6)]


@pytest.mark.parametrize("name", sorted(set(BROKEN) - {"an error under 200", "a web page"}))
def test_one_that_stays_so_is_fatal_and_costs_a_few_requests(name: str) -> None:
    with pytest.raises(KoreError) as caught:
        walked(lambda skip, _: BROKEN[name] if skip == 2 else http(page_at(skip)))
    kind, message, asked = caught.value.args
    assert issubclass(kind, FatalError)
    assert asked == ASK_AGAIN + 1
    assert "offset 2" in message or name == "too many values"


def test_details_that_were_there_a_moment_ago_are_not_gone_because_of_one_odd_answer() -> None:
    answers = iter([success({"_id": "cl-1"}), success(None), success({"_id": "cl-1"}), success([])])
    with serving(lambda *_: http(next(answers, success([])))) as server:
        client = CampaignClient(config(server.url), clock=ImpatientClock(), retry=QUICK)
        for _ in range(2):
            assert client.get_contact_list("cl-1") == {"_id": "cl-1"}
        assert isinstance(outcome_of(lambda: client.get_contact_list("cl-1")), ContractError)
        assert len(server.requests) == 6
        assert isinstance(outcome_of(lambda: client.get_contact_list("cl-2")), NotFoundError)
        assert len(server.requests) == 7


@pytest.mark.parametrize(
    ("body", "sense", "kind"),
    [
        (b'{"status": "success", "data": {"name": "\xe4bc"}}', "no UTF-8", ContractError),
        (
            b'{"status": "success", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "nested too deeply",
            ContractError,
        ),
        (b'{"status": "success", "data": {"name": "\xc3', "cut", MalformedResponseError),
        (b'{"status": "succ', "cut", MalformedResponseError),
        (b"", "cut", MalformedResponseError),
    ],
)
def test_what_is_wrong_with_a_body_is_named(body: bytes, sense: str, kind: type[KoreError]) -> None:
    with serving(lambda *_: http(body)) as server, CampaignClient(config(server.url), retry=NO_RETRIES) as client:
        error = outcome_of(lambda: client.get_contact_list("cl-1"))
    assert type(error) is kind
    assert sense in str(error)
    assert "cl-1" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410])
@pytest.mark.parametrize(
    ("text", "kind"),
    [("\ufeff\n <!DOCTYPE html>", "application/json"), ("Sign in", "Text/HTML"), ("<?xml?><Error/>", "text/xml")],
)
def test_a_refusal_that_is_a_web_page_is_not_blamed_on_secret_scope_or_id(status: int, text: str, kind: str) -> None:
    error = explained(status, None, text=text, Content_Type=kind)
    assert isinstance(error, RequestRefusedError)
    assert not isinstance(error, (CredentialsError, ScopeError, NotFoundError))
    for word in ("host", "proxy", "firewall", "login page"):
        assert word in str(error)
    for word in ("secret", "scope", "Check the id"):
        assert word not in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "sense"),
    [
        (407, ConfigError, "field 'proxy'.*credentials"),
        (413, RequestRefusedError, "too long"),
        (414, RequestRefusedError, "too long"),
        (421, RequestRefusedError, "does not serve this host"),
        (431, RequestRefusedError, "too long"),
        (451, RequestRefusedError, "legal reasons"),
    ],
)
@pytest.mark.parametrize("text", ["", "<html>", '{"errors": [{"msg": "Invalid SDK credentials"}]}'])
def test_refusals_that_have_a_sentence_of_their_own(status: int, kind: type[KoreError], sense: str, text: str) -> None:
    payload: Any = json.loads(text) if text.startswith("{") else None
    with pytest.raises(kind, match=sense):
        raise explained(status, payload, text=text)


def test_every_sentence_about_an_unknown_thing_is_one() -> None:
    answer = http(b"{}", "404 Not Found")
    with serving(lambda *_: answer) as server, CampaignClient(config(server.url), retry=NO_RETRIES) as client:
        told = str(outcome_of(client.get_contact_lists))
    assert told.startswith("The server does not know the catalogue of contact lists (404).")


ENTRY = {"_id": "cl-1", "name": "a", "updatedAt": "2026-01-01T00:00:00.000Z"}


@pytest.mark.parametrize(
    "data",
    [
        {"results": [ENTRY], "hasMore": True},
        {"results": [ENTRY], "skip": 0, "limit": 1, "totalResults": 3},
        {"results": [ENTRY], "hasMore": "true", "totalPages": 2},
    ],
)
@pytest.mark.parametrize("where", ["in data", "beside"])
def test_a_catalogue_of_which_there_is_more_is_no_catalogue(data: dict[str, Any], where: str) -> None:
    told = {"status": "success", "data": data}
    if where == "beside":
        told = {"status": "success", **data, "data": data["results"]}
    with (
        serving(lambda *_: http(json.dumps(told).encode())) as server,
        CampaignClient(config(server.url), retry=NO_RETRIES) as client,
    ):
        for look in (client.get_contact_lists, lambda: list(client.iter_pages(contact_lists())), client.check):
            assert isinstance(outcome_of(look), ContractError)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "203 Non-Authoritative Information"])
def test_a_success_is_one_under_every_status_that_says_so(status: str) -> None:
    told = {"status": "success", "data": [ENTRY]}
    with (
        serving(lambda *_: http(json.dumps(told).encode(), status)) as server,
        CampaignClient(config(server.url), retry=NO_RETRIES) as client,
    ):
        assert client.get_contact_lists() == [ENTRY]
        assert client.check() == 1
