"""Every way of saying no that the vendor's pages show, and a few that they leave open."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landing import assert_clear
from requests.structures import CaseInsensitiveDict

from airflow_provider_kore.api.refusals import clock_sentence, explain, parse_date, retry_after
from airflow_provider_kore.api.transport import HttpResponse
from airflow_provider_kore.exceptions import (
    ConfigError,
    CredentialsError,
    KoreError,
    NotFoundError,
    RateLimitedError,
    RequestRefusedError,
    ScopeError,
    ServerError,
)

NOW = 1_800_000_000.0
MINUTE = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."
HOUR = "You've exceeded the hourly rate limit. Please wait for sometime before retrying"
OLDER = "Rate limit for this API has been reached. Please try again after some time."


def explained(status: int, payload: Any = None, *, text: str | None = None, skew: float = 0.0, **headers: str) -> Any:
    sent = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
    body = (str(payload) if text is None else text).encode()
    response = HttpResponse(status=status, headers=sent, body=body)
    error = explain(response, payload, None, what="contact list cl-1", skew=skew, now=NOW)
    assert_clear(error)
    return error


def bodies(message: str, code: object = 4002) -> list[dict[str, Any]]:
    """Return a refusal in every shape that a page shows or a reader could expect."""
    return [
        {"errors": [{"msg": message, "code": code}]},
        {"errors": [{"message": message, "code": str(code)}]},
        {"errors": {"msg": message, "code": code}},
        {"errors": [message]},
        {"errors": message},
        {"status": "error", "message": message},
        {"status": "failure", "msg": message},
        {"status": "Error", "error": message},
        {"message": message},
    ]


STATUSES = [200, 201, 400, 401, 403, 404, 405, 412, 429, 500, 503]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("message", [MINUTE, HOUR, OLDER, MINUTE.upper()])
def test_a_spent_allowance_is_known_by_its_text_under_any_status(message: str, status: int) -> None:
    nested = {"status": "error", "data": {"error": {"reason": message}}}
    for payload in [*bodies(message), nested]:
        error = explained(status, payload)
        assert isinstance(error, RateLimitedError), payload
        assert (error.window == "hourly") == ("hourly" in message.lower())
    assert isinstance(explained(status, None, text=f"<html>{message}</html>"), RateLimitedError)


@pytest.mark.parametrize("payload", [None, {}, {"errors": []}, {"errors": None}, {"status": "success"}])
def test_429_is_a_spent_allowance_whatever_it_says(payload: Any) -> None:
    assert isinstance(explained(429, payload), RateLimitedError)


@pytest.mark.parametrize(
    ("status", "message", "kind", "sense"),
    [
        (401, "Invalid SDK credentials", CredentialsError, "client secret .* jwt_algorithm, stream_id and account_id"),
        (401, "Invalid JWT token", CredentialsError, "jwt_algorithm.* JWE.* send_jti"),
        (401, "Permission denied. Scope is incorrect!", ScopeError, "Campaign Management. Grant the scope"),
        (401, "jwt expired", CredentialsError, "expired .* clock"),
        (401, "", CredentialsError, "several causes"),
        (400, "Invalid StreamId", ConfigError, "'stream_id'"),
        (400, "Bad Request", RequestRefusedError, r"\(400\). Check its ids and parameters"),
        (412, "Validation errors/ Invalid arguments", RequestRefusedError, r"\(412, validation errors\)"),
        (405, "Method Not Allowed", RequestRefusedError, r"\(405, method not allowed\)"),
        (404, "Contact list not found", NotFoundError, "does not know contact list cl-1 .* Check the id"),
        (403, "Forbidden", ScopeError, "firewall"),
        (422, "no", RequestRefusedError, "422"),
        (301, "", RequestRefusedError, "redirects .* host"),
        (302, "", RequestRefusedError, "not followed"),
        (308, "", RequestRefusedError, "not followed"),
        (408, "", ServerError, "408"),
        (425, "", ServerError, "425"),
        (500, "Internal Server Error", ServerError, "500"),
        (501, "", ServerError, "501"),
        (502, "", ServerError, "502"),
        (503, "", ServerError, "503"),
        (504, "", ServerError, "504"),
        (599, "", ServerError, "599"),
        (200, "Something went wrong", ServerError, "under HTTP 200"),
    ],
)
def test_a_refusal_by_its_status_and_text(status: int, message: str, kind: type[KoreError], sense: str) -> None:
    for payload in bodies(message, code="" if status == 200 else 4002):
        error = explained(status, payload)
        assert type(error) is kind
        with pytest.raises(kind, match=sense):
            raise error


@pytest.mark.parametrize("message", ["Invalid SDK credentials", "Invalid JWT token", "jwt expired"])
@pytest.mark.parametrize("status", [200, 400, 403])
def test_a_refused_token_is_known_by_its_text_under_any_status(message: str, status: int) -> None:
    for payload in bodies(message):
        assert isinstance(explained(status, payload), CredentialsError)


def test_code_4002_under_200_means_the_token() -> None:
    assert isinstance(explained(200, {"errors": [{"msg": "Nope", "code": 4002}]}), CredentialsError)


@pytest.mark.parametrize("skew", [7200.0, -7200.0])
def test_a_clock_that_is_hours_off_is_the_first_suspect(skew: float) -> None:
    error = explained(401, {"errors": [{"msg": "jwt expired", "code": 4002}]}, skew=skew)
    assert isinstance(error, CredentialsError)
    assert clock_sentence(skew) in str(error)
    assert "7,200 s " + ("behind" if skew > 0 else "ahead") in str(error)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 412, 500])
def test_a_text_that_no_page_documents_is_never_repeated(status: int) -> None:
    for payload in bodies("no contact +15551234567 for secret-token"):
        assert "15551234567" not in str(explained(status, payload))


@given(
    status=st.integers(200, 599),
    payload=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["errors", "msg", "message", "code", "error", "x"]), inner, max_size=3)
        ),
        max_leaves=12,
    ),
)
def test_any_body_is_explained(status: int, payload: Any) -> None:
    assert isinstance(explained(status, payload), KoreError)


# --- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("999999999", 21_600.0),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("9" * 40, 21_600.0),
        ("9" * 100_000, 21_600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 21_600.0),
        ("Fri, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_or_nothing(value: str, seconds: float | None) -> None:
    assert retry_after(CaseInsensitiveDict({"retry-after": value}), NOW) == seconds
    assert explained(503, retry_after=value).retry_after == seconds
    assert explained(429, retry_after=value).retry_after == seconds


def test_no_retry_after_is_none() -> None:
    assert retry_after({}, NOW) is None


@given(st.text(max_size=40))
def test_no_header_breaks_the_reading_of_dates(value: str) -> None:
    assert parse_date(value) is None or isinstance(parse_date(value), float)
    seconds = retry_after({"Retry-After": value}, NOW)
    assert seconds is None or seconds >= 0


@given(
    st.builds(
        "{}, {} {} {} {}:{}:{} {}".format,
        st.sampled_from(["Mon", "Xyz", ""]),
        st.integers(-1, 99),
        st.sampled_from(["Jan", "Feb", "Dec", "Foo", "1"]),
        st.integers(-1, 99_999),
        st.integers(-1, 99),
        st.integers(-1, 99),
        st.integers(-1, 99),
        st.sampled_from(["GMT", "", "-0000", "+9999", "+0100", "EST", "99999999999"]),
    )
)
def test_almost_dates_are_read_or_not_but_never_an_error(value: str) -> None:
    assert parse_date(value) is None or isinstance(parse_date(value), float)


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000", ""])
def test_a_date_is_gmt_on_any_machine(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    parse_date.cache_clear()
    try:
        assert parse_date(f"Fri, 15 Jan 2027 08:00:00 {zone}".strip()) == NOW
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_date_is_remembered_only_for_itself() -> None:
    seconds = [parse_date(f"Fri, 15 Jan 2027 08:00:{second:02d} GMT") for second in (0, 1, 1, 0, 59, 0)]
    assert seconds == [NOW, NOW + 1, NOW + 1, NOW, NOW + 59, NOW]
    assert [parse_date(value) for value in ("", None, "soon", "soon")] == [None] * 4
