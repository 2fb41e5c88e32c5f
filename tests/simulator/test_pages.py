"""Pages: what is asked, what is served, what is echoed, under each setting."""

from __future__ import annotations

import pytest

INVALID = "Validation errors/ Invalid arguments"


def facts(response):
    return {name: value for name, value in response.json()["data"].items() if name != "results"}


def ids(response):
    return [contact["_id"] for contact in response.json()["data"]["results"]]


def test_a_full_walk_finds_every_contact_once_in_order(kore, call):
    assert [contact["_id"] for contact in call.walk(limit=50)] == list(kore.contact_ids("cl-1"))


def test_without_skip_and_limit_the_first_fifty_come(call):
    assert facts(call.page()) | {"totalPages": 3} == {
        "skip": 0,
        "limit": 50,
        "hasMore": True,
        "totalPages": 3,
        "totalResults": 120,
    }


@pytest.mark.parametrize("skip", [120, 121, 10**9])
def test_behind_the_end_there_is_an_empty_page(call, skip):
    response = call.page(skip=skip)
    assert ids(response) == []
    assert facts(response)["hasMore"] is False


@pytest.mark.parametrize("query", [{"skip": -1}, {"skip": "x"}, {"limit": 0}, {"limit": -5}, {"limit": "1.5"}])
def test_a_paging_number_that_is_none_is_refused(call, refusal_of, query):
    assert refusal_of(call.page(**query)) == (412, INVALID)


@pytest.mark.parametrize(
    ("handling", "asked", "served"),
    [
        ("clamp", 80, 50),
        ("clamp", 20, 20),
        ("honour", 80, 80),
        ("ignore", 80, 30),
        ("ignore", 10, 30),
        ("reject_400", 80, 400),
        ("reject_400", 50, 50),
        ("reject_412", 51, 412),
        ("reject_any", 10, 400),
        ("reject_any", None, 30),
    ],
)
def test_limit_handling(kore, call, refusal_of, *, handling, asked, served):
    kore.configure(limit_handling=handling, max_limit=50, default_limit=30)
    response = call.page(limit=asked)
    if served >= 400:
        assert refusal_of(response) == (served, INVALID)
    else:
        assert len(ids(response)) == facts(response)["limit"] == served


def test_the_limit_can_change_in_mid_walk(kore, call):
    kore.configure(changed_limit=7, changed_limit_from=100)
    assert facts(call.page(skip=50))["limit"] == 50
    response = call.page(skip=100)
    assert len(ids(response)) == facts(response)["limit"] == 7
    assert facts(response)["hasMore"] is True
    assert len(call.walk()) == 120


@pytest.mark.parametrize(("echo", "told"), [("served", 0), ("asked", 50)])
def test_an_ignored_skip_serves_the_first_page_again(kore, call, echo, told):
    kore.configure(skip_handling="ignore", ignored_skip_echo=echo)
    response = call.page(skip=50)
    assert ids(response) == ids(call.page(skip=0))
    assert (facts(response)["skip"], facts(response)["hasMore"]) == (told, True)


def test_envelope_top_moves_the_paging_fields_beside_data(kore, call):
    kore.configure(envelope="top")
    body = call.page(skip=50).json()
    assert list(body["data"]) == ["results"]
    assert (body["skip"], body["limit"], body["hasMore"], body["totalResults"]) == (50, 50, True, 120)


def test_envelope_both_tells_them_twice(kore, call):
    kore.configure(envelope="both")
    body = call.page(skip=50).json()
    assert body["skip"] == body["data"]["skip"] == 50


def test_without_echo_nothing_says_which_page_it_is(kore, call):
    kore.configure(echo=False)
    assert facts(call.page(skip=50)).keys() == {"hasMore", "totalPages", "totalResults"}


