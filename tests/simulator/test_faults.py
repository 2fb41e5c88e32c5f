"""Every fault does what its docstring says, strikes when it is told to, and leaves nothing behind."""

from __future__ import annotations

import json
import random

import pytest
import requests

from airflow_provider_kore.simulator import FAULTS


def faults_on(endpoint):
    return sorted(name for name, fault in FAULTS.items() if fault.endpoints is None or endpoint in fault.endpoints)


def observed(call, pauses):
    """What a client sees of a page in mid-walk: how it fails, or status, type and body; and how the server waited."""
    pauses.clear()
    try:
        response = call.page(skip=50, limit=50)
        seen = (response.status_code, response.headers["Content-Type"], response.content)
    except requests.RequestException as err:
        seen = type(err)
    return seen, list(pauses)


QUICK = {"latency": {"seconds": 0.1}, "slow_body": {"piece": 4096, "pause": 0.01}}
# At the first page of three, hasMore is true anyway.
INVISIBLE_IN_MID_WALK = {"has_more_true"}


@pytest.mark.parametrize("name", faults_on("contacts"))
def test_a_fault_shows_in_the_answer_is_recorded_and_is_gone_afterwards(kore, call, pauses, name):
    good = observed(call, pauses)
    with kore.fault(name, **QUICK.get(name, {})) as fault:
        bad = observed(call, pauses)
        assert fault.fired == 1
        assert kore.page_requests[-1].fault == name
        assert kore.report()["faults"] == {name: 1}
    changes_the_list = name.startswith("list_")
    # An append or an update elsewhere shows in the list, not necessarily on this page.
    if name not in INVISIBLE_IN_MID_WALK | {"list_update"}:
        assert bad != good
    if not changes_the_list:
        assert observed(call, pauses) == good


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_is_described_in_one_sentence(name):
    doc = FAULTS[name].__doc__
    assert doc.strip().endswith(".")
    assert "\n\n" not in doc


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("bad_request", 400),
        ("unauthorized", 401),
        ("jwt_expired", 401),
        ("scope_incorrect", 401),
        ("forbidden", 403),
        ("not_found", 404),
        ("method_not_allowed", 405),
        ("invalid_arguments", 412),
        ("too_many_requests", 429),
        ("server_error", 500),
    ],
)
def test_a_refusal_carries_its_status_and_the_text_in_its_docstring(kore, call, refusal_of, name, status):
    with kore.fault(name):
        got, text = refusal_of(call.page())
    assert got == status
    assert name == "too_many_requests" or f'{status} "{text}"' in FAULTS[name].__doc__


@pytest.mark.parametrize(
    ("name", "status"), [("bad_gateway", 502), ("service_unavailable", 503), ("gateway_timeout", 504)]
)
def test_a_gateway_answers_in_html(kore, call, name, status):
    with kore.fault(name):
        response = call.page()
    assert (response.status_code, response.headers["Content-Type"]) == (status, "text/html")
    assert response.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("name", ["too_many_requests", "service_unavailable"])
def test_retry_after_is_a_parameter(kore, call, name):
    with kore.fault(name):
        assert "Retry-After" not in call.page().headers
    with kore.fault(name, retry_after="7"):
        assert call.page().headers["Retry-After"] == "7"


def test_resets_and_truncation_break_the_connection(kore, call):
    with kore.fault("reset_before_headers"), pytest.raises(requests.ConnectionError, match="reset by peer"):
        call.page()
    assert kore.requests[-1].status == 0
    with (
        kore.fault("reset_after_headers"),
        pytest.raises(requests.exceptions.ChunkedEncodingError, match="reset by peer"),
    ):
        call.page()
    with (
        kore.fault("truncated_body", missing=33),
        pytest.raises(requests.exceptions.ChunkedEncodingError, match="33 more expected"),
    ):
        call.page()


def test_a_slow_body_arrives_whole(kore, call):
    good = call.page().content
    with kore.fault("slow_body", piece=2_000, pause=0.01):
        assert call.page().content == good


def test_cut_json_agrees_with_its_length(kore, call):
    good = call.page().content
    with kore.fault("cut_json", missing=5):
        response = call.page()
    assert response.content == good[:-5]
    assert int(response.headers["Content-Length"]) == len(good) - 5


@pytest.mark.parametrize(("name", "body"), [("empty_body", b""), ("not_json", b"upstream connect error")])
def test_bodies_under_200_that_are_no_json(kore, call, name, body):
    with kore.fault(name):
        response = call.page()
    assert (response.status_code, response.content) == (200, body)


