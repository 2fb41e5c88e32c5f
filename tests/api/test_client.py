"""The client over real HTTP: what each call costs, when it tries again, and that contacts arrive as they were sent."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import pytest
from clocks import ImpatientClock
from hypothesis import given
from hypothesis import strategies as st
from landing import QUICK, Landing, client_of, config_of, outcome_of

from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.retry import NO_RETRIES, RetryPolicy
from airflow_provider_kore.api.sender import ASK_AGAIN
from airflow_provider_kore.api.transport import HttpRequest, HttpResponse, RequestsTransport
from airflow_provider_kore.clock import LONGEST_WAIT
from airflow_provider_kore.exceptions import (
    ContractError,
    CredentialsError,
    FatalError,
    MalformedResponseError,
    NotFoundError,
    ParameterError,
    RateLimitedError,
    RequestRefusedError,
    RetryableError,
    ScopeError,
    ServerError,
    UnreachableError,
)
from airflow_provider_kore.simulator import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.simulator import Simulator
    from airflow_provider_kore.walk.page import Page


@pytest.fixture(autouse=True)
def _a_list(kore: Simulator) -> None:
    kore.add_list("cl-1", contacts=120)


def ids_of(client: CampaignClient, list_id: str = "cl-1") -> list[str]:
    return [record.id for page in client.iter_pages(contacts_of(list_id)) for record in page.records]


class Watched(RequestsTransport):
    """The real transport, which remembers the tokens it sent."""

    tokens: list[str]

    def send(self, request: HttpRequest) -> HttpResponse:
        self.tokens = [*getattr(self, "tokens", []), request.headers["auth"]]
        return super().send(request)


def watched(kore: Simulator, **extra: object) -> tuple[CampaignClient, Watched]:
    clock = ImpatientClock()
    config = config_of(kore.connection, **extra)
    transport = Watched(config, clock)
    return CampaignClient(config, clock=clock, transport=transport, retry=QUICK), transport


# --- What it costs ---------------------------------------------------------------------------------------------------


def test_a_walk_costs_a_request_a_page_and_counts_them(kore: Simulator, clock: ImpatientClock) -> None:
    with client_of(kore, clock) as client:
        assert ids_of(client) == list(kore.contact_ids("cl-1"))
    assert len(kore.requests) == 3 == client.spent.requests
    assert (client.spent.retries, client.spent.rate_limited, client.spent.waited, clock.slept) == (0, 0, 0.0, [])


def test_retries_are_counted(kore: Simulator, clock: ImpatientClock) -> None:
    kore.add_fault("server_error", times=3)
    with client_of(kore, clock) as client:
        ids_of(client)
    assert (client.spent.requests, client.spent.retries) == (6, 3) == (len(kore.requests), len(clock.slept))


FATAL: dict[str, type[FatalError]] = {
    "unauthorized": CredentialsError, "jwt_expired": CredentialsError, "scope_incorrect": ScopeError,
    "forbidden": ScopeError, "not_found": NotFoundError, "bad_request": RequestRefusedError,
    "method_not_allowed": RequestRefusedError, "invalid_arguments": RequestRefusedError,
    "redirect": RequestRefusedError, "missing_data": ContractError, "null_data": NotFoundError,
}  # fmt: skip


@pytest.mark.parametrize("name", FATAL)
def test_a_fatal_error_costs_exactly_one_request(kore: Simulator, name: str) -> None:
    kore.add_fault(name)
    with client_of(kore) as client:
        assert type(outcome_of(lambda: client.get_contact_list("cl-1"))) is FATAL[name]
    assert len(kore.requests) == (ASK_AGAIN + 1 if FATAL[name] is ContractError else 1)


RETRYABLE: dict[str, type[RetryableError]] = {
    "server_error": ServerError, "bad_gateway": ServerError, "service_unavailable": ServerError,
    "gateway_timeout": ServerError, "refusal_under_200": ServerError, "html_body": MalformedResponseError,
    "not_json": MalformedResponseError, "cut_json": MalformedResponseError, "empty_body": MalformedResponseError,
    "truncated_body": MalformedResponseError, "reset_before_headers": UnreachableError,
    "reset_after_headers": UnreachableError,
}  # fmt: skip


@pytest.mark.parametrize("name", RETRYABLE)
def test_a_retryable_error_costs_six_and_waits_longer_each_time(kore: Simulator, name: str) -> None:
    kore.add_fault(name)
    clock = ImpatientClock()
    policy = RetryPolicy(uniform=lambda _least, most: most)
    with CampaignClient(config_of(kore.connection), clock=clock, retry=policy) as client:
        assert type(outcome_of(lambda: client.get_contact_list("cl-1"))) is RETRYABLE[name]
    assert len(kore.requests) == 6
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_every_fault_of_a_plain_call_is_known_here() -> None:
    of_all = {name for name, fault in FAULTS.items() if fault.endpoints is None}
    assert of_all == {*FATAL, *RETRYABLE, "latency", "slow_body", "too_many_requests", "rate_limit_under_200"}


@given(failures=st.integers(1, 10), seed=st.floats(0, 1), asked=st.none() | st.floats(0, 2000))
def test_backoff_stays_within_its_bounds(failures: int, seed: float, asked: float | None) -> None:
    policy = RetryPolicy(uniform=lambda least, most: least + seed * (most - least))
    delay = policy.delay(failures, ServerError("x", asked))
    if failures >= 6 or (asked or 0) > 900:
        assert delay is None
    else:
        assert delay is not None
        assert (asked or 0) <= delay <= max(min(30.0, 2.0 ** (failures - 1)), asked or 0)


def test_no_retries_means_one_request(kore: Simulator) -> None:
    assert NO_RETRIES.delay(1, ServerError("x")) is None
    for name in ("server_error", "too_many_requests"):
        kore.forget_requests()
        with kore.fault(name), client_of(kore) as client:
            assert isinstance(outcome_of(client.check), RetryableError)
        assert len(kore.requests) == 1


# --- The allowance ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("", 60.0, 60.5),
        ("0", 1.0, 1.5),
        ("7", 7.0, 7.5),
        ("garbage", 60.0, 60.5),
        ("date", 15.0, 20.5),
    ],
)
def test_a_429_waits_as_the_server_says_but_never_hammers(
    kore: Simulator, clock: ImpatientClock, retry_after: str, least: float, most: float
) -> None:
    value = formatdate(time() + 20, usegmt=True) if retry_after == "date" else retry_after
    kore.add_fault("too_many_requests", times=1, retry_after=value)
    with client_of(kore, clock) as client:
        client.get_contact_list("cl-1")
    assert least <= sum(clock.slept) <= most
    assert client.spent.rate_limited == 1
    assert client.spent.waited >= least


@pytest.mark.parametrize(
    ("status", "body", "message", "hourly"),
    [
        (200, "errors", "minute", False),
        (200, "status", "hour", True),
        (200, "message", "generic", False),
        (403, "errors", "hour", True),
        (403, "status", "generic", False),
        (429, "message", "minute", False),
        (429, "errors", "generic", False),
        (503, "status", "minute", False),
        (503, "message", "hour", True),
    ],
)
def test_a_spent_allowance_is_waited_for_and_given_up_in_the_end(
    kore: Simulator, *, clock: ImpatientClock, message: str, hourly: bool, body: str, status: int
) -> None:
    kore.configure(requests_per_minute=1, rate_limit_status=status, rate_limit_message=message, rate_limit_body=body)
    with client_of(kore, clock, requests_per_minute=0) as client:
        client.get_contact_list("cl-1")
        assert isinstance(outcome_of(lambda: client.get_contact_list("cl-1")), RateLimitedError)
    assert 6_800 < sum(clock.slept) <= 7_200
    assert len(kore.requests) < (40 if hourly else 125)


def test_a_retry_after_beyond_the_budget_gives_up_at_once(kore: Simulator, clock: ImpatientClock) -> None:
    kore.add_fault("too_many_requests", retry_after="86400")
    with client_of(kore, clock) as client:
        error = outcome_of(lambda: client.get_contact_list("cl-1"))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == LONGEST_WAIT
    assert (len(kore.requests), clock.slept) == (1, [])


def test_it_never_asks_more_than_the_connection_allows(kore: Simulator, clock: ImpatientClock) -> None:
    with client_of(kore, clock, requests_per_minute=2) as client:
        ids_of(client)
        ids_of(client)
    assert 110.0 < sum(clock.slept) <= 121.0  # six requests, two a minute


# --- Tokens ----------------------------------------------------------------------------------------------------------


def test_pages_share_one_token(kore: Simulator) -> None:
    client, transport = watched(kore)
    ids_of(client)
    assert len(transport.tokens) == 3
    assert len(set(transport.tokens)) == 1


def test_every_attempt_has_a_token_of_its_own_where_the_app_enforces_jti(kore: Simulator) -> None:
    kore.configure(enforce_jti=True)
    for name in ("server_error", "reset_after_headers", "too_many_requests", "cut_json"):
        kore.add_fault(name, after_requests=1, times=1)
    client, transport = watched(kore)
    assert ids_of(client) == list(kore.contact_ids("cl-1"))
    assert len(transport.tokens) > 3
    assert len(set(transport.tokens)) == len(transport.tokens)
    assert all(record.status != 401 for record in kore.requests)


@pytest.mark.parametrize("name", ["unauthorized", "jwt_expired"])
def test_a_401_in_mid_walk_renews_the_token_once(kore: Simulator, name: str) -> None:
    fault = kore.add_fault(name, after_requests=1, times=1)
    client, _ = watched(kore)
    assert ids_of(client) == list(kore.contact_ids("cl-1"))
    assert [record.status for record in kore.requests] == [200, 401, 200, 200]
    fault.remove()
    kore.forget_requests()
    with kore.fault(name):
        assert isinstance(outcome_of(lambda: ids_of(client)), CredentialsError)
    assert [record.status for record in kore.requests] == [401, 401]


def test_a_secrets_masker_learns_every_token(kore: Simulator) -> None:
    learnt: list[str] = []
    config = config_of(kore.connection, send_jti=True)
    with CampaignClient(config, clock=ImpatientClock(), on_token=learnt.append) as client:
        ids_of(client)
    assert len(learnt) == 3


# --- What arrives ----------------------------------------------------------------------------------------------------

ODD = [
    '{"_id":"cc-1","phoneNumber":"1","big":123456789012345678901234567890,"tiny":0.1234567890123456789012345678901}',
    '{"_id":"cc-2","phoneNumber":null,"nested":{"a":[1,2.50,{"b":null}]},"true":true}',
    '{"_id":"cc-3","lone":"\\ud800","pair":"\\ud83d\\ude00","slash":"\\/","nul":"\\u0000","sep":"\u2028\u0085"}',
    '{ "_id" : "cc-4" , " Priority":"1", "":"empty name", "exp":1E400, "neg":-0.0, "e":1e5 }',
    '{"_id":"cc-5","dup":1,"dup":2,"_id":"cc-5"}',
    '{"_id":"cc-6","ümlaut":"Zoë","emoji":"😀","quote":"\\"","tab":"\\t"}',
]


@pytest.mark.parametrize("envelope", ["nested", "top", "both"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_contacts_arrive_as_they_were_sent(kore: Simulator, envelope: str, version: str) -> None:
    kore.configure(envelope=envelope, max_limit=3)
    kore.add_list("cl-odd", contacts=ODD)
    with client_of(kore, api_version=version) as client:
        texts = [record.text for page in client.iter_pages(contacts_of("cl-odd")) for record in page.records]
    assert texts == ODD


def test_an_integer_that_python_would_not_convert_arrives() -> None:
    text = f'{{"_id":"cc-7","digits":{"9" * 5000}}}'
    body = f'{{"status":"success","data":{{"results":[{text}],"totalResults":1,"limit":50,"hasMore":false}}}}'
    answer = HttpResponse(status=200, headers={}, body=body.encode())
    assert [page.records.texts for page in fed(lambda _request: answer).iter_pages(contacts_of("cl-1"))] == [(text,)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=4), max_size=8), st.booleans())
def test_any_contacts_arrive_as_they_were_sent(contacts: list[dict[str, Any]], ascii_only: bool) -> None:
    sent = [
        json.dumps({**contact, "_id": f"cc-{number}"}, ensure_ascii=ascii_only, indent=number % 2 or None)
        for number, contact in enumerate(contacts)
    ]
    body = '{"status":"success","data":{"results":[' + ",".join(sent) + '],"skip":0,"limit":50,"hasMore":false,'
    body += f'"totalResults":{len(sent)}}}}}'
    answer = HttpResponse(status=200, headers={}, body=body.encode("utf-8", "surrogatepass"))
    got = [record for page in fed(lambda _request: answer).iter_pages(contacts_of("cl-1")) for record in page.records]
    assert [json.loads(record.text) for record in got] == [json.loads(text) for text in sent]
    assert all("\n" not in record.text for record in got)
    assert [record.id for record in got] == [f"cc-{number}" for number in range(len(sent))]


class Fed:
    """A transport that answers by a function."""

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        self.answer = answer

    def send(self, request: HttpRequest) -> HttpResponse:
        return self.answer(request)

    def close(self) -> None:
        """Nothing to close."""


def fed(answer: Callable[[HttpRequest], HttpResponse]) -> CampaignClient:
    connection = {
        "host": "https://kore.test", "login": "cs", "password": "a-long-secret-0123456789-0123456789",
        "extra": {"stream_id": "st-1", "account_id": "ac-1", "requests_per_minute": 0},
    }  # fmt: skip
    return CampaignClient(config_of(connection), clock=ImpatientClock(), transport=Fed(answer), retry=QUICK)


PIECES = st.sampled_from(
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\x00",
        b'{"status":"success"',
        b'"data":',
        b'{"results":[',
        b"]}",
        b",",
        b'"x"',
        b"<html>",
        b'{"_id":"a"}',
        b'"errors"',
        b"1e999",
        b"NaN",
        b"{" * 2000,
        b"[" * 2000,
    ]
)


@given(
    body=st.binary(max_size=60) | st.lists(PIECES, max_size=6).map(b"".join), status=st.sampled_from([200, 400, 500])
)
def test_any_body_is_a_success_or_an_error_of_ours(body: bytes, status: int) -> None:
    client = fed(lambda _request: HttpResponse(status=status, headers={}, body=body))
    pages: list[Page] = []
    with suppress(RetryableError, FatalError):
        pages = list(client.iter_pages(contacts_of("cl-1")))
    assert pages == []


# --- The other calls -------------------------------------------------------------------------------------------------


def test_lists_are_found(kore: Simulator) -> None:
    kore.add_list("cl-2", contacts=1, name="Second")
    with client_of(kore) as client:
        assert [found["_id"] for found in client.get_contact_lists()] == ["cl-1", "cl-2"]
        assert client.get_contact_list("cl-2")["name"] == "Second"
        assert client.check() == 2


@pytest.mark.parametrize("data", ["null", "{}", "7", '"x"', "[1]", '{"results":7}'])
def test_a_catalogue_of_another_shape_is_no_catalogue(data: str) -> None:
    client = fed(
        lambda _request: HttpResponse(status=200, headers={}, body=f'{{"status":"success","data":{data}}}'.encode())
    )
    assert isinstance(outcome_of(client.get_contact_lists), ContractError)


def test_details_may_come_in_an_array_of_one() -> None:
    body = b'{"status":"SUCCESS","data":[{"_id":"cl-1"}]}'
    assert fed(lambda _request: HttpResponse(status=200, headers={}, body=body)).get_contact_list("cl-1") == {
        "_id": "cl-1"
    }


@pytest.mark.parametrize(
    "list_id", ["", "a/b", "../x", "a b", "a?b", "a#b", "a%2fb", "ä", "x" * 129, None, 7, "-x", "a\n"]
)
def test_an_impossible_id_costs_no_request(kore: Simulator, list_id: Any) -> None:
    with client_of(kore) as client:
        error = outcome_of(lambda: client.get_contact_list(list_id))
        assert isinstance(error, ParameterError)
        assert error.parameter == "contact_list_id"
        assert isinstance(outcome_of(lambda: list(client.iter_pages(contacts_of(list_id)))), ParameterError)
    assert kore.requests == []


def test_a_refused_limit_falls_back_to_none(kore: Simulator) -> None:
    kore.configure(limit_handling="reject_any")
    with client_of(kore) as client:
        assert ids_of(client) == list(kore.contact_ids("cl-1"))
    assert [record.status for record in kore.requests] == [400, 200, 200, 200]


# --- The documentation -----------------------------------------------------------------------------------------------


def test_the_script_in_the_documentation_runs(
    kore: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text(encoding="utf-8")
    script = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    monkeypatch.setenv("KORE_HOST", kore.url)
    monkeypatch.setenv("KORE_CLIENT_ID", kore.connection["login"])
    monkeypatch.setenv("KORE_CLIENT_SECRET", kore.connection["password"])
    monkeypatch.setenv("KORE_STREAM_ID", kore.connection["extra"]["stream_id"])
    monkeypatch.setenv("KORE_ACCOUNT_ID", kore.connection["extra"]["account_id"])
    exec(compile(script, "client.md", "exec"), {})  # noqa: S102  # our own page
    assert "120 contacts" in capsys.readouterr().out


def test_one_landing_of_everything_for_comparison(kore: Simulator) -> None:
    landing = Landing(kore)
    assert landing.take().rows == 120
    assert landing.rows == list(kore.contacts("cl-1"))
