"""Settings are checked when they are made, and can change while the server runs."""

from __future__ import annotations

import time
from dataclasses import fields
from email.utils import parsedate_to_datetime

import pytest

from airflow_provider_kore.simulator import Settings, Simulator


@pytest.mark.parametrize(
    ("changes", "sense"),
    [
        ({"totall": "missing"}, "there is no setting 'totall'; did you mean 'total'?"),
        ({"zzz": 1}, "there is no setting 'zzz'$"),
        ({"total": "none"}, "total='none': use one of 'list', 'page'"),
        ({"latency": True}, "latency=True: use a value of type float"),
        ({"max_limit": 0}, "max_limit=0: use 1 or more"),
        ({"requests_per_minute": -1}, "requests_per_minute=-1: use 0 or more"),
        ({"stream_id": None}, "stream_id=None: use a value of type str"),
    ],
)
def test_a_wrong_setting_is_refused_and_changes_nothing(kore, changes, sense):
    before = kore.settings
    with pytest.raises(ValueError, match=sense.replace("?", r"\?")):
        kore.configure(limit_handling="honour", **changes)
    assert kore.settings == before
    with pytest.raises(ValueError, match=sense.replace("?", r"\?")):
        Simulator(**changes)


@pytest.mark.parametrize("name", [setting.name for setting in fields(Settings)])
def test_every_setting_is_described(name):
    assert f":param {name}: " in Settings.__doc__


def test_the_server_clock_shifts_the_date_header_and_the_check_of_times(kore, call, refusal_of):
    kore.configure(clock_offset=-100.0)
    before = int(time.time())
    response = call.page()
    assert refusal_of(response) == (401, "Invalid JWT token")
    assert before <= parsedate_to_datetime(response.headers["Date"]).timestamp() + 100 <= time.time()
    kore.configure(check_iat=False)
    assert call.page().status_code == 200
    kore.configure(check_iat=True, leeway=120.0)
    assert call.page().status_code == 200
    kore.configure(clock_offset=310.0, leeway=0.0)
    assert refusal_of(call.page()) == (401, "jwt expired")
    kore.configure(leeway=30.0)
    assert call.page().status_code == 200


def test_a_token_may_have_to_expire(kore, call, refusal_of):
    token = call.token(exp=None)
    assert call.page(token=token).status_code == 200
    kore.configure(require_exp=True)
    assert refusal_of(call.page(token=token)) == (401, "Invalid JWT token")


def test_latency_delays_every_answer(kore, call, pauses):
    kore.configure(latency=0.1)
    call.page()
    call.page(token="x.y.z")
    assert pauses == [0.1, 0.1]


def test_only_so_many_requests_are_kept_but_all_are_counted(kore, call):
    kore.configure(keep_requests=3)
    for _ in range(5):
        call.page()
    assert [record.number for record in kore.requests] == [3, 4, 5]
    assert kore.report()["requests"] == 5


def test_requests_say_what_was_asked_and_answered(kore, call):
    before = time.time()
    call.page(skip=50, limit=25)
    call.page("cl-none", skip="x")
    call.post("getAllCampaignDetails", {"type": "voice", "skip": 2, "limit": 3})
    first, second, third = kore.requests
    assert (first.method, first.endpoint, first.skip, first.limit, first.status) == ("GET", "contacts", 50, 25, 200)
    assert first.path.endswith("/contactList/cl-1/getAllContacts")
    assert first.query == {"accountId": "simulated-account", "skip": "50", "limit": "25"}
    assert before <= first.time <= time.time()
    assert first.bytes > 25 * 100
    assert (second.status, second.refused, second.skip) == (404, "unknown id", None)
    assert (third.endpoint, third.skip, third.limit) == ("campaigns", 2, 3)
    assert kore.page_requests == [first, second]
    kore.forget_requests()
    assert kore.requests == []
    assert kore.report()["requests"] == 0
    call.page()
    assert kore.requests[0].number == 4