@pytest.mark.parametrize("word", ["error", "failure", "Error"])
def test_refusals_under_200_use_the_word_that_is_set(kore, call, word):
    with kore.fault("refusal_under_200", word=word):
        assert call.page().json() == {"status": word, "message": "Something went wrong"}
    kore.configure(failure_status=word)
    with kore.fault("rate_limit_under_200"):
        body = call.page().json()
    assert body["status"] == word
    assert body["message"].startswith("Rate limit for this API has been reached.")


def test_a_redirect_says_where_to(kore, call):
    with kore.fault("redirect", location="https://example.invalid/"):
        response = call.page()
    assert (response.status_code, response.headers["Location"]) == (302, "https://example.invalid/")


def results(response):
    return response.json()["data"]["results"]


def test_faults_of_pages(kore, call):
    good = results(call.page(skip=50))
    with kore.fault("missing_data"):
        assert "data" not in call.page(skip=50).json()
    with kore.fault("null_data"):
        assert call.page(skip=50).json()["data"] is None
    with kore.fault("contact_without_id"):
        assert ["_id" in contact for contact in results(call.page(skip=50))] == [False] + [True] * 49
    with kore.fault("duplicate_id"):
        assert results(call.page(skip=50)) == [*good[:-1], good[0]]
    with kore.fault("short_page", missing=3):
        assert results(call.page(skip=50)) == good[:-3]
    with kore.fault("empty_page"):
        body = call.page(skip=50).json()["data"]
    assert (body["results"], body["hasMore"], body["totalResults"]) == ([], True, 120)
    with kore.fault("repeated_page"):
        body = call.page(skip=50).json()["data"]
        assert results(call.page(skip=0)) == body["results"]
    assert body["skip"] == 50
    with kore.fault("wrong_skip_echo", error=-50):
        body = call.page(skip=50).json()["data"]
    assert (body["results"], body["skip"]) == (good, 0)
    with kore.fault("wrong_total", error=-7):
        assert call.page(skip=50).json()["data"]["totalResults"] == 113
    with kore.fault("has_more_false"):
        assert call.page(skip=50).json()["data"]["hasMore"] is False
    with kore.fault("has_more_true"):
        assert call.page(skip=100).json()["data"]["hasMore"] is True
    with kore.fault("changed_limit", limit=9):
        body = call.page(skip=100).json()["data"]
    assert (body["limit"], len(body["results"]), body["hasMore"]) == (9, 9, True)


@pytest.mark.parametrize("name", ["contact_without_id", "duplicate_id", "short_page", "list_update", "list_remove"])
def test_faults_of_contacts_spare_an_empty_list(kore, call, name):
    kore.add_list("cl-empty", contacts=0)
    with kore.fault(name):
        assert results(call.page("cl-empty")) == []


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("list_append", {"n": 2}, lambda old, new: new[:-2] == old),
        ("list_insert", {"n": 2}, lambda old, new: new[2:] == old),
        ("list_remove", {"n": 2, "index": 5}, lambda old, new: new == old[:5] + old[7:]),
        ("list_swap", {"n": 2}, lambda old, new: new[:-2] == old[2:] and len(new) == len(old)),
        ("list_replace", {}, lambda old, new: len(new) == len(old) and not set(new) & set(old)),
        ("list_update", {"index": 3}, lambda old, new: new == old),
    ],
)
def test_a_list_change_happens_once_just_before_the_page_it_is_set_to(kore, call, name, parameters, expected):
    old = list(kore.contact_ids("cl-1"))
    updated = call("contactList/cl-1").json()["data"]["updatedAt"]
    kore.add_fault(name, at_offset=60, **parameters)
    call.page(skip=0)
    assert list(kore.contact_ids("cl-1")) == old
    call.page(skip=50)
    new = list(kore.contact_ids("cl-1"))
    assert expected(old, new)
    call.page(skip=50)
    assert list(kore.contact_ids("cl-1")) == new
    assert call("contactList/cl-1").json()["data"]["updatedAt"] > updated


def test_list_update_changes_the_named_field(kore, call):
    with kore.fault("list_update", index=2, field="phoneNumber", value=None):
        contact = results(call.page())[2]
    assert contact["phoneNumber"] is None
    assert contact["updatedAt"] > contact["createdAt"]


def test_list_delete_makes_the_list_unknown(kore, call):
    kore.add_fault("list_delete", after_requests=1)
    assert [call.page().status_code for _ in range(3)] == [200, 404, 404]


