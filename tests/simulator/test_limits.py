"""The account's allowance: rolling windows, and how a refusal for them looks."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from airflow_provider_kore.simulator import Settings, Simulator
from airflow_provider_kore.simulator.limits import Allowance

MINUTE = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."
HOUR = "You've exceeded the hourly rate limit. Please wait for sometime before retrying"
GENERIC = "Rate limit for this API has been reached. Please try again after some time."


def outcomes(allowance, settings, times):
    return [None if spent is None else spent.window for spent in (allowance.admit(at, settings) for at in times)]


def test_the_vendors_sixty_a_minute_are_the_default():
    found = outcomes(Allowance(), Settings(), [0.0] * 61)
    assert found == [None] * 60 + ["minute"]


def test_a_window_rolls_and_is_no_calendar_minute():
    settings = Settings(requests_per_minute=2)
    times = [0.0, 50.0, 59.9, 60.0, 60.1, 110.0]
    assert outcomes(Allowance(), settings, times) == [None, None, "minute", None, "minute", None]


def test_the_wait_ends_when_the_oldest_request_leaves_the_window():
    allowance, settings = Allowance(), Settings(requests_per_minute=2)
    outcomes(allowance, settings, [0.0, 10.0])
    assert allowance.admit(15.0, settings).wait == pytest.approx(45.0)


def test_a_spent_hour_refuses_though_the_minute_is_free():
    settings = Settings(requests_per_minute=2, requests_per_hour=3)
    times = [0.0, 0.0, 1.0, 61.0, 125.0, 3599.0, 3600.0]
    assert outcomes(Allowance(), settings, times) == [None, None, "minute", None, "hour", "hour", None]


def test_refused_requests_use_up_allowance_only_if_they_are_set_to():
    times = [0.0, 40.0, 80.0, 100.0]
    assert outcomes(Allowance(), Settings(requests_per_minute=1), times) == [None, "minute", None, "minute"]
    counted = Settings(requests_per_minute=1, count_refused=True)
    assert outcomes(Allowance(), counted, times) == [None, "minute", "minute", "minute"]


def test_zero_means_unlimited():
    assert outcomes(Allowance(), Settings(requests_per_minute=0), [0.0] * 500) == [None] * 500


@pytest.mark.parametrize(
    ("settings", "status", "text"),
    [
        ({}, 429, MINUTE),
        ({"requests_per_hour": 2}, 429, HOUR),
        ({"rate_limit_message": "hour"}, 429, HOUR),
        ({"rate_limit_message": "minute", "requests_per_hour": 2}, 429, MINUTE),
        ({"rate_limit_message": "generic", "rate_limit_status": 403}, 403, GENERIC),
        ({"rate_limit_status": 503}, 503, MINUTE),
        ({"rate_limit_status": 200}, 200, MINUTE),
    ],
)
def test_a_refusal_for_the_limit_looks_as_set(kore, call, refusal_of, *, settings, status, text):
    kore.configure(requests_per_minute=2, **settings)
    assert [call.page().status_code for _ in range(2)] == [200, 200]
    response = call.page()
    assert refusal_of(response) == (status, text)
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize(
    ("body", "expected"),
    [("status", {"status": "failure", "message": MINUTE}), ("message", {"message": MINUTE})],
)
def test_the_json_around_the_text_is_a_setting(kore, call, body, expected):
    kore.configure(requests_per_minute=1, rate_limit_body=body, failure_status="failure")
    call.page()
    assert call.page().json() == expected


def test_retry_after_is_what_is_set(kore, call, clock):
    kore.configure(requests_per_minute=1, retry_after="0")
    call.page()
    assert call.page().headers["Retry-After"] == "0"
    kore.configure(retry_after="wait")
    clock.now += 9.5
    assert call.page().headers["Retry-After"] == "51"
    kore.configure(retry_after="date", clock_offset=100.0)
    headers = call.page().headers
    free, now = (parsedate_to_datetime(headers[name]) for name in ("Retry-After", "Date"))
    assert (free - now).total_seconds() in {51.0, 52.0}  # two looks at the server's clock, and whole seconds


def test_applications_of_one_account_share_its_allowance_and_other_accounts_have_their_own(kore, call, caller_of):
    kore.configure(requests_per_minute=3)
    sibling = caller_of(kore, kore.connection_for(kore.add_app(client_id="cs-2")))
    stranger = caller_of(kore, kore.connection_for(kore.add_app(client_id="cs-3", account_id="another")))
    assert [call.page().status_code for _ in range(2)] == [200, 200]
    assert [sibling.page().status_code for _ in range(2)] == [200, 429]
    assert stranger.page().status_code == 200


def test_a_refused_token_uses_up_no_allowance(kore, call):
    kore.configure(requests_per_minute=1)
    assert call.page(token="x.y.z").status_code == 401
    assert call.page().status_code == 200


def test_a_shortened_minute_is_over_soon(kore, call, clock):
    kore.configure(requests_per_minute=1, minute_seconds=0.2)
    assert [call.page().status_code for _ in range(2)] == [200, 429]
    clock.now += 0.25
    assert call.page().status_code == 200


def test_the_report_tells_the_peak_and_the_refusals(kore, call):
    kore.configure(requests_per_minute=3)
    for _ in range(5):
        call.page()
    report = kore.report()
    assert (report["peak_requests_per_minute"], report["rate_limited"]) == (5, 2)
    assert report["statuses"] == {"200": 3, "429": 2}


def test_the_simulator_is_limited_by_default_and_the_fixture_is_not(kore):
    assert Simulator().settings.requests_per_minute == 60
    assert kore.settings.requests_per_minute == 0
    assert kore.connection["extra"]["requests_per_minute"] == 0


@pytest.mark.kore(requests_per_minute=7, jwt_algorithm="HS512")
def test_the_marker_sets_the_fixture_up(kore):
    assert (kore.settings.requests_per_minute, kore.settings.jwt_algorithm) == (7, "HS512")