@pytest.mark.parametrize(
    ("settings", "total", "pages"),
    [
        ({"total": "list"}, 120, 3),
        ({"total": "page"}, 20, 3),
        ({"total": "wrong", "total_error": -30}, 90, 2),
        ({"total": "wrong", "total_error": -500}, 0, 0),
        ({"total": "string"}, "120", "3"),
        ({"total": "capped", "total_cap": 100}, 100, 2),
    ],
)
def test_totals(kore, call, settings, total, pages):
    kore.configure(**settings)
    told = facts(call.page(skip=100))
    assert (told["totalResults"], told["totalPages"]) == (total, pages)


def test_missing_totals(kore, call):
    kore.configure(total="missing")
    assert facts(call.page()).keys() == {"skip", "limit", "hasMore"}


@pytest.mark.parametrize(
    ("has_more", "first", "last"),
    [
        ("right", True, False),
        ("always_true", True, True),
        ("always_false", False, False),
        ("string", "true", "false"),
        ("missing", None, None),
    ],
)
def test_has_more(kore, call, has_more, first, last):
    kore.configure(has_more=has_more)
    assert facts(call.page()).get("hasMore") == first
    assert facts(call.page(skip=100)).get("hasMore") == last


def test_newest_first_turns_the_list_around(kore, call):
    ascending = list(kore.contact_ids("cl-1"))
    kore.configure(sort="newest_first")
    assert [contact["_id"] for contact in call.walk()] == ascending[::-1] == list(kore.contact_ids("cl-1"))


def test_sorting_by_id_puts_random_ids_in_order(kore, call):
    kore.configure(ids="random", sort="id")
    kore.add_list("cl-2", contacts=120)
    found = [contact["_id"] for contact in call.walk("cl-2")]
    assert found == sorted(found)
    kore.append("cl-2", 3)
    found = [contact["_id"] for contact in call.walk("cl-2")]
    assert found == sorted(found)
    assert len(set(found)) == 123


def test_page_numbers_work_in_the_place_of_skip(call):
    assert ids(call.page(page=2, limit=10)) == ids(call.page(skip=10, limit=10))


@pytest.mark.parametrize(("setting", "status"), [("404", 404), ("400", 400)])
def test_an_unknown_list_is_refused_as_set(kore, call, refusal_of, setting, status):
    kore.configure(unknown_id=setting)
    assert refusal_of(call.page("cl-none")) == (status, "Contact list not found")
    assert refusal_of(call("contactList/cl-none")) == (status, "Contact list not found")
    assert refusal_of(call.post("cd-none/status", view="status")) == (status, "Campaign not found")
    assert refusal_of(call.post("cd-none/status", view="contacts")) == (status, "Campaign not found")
    assert refusal_of(call("cd-none")) == (status, "Campaign not found")
    pushed = call.add_contacts({"contact_list_name": "None", "data": [{"phoneNumber": "77"}]})
    assert refusal_of(pushed) == (status, "Contact list not found")


@pytest.mark.parametrize("word", ["error", "failure", "Error"])
def test_an_unknown_list_can_be_told_under_200(kore, call, word):
    kore.configure(unknown_id="error_200", failure_status=word)
    response = call.page("cl-none")
    assert response.status_code == 200
    assert response.json() == {"status": word, "message": "Contact list not found"}


def test_an_unknown_list_can_look_empty(kore, call):
    kore.configure(unknown_id="empty_200")
    assert call.page("cl-none").json()["data"]["results"] == []
    assert call("contactList/cl-none").json()["data"] is None


def test_the_error_key_is_a_setting(kore, call, refusal_of):
    kore.configure(error_key="message")
    assert refusal_of(call.page("cl-none"), key="message")[0] == 404


def test_a_wrong_account_can_be_an_argument_error(kore, call, refusal_of):
    kore.configure(wrong_account="invalid_arguments")
    assert refusal_of(call.page(accountId="other")) == (412, INVALID)


def test_the_content_type_can_be_optional(kore, call):
    kore.configure(require_content_type=False)
    assert call.page(headers={"Content-Type": None}).status_code == 200
