"""Whatever a server answers, the client returns a result or raises a KoreError."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from clocks import StoppedClock
from hypothesis import given, settings
from hypothesis import strategies as st
from test_transport import config

from airflow_provider_kore.api.calls import contacts_of
from airflow_provider_kore.api.campaigns import CampaignQuery
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.retry import NO_RETRIES
from airflow_provider_kore.api.transport import HttpRequest, HttpResponse
from airflow_provider_kore.exceptions import ConfigError, KoreError

NAMES = ["status", "data", "results", "_id", "id", "updatedAt", "createdAt", "totalResults", "hasMore", "skip", "limit",
         "page", "totalPages", "errors", "msg", "code", "uniqueId", "phoneNumber"]  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5)
ODD = st.sampled_from(["success", "SUCCESS", 10**400, -1, 1e308, "9" * 400, "\ud800", "3.0", "true", [], {}])
VALUES: Any = st.recursive(
    SCALARS | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)
PAGES = st.fixed_dictionaries({"status": st.just("success"), "data": VALUES}, optional={"totalResults": VALUES})
HEADERS = st.dictionaries(
    st.sampled_from(["Date", "Retry-After", "Content-Type"]),
    st.text(max_size=30)
    | st.sampled_from(["Fri, 31 Dec 9999 23:59:59 +9999", "Mon, 01 Jan 0001 00:00:00 +0100", "9" * 400]),
)


class Canned:
    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        self.asked = 0

    def send(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - the protocol
        self.asked += 1
        return self.response

    def close(self) -> None:
        pass


@pytest.mark.slow
@settings(max_examples=300)
@given(payload=PAGES | VALUES, status=st.sampled_from([200, 200, 200, 401, 404, 429, 500, 302]), headers=HEADERS)
def test_any_answer_is_a_result_or_a_kore_error(payload: object, status: int, headers: dict[str, str]) -> None:
    transport = Canned(HttpResponse(status=status, headers=headers, body=json.dumps(payload).encode()))
    client = CampaignClient(config("http://127.0.0.1:1"), clock=StoppedClock(), transport=transport, retry=NO_RETRIES)
    query = CampaignQuery.parse("voice")
    for call in (
        client.check,
        client.get_contact_lists,
        lambda: client.get_contact_list("cl-1"),
        lambda: client.get_campaign_status("cd-1"),
        lambda: list(client.iter_pages(contacts_of("cl-1"))),
        lambda: list(client.iter_contact_pages("cl-1")),
        lambda: list(client.iter_campaign_contact_pages("cd-1")),
        lambda: list(client.iter_campaign_pages(query)),
    ):
        try:
            call()  # type: ignore[operator]
        except KoreError as err:
            assert len(str(err)) < 2_000  # noqa: PT017


@pytest.mark.slow
@settings(max_examples=200)
@given(
    extra=st.dictionaries(
        st.sampled_from(
            [
                "timeout",
                "token_lifetime",
                "requests_per_minute",
                "requests_per_hour",
                "reserve",
                "page_size",
                "proxy",
                "verify",
                "id_key",
                "jwt_algorithm",
                "jwt_subject",
                "send_jti",
                "stream_id",
            ]
        ),
        SCALARS | ODD | st.sampled_from(["1e10", 1e300, "http://h:99999", "http://[", 10**18, "\x00"]),
    ),
    host=st.text(max_size=20)
    | st.sampled_from(["http://127.0.0.1:1", "http://[::1", "https://" + "a" * 70, "https://ü.test"]),
    secret=st.text(st.characters(codec=None), max_size=40),
)
def test_any_connection_is_a_config_or_a_config_error(extra: dict[str, Any], host: str, secret: str) -> None:
    try:
        found = ApiConfig.parse(
            host=host, login="cs-1", password=secret, extra={"stream_id": "st-1", "account_id": "a-1", **extra}
        )
    except ConfigError as err:
        str(err).encode()
        return
    transport = Canned(HttpResponse(status=200, headers={}, body=b"{}"))
    client = CampaignClient(found, clock=StoppedClock(), transport=transport, retry=NO_RETRIES)
    with contextlib.suppress(KoreError):
        client.check()