# --- When they strike ------------------------------------------------------------------------------------------------


def test_a_fault_waits_for_its_request_and_stops_after_its_times(kore, call):
    kore.add_fault("server_error", after_requests=2, times=3)
    assert [call.page().status_code for _ in range(7)] == [200, 200, 500, 500, 500, 200, 200]


def test_a_fault_counts_only_requests_of_its_endpoint_and_list(kore, call):
    kore.add_list("cl-2", contacts=1)
    kore.add_fault("server_error", endpoint="contacts", list_id="cl-2", after_requests=1)
    assert call("contactList/cl-2").status_code == 200
    assert [call.page("cl-2").status_code, call.page("cl-1").status_code, call.page("cl-2").status_code] == [
        200,
        200,
        500,
    ]


def test_a_probability_follows_its_seed(kore, call):
    def pattern(seed):
        with kore.fault("server_error", probability=0.3, seed=seed):
            return [call.page(limit=1).status_code for _ in range(40)]

    first = pattern(7)
    assert set(first) == {200, 500}
    assert pattern(7) == first
    assert pattern(8) != first
    draw = random.Random(7)  # noqa: S311  # repeatable on purpose
    assert first == [500 if draw.random() < 0.3 else 200 for _ in range(40)]


def test_several_faults_strike_together(kore, call):
    kore.add_fault("short_page", missing=1)
    kore.add_fault("wrong_total", error=5)
    kore.add_fault("list_append", n=1)
    body = call.page(skip=0).json()["data"]
    assert (len(body["results"]), body["totalResults"]) == (49, 126)
    assert kore.requests[-1].fault == "short_page+wrong_total+list_append"


def test_clear_faults_takes_all_away(kore, call):
    kore.add_fault("server_error")
    kore.add_fault("latency")
    kore.clear_faults()
    assert kore.faults == []
    assert call.page().status_code == 200


@pytest.mark.parametrize("name", faults_on("campaigns"))
def test_a_fault_of_campaign_pages_shows_too(kore, call, name):
    for number in range(3):
        kore.add_campaign(f"cd-{number}")
    asked = {"type": "voice", "skip": 1, "limit": 1}

    def seen():
        try:
            response = call.post("getAllCampaignDetails", asked)
        except requests.RequestException as err:
            return type(err)
        return response.status_code, response.content

    good = seen()
    with kore.fault(name, endpoint="campaigns", **QUICK.get(name, {})):
        bad = seen()
    quiet = {"latency", "slow_body", "has_more_true", "changed_limit", "duplicate_id"}
    assert (bad != good) == (name not in quiet)


@pytest.mark.parametrize("name", faults_on("campaign_results"))
def test_a_fault_of_call_results_shows_too(kore, call, name):
    kore.add_campaign("cd-1", results=30)

    def seen():
        try:
            response = call.post("cd-1/status", {"page": 2, "limit": 10}, view="contacts")
        except requests.RequestException as err:
            return type(err)
        return response.status_code, response.content

    good = seen()
    with kore.fault(name, endpoint="campaign_results", **QUICK.get(name, {})):
        bad = seen()
    assert (bad != good) == (name not in {"latency", "slow_body"})


@pytest.mark.parametrize(
    ("name", "conditions", "sense"),
    [
        ("no_such_fault", {}, "there is no fault 'no_such_fault'; the faults are"),
        ("latency", {"second": 1}, "fault 'latency': .*second"),
        ("latency", {"seconds": "long"}, "seconds='long': use a value of type float"),
        ("list_append", {"n": True}, "n=True: use a value of type int"),
        ("latency", {"endpoint": "nowhere"}, "endpoint='nowhere': use one of contacts, list"),
        ("latency", {"probability": 2.0}, "probability=2.0: use a number from 0 to 1"),
        ("latency", {"times": "often"}, "times='often': use a value of type int | None"),
    ],
)
def test_a_misspelt_fault_says_what_is_wrong(kore, name, conditions, sense):
    with pytest.raises(ValueError, match=sense.replace("|", r"\|")):
        kore.add_fault(name, **conditions)


def test_the_report_holds_no_token_and_no_contact(kore, call):
    call.page()
    token = call.token()
    pushed = call.add_contacts(
        {"contact_list_name": "List cl-1", "data": [{"phoneNumber": "+4930123456"}]}, token=token
    )
    assert pushed.status_code == 200
    text = repr(kore.requests) + json.dumps(kore.report())
    assert token not in text
    assert kore.settings.client_secret not in text
    assert "+4930123456" not in text
    assert "cc-" not in text
