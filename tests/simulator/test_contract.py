"""The vendor's contract, point by point: endpoints, headers, tokens, refusals."""

from __future__ import annotations

import pytest

CREDENTIALS = (401, "Invalid SDK credentials")
MALFORMED = (401, "Invalid JWT token")


def test_a_page_of_contacts_has_the_documented_shape(call):
    body = call.page(skip=100, limit=50).json()
    assert list(body) == ["status", "message", "data"]
    assert body["status"] == "success"
    assert body["message"] == "Contacts retrieved successfully"
    facts = {name: value for name, value in body["data"].items() if name != "results"}
    assert facts == {"skip": 100, "limit": 50, "hasMore": False, "totalPages": 3, "totalResults": 120}
    assert len(body["data"]["results"]) == 20


def test_a_contact_has_the_documented_fields_and_the_first_one_the_samples_time(call):
    contact = call.page().json()["data"]["results"][0]
    assert contact["_id"].startswith("cc-")
    assert contact["createdAt"] == contact["updatedAt"] == "2025-12-09T04:28:44.832Z"
    assert contact["phoneNumber"] == "+15550000000"
    assert {"firstName", "lastName", "timeZone", "uniqueId", "contactPriority"} <= contact.keys()


def test_another_method_is_refused_in_the_vendors_words(call, refusal_of):
    answer = call("contactList/cl-1/getAllContacts", method="POST", json={})
    assert refusal_of(answer) == (405, "Method Not Allowed")


def test_the_catalogue_shows_every_list_with_the_documented_fields(kore, call):
    kore.add_list("cl-2", contacts=7, name="Fed over the API", source="passiveApi", allowDuplicates=True)
    first, second = call.post("contactList/getAllListDetails", type="call").json()["data"]
    assert first.keys() == {
        *("_id", "name", "description", "totalRecordCount", "status", "mapping", "isListInUse", "listType"),
        *("campaignInUse", "source", "apiConfigurations", "columns", "files", "updatedAt"),
    }
    assert (first["_id"], first["totalRecordCount"]) == ("cl-1", 120)
    assert (second["name"], second["totalRecordCount"]) == ("Fed over the API", 0)


def test_one_list_shows_more_than_its_catalogue_entry(call):
    details = call("contactList/cl-1").json()["data"]
    assert {"isActive", "createdBy", "updatedBy", "createdAt", "allowDuplicates", "isGlobalDNC", "isDefault"} <= set(
        details
    )
    assert details["updatedAt"] == "2025-12-09T04:28:44.832Z"


def test_campaigns_are_filtered_sorted_and_paged(kore, call):
    for number, status in enumerate(["Active", "Paused", "Active", "Completed"]):
        kore.add_campaign(f"cd-{number}", status=status, name=f"n{number}")
    kore.add_campaign("cd-sms", type="sms")
    asked = {"type": "voice", "filters": {"status": ["Active"]}, "sortBy": {"name": "desc"}, "limit": 1}
    first = call.post("getAllCampaignDetails", {**asked, "page": 1}).json()["data"]
    second = call.post("getAllCampaignDetails", {**asked, "skip": 1}).json()["data"]
    assert [first["results"][0]["_id"], second["results"][0]["_id"]] == ["cd-2", "cd-0"]
    assert (first["hasMore"], second["hasMore"], first["totalResults"]) == (True, False, 2)


def test_voice_campaigns_carry_underscore_id_and_sms_campaigns_id(kore, call):
    kore.add_campaign("cd-v")
    kore.add_campaign("cd-s", type="sms")
    (voice,) = call.post("getAllCampaignDetails", {"type": "voice"}).json()["data"]["results"]
    (sms,) = call.post("getAllCampaignDetails", {"type": "sms"}).json()["data"]["results"]
    assert voice["_id"] == "cd-v"
    assert "id" not in voice
    assert sms["id"] == "cd-s"
    assert "_id" not in sms


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "fax"},
        {"type": "voice", "sortBy": {"priority": "asc"}},
        {"type": "voice", "sortBy": []},
        {"type": "voice", "sortBy": "name"},
        {"type": "voice", "filters": {"status": "Active"}},
        {"type": "voice", "filters": {"priority": ["1"]}},
        {"type": "voice", "filters": {"dialing_mode": ["Preview"]}},
        {"type": "voice", "startDate": "yesterday"},
        {"type": "voice", "startDate": "2025-12-09"},
        {"type": "voice", "endDate": "2025-12-09T00:00:00Z"},
        {"type": "voice", "endDate": "2025-02-30T00:00:00.000Z"},
        {"type": "voice", "offset": 0},
        {"type": "voice", "limit": "10"},
        {"type": "voice", "limit": 0},
        {"type": "voice", "page": 0},
    ],
)
def test_a_campaign_query_that_means_nothing_is_refused(call, refusal_of, body):
    response = call.post("getAllCampaignDetails", body)
    if body.get("sortBy") == []:  # an empty value is none
        assert response.status_code == 200
    else:
        assert refusal_of(response) == (412, "Validation errors/ Invalid arguments")


def test_campaigns_are_found_by_their_day(kore, call):
    kore.add_campaign("cd-1")  # created on 2025-12-09
    for dates, found in [
        ({"startDate": "2025-12-09T00:00:00.000Z", "endDate": "2025-12-09T23:59:59.999Z"}, 1),
        ({"startDate": "2025-12-10T00:00:00.000Z", "endDate": ""}, 0),
        ({"endDate": "2025-12-08T00:00:00.000Z"}, 0),
    ]:
        answer = call.post("getAllCampaignDetails", {"type": "voice", **dates})
        assert answer.json()["data"]["totalResults"] == found


def test_a_campaigns_status_follows_the_campaign(kore, call):
    kore.add_campaign("cd-1", name="Autumn")
    kore.set_campaign_status("cd-1", "Completed")
    answer = call.post("cd-1/status", view="status").json()["data"]
    assert answer == {"id": "cd-1", "status": "Completed", "name": "Autumn"}


def test_call_results_are_paged_from_one_without_has_more(kore, call):
    kore.add_campaign("cd-1", results=123)
    data = call.post("cd-1/status", {"page": 2, "limit": 100}, view="contacts").json()["data"]
    assert len(data.pop("results")) == 23
    assert data == {"page": 2, "limit": 100, "totalPages": 2, "totalResults": 123}


def test_call_results_can_be_given(kore, call):
    kore.add_campaign("cd-1", results=[{"phoneNumber": "1", "dialerOutcome": "Busy"}])
    data = call.post("cd-1/status", view="contacts").json()["data"]
    assert data["results"] == [{"phoneNumber": "1", "dialerOutcome": "Busy"}]


@pytest.mark.parametrize(
    "body",
    [{"limit": 101}, {"limit": 0}, {"page": 0}, {"limit": "many"}, {"limit": "10"}, {"page": ""}, {"limit": True}],
)
def test_call_results_refuse_a_limit_outside_1_to_100(kore, call, refusal_of, body):
    kore.add_campaign("cd-1", results=123)
    response = call.post("cd-1/status", body, view="contacts")
    assert refusal_of(response) == (412, "Validation errors/ Invalid arguments")


# --- Headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"auth": None}, CREDENTIALS),
        ({"auth": "Bearer x.y.z"}, MALFORMED),
        ({"auth": "nonsense"}, MALFORMED),
        ({"iid": None}, CREDENTIALS),
        ({"iid": "st-other"}, CREDENTIALS),
        ({"accountId": None}, CREDENTIALS),
        ({"accountId": "other"}, CREDENTIALS),
        ({"Content-Type": None}, (412, "Validation errors/ Invalid arguments")),
        ({"Content-Type": "text/plain"}, (412, "Validation errors/ Invalid arguments")),
    ],
)
def test_a_missing_or_wrong_header_is_refused(call, refusal_of, headers, expected):
    assert refusal_of(call.page(headers=headers)) == expected


def test_the_account_is_wanted_in_the_query_where_each_sample_has_it(kore, call, refusal_of):
    v1 = "agentassist/api/v1/public"
    for base in ("campaign/api/v2/public", v1):
        assert refusal_of(call.page(base=base, accountId=None)) == CREDENTIALS
        assert refusal_of(call.page(base=base, accountId="other")) == CREDENTIALS
    assert call("contactList/cl-1", base=v1).status_code == 200
    assert refusal_of(call("contactList/cl-1", base=v1, accountId="other")) == CREDENTIALS
    kore.configure(account_in_query="required")
    assert refusal_of(call("contactList/cl-1", base=v1)) == CREDENTIALS
    kore.configure(account_in_query="refused")
    assert refusal_of(call("contactList/cl-1", base=v1, accountId=kore.settings.account_id))[0] == 412


@pytest.mark.parametrize(
    ("setting", "refused"), [("optional", []), ("required", [{"createdAt": "asc"}]), ("refused", [{"name": "asc"}])]
)
def test_name_in_sort_by_is_a_setting(kore, call, setting, refused):
    kore.configure(sort_by_name=setting)
    for sort_by in ({}, {"name": "asc"}, {"createdAt": "asc"}):
        answer = call.post("getAllCampaignDetails", {"type": "voice", "sortBy": sort_by})
        assert answer.status_code == (412 if sort_by in refused else 200)


def test_name_counts_first_where_that_is_set(kore, call):
    for name, created in (("a", "2026-01-02"), ("b", "2026-01-01")):
        kore.add_campaign(f"cd-{name}", name=name, createdAt=f"{created}T00:00:00.000Z")
    asked = {"type": "voice", "sortBy": {"createdAt": "asc", "name": "asc"}}
    for order, first in (("as_asked", "cd-b"), ("name_first", "cd-a")):
        kore.configure(sort_by_order=order)
        assert call.post("getAllCampaignDetails", asked).json()["data"]["results"][0]["_id"] == first


def test_a_campaign_that_starts_again_has_lost_its_results(kore, call):
    kore.add_campaign("cd-1", status="Stopped", results=5)
    (before,) = call.post("getAllCampaignDetails", {"type": "voice"}).json()["data"]["results"]
    kore.restart_campaign("cd-1", results=2)
    (after,) = call.post("getAllCampaignDetails", {"type": "voice"}).json()["data"]["results"]
    assert after["campaignInstanceUpdatedAt"] > before["campaignInstanceUpdatedAt"]
    assert (after["status"], len(kore.campaign_results("cd-1"))) == ("Active", 2)
    assert "campaignInstanceUpdatedAt" not in call("cd-1").json()["data"]
    kore.configure(campaign_instance="both")
    assert call("cd-1").json()["data"]["campaignInstanceUpdatedAt"] == after["campaignInstanceUpdatedAt"]
    kore.configure(campaign_instance="missing")
    (told,) = call.post("getAllCampaignDetails", {"type": "voice"}).json()["data"]["results"]
    assert "campaignInstanceUpdatedAt" not in told


def test_a_status_that_moves_may_move_the_instance(kore, call):
    kore.configure(campaign_instance_moves="status", campaign_instance="both")
    kore.add_campaign("cd-1")
    before = call("cd-1").json()["data"]["campaignInstanceUpdatedAt"]
    kore.set_campaign_status("cd-1", "Completed")
    assert call("cd-1").json()["data"]["campaignInstanceUpdatedAt"] > before


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"limit": "101"}, {}),
        ({"offset": "11"}, {}),
        ({}, {"startDate": "2026-02-16T00:00:00Z"}),
        ({}, {"endDate": None}),
        ({}, {"endDate": "2026-02-24"}),
        ({}, {"endDate": "2026-02-15 07:20:15"}),
        ({}, {"endDate": "2026-02-30"}),
        ({}, {"direction": "Sideways"}),
    ],
)
def test_interaction_details_keep_their_bounds(kore, call, query, body):
    asked = {"startDate": "2026-02-16", "endDate": "2026-02-17", **body}
    url = f"{kore.url}/agentassist/api/public/analytics/account/{kore.settings.account_id}/v2/interactionDetails"
    headers = {"auth": call.token(), "iId": kore.settings.stream_id, "accountId": kore.settings.account_id}
    assert call.session.post(url, params=query, json=asked, headers=headers, timeout=30).status_code == 412
    other = url.replace(kore.settings.account_id, "another")
    assert call.session.post(other, json=asked, headers=headers, timeout=30).status_code == 401


def test_a_good_token_on_a_wrong_stream_is_told_as_wrong_credentials(call, refusal_of):
    assert refusal_of(call.page(stream="st-another", headers={"iid": "st-another"})) == CREDENTIALS
    assert refusal_of(call.page(stream="bot-1")) == (400, "Invalid StreamId")


@pytest.mark.parametrize(
    "path",
    ["contactList", "contactList/cl-1/export", "nothing/at/all", "campaign/cd-1", "contactList/cl-1/addContacts"],
)
def test_a_path_that_is_not_documented_is_not_found(call, refusal_of, path):
    assert refusal_of(call(path)) == (404, "Not Found")


def test_an_id_with_a_slash_is_one_segment(kore, call):
    kore.add_list("cl/odd id", contacts=1)
    assert call.page("cl%2Fodd%20id").json()["data"]["totalResults"] == 1


def test_a_body_that_is_no_json_object_is_refused(call, refusal_of):
    assert refusal_of(call.post("getAllCampaignDetails", [1])) == (412, "Validation errors/ Invalid arguments")


def test_the_catalogue_wants_its_type(call, refusal_of):
    assert refusal_of(call.post("contactList/getAllListDetails"))[0] == 412


# --- Tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "RS512"])
def test_the_connection_holds_a_key_that_signs_for_the_apps_algorithm(kore, call, caller_of, refusal_of, algorithm):
    kore.configure(jwt_algorithm=algorithm)
    caller = caller_of(kore)
    assert caller.page().status_code == 200
    other = {"HS256": "HS512", "HS512": "HS256", "RS256": "RS512", "RS512": "RS256"}[algorithm]
    assert refusal_of(caller.page(token=caller.token(algorithm=other))) == CREDENTIALS


def test_an_uploaded_public_key_checks_the_users_private_key(kore, call, refusal_of):
    from airflow_provider_kore.simulator.tokens import make_key_pair

    private, public = make_key_pair()
    kore.configure(jwt_algorithm="RS256", public_key=public)
    assert call.page(token=call.token(algorithm="RS256", key=private)).status_code == 200
    stranger, _ = make_key_pair()
    assert refusal_of(call.page(token=call.token(algorithm="RS256", key=stranger))) == CREDENTIALS


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"sub": None}, CREDENTIALS),
        ({"sub": ""}, CREDENTIALS),
        ({"appId": None}, CREDENTIALS),
        ({"appId": "cs-other"}, CREDENTIALS),
        ({"appid": "cs-simulated-client", "appId": None}, CREDENTIALS),
        ({"exp": 1}, (401, "jwt expired")),
        ({"exp": "soon"}, MALFORMED),
        ({"exp": True}, MALFORMED),
        ({"iat": 9_999_999_999}, MALFORMED),
        ({"nbf": 9_999_999_999}, MALFORMED),
    ],
)
def test_a_token_with_wrong_claims_is_refused(call, refusal_of, claims, expected):
    assert refusal_of(call.page(token=call.token(**claims))) == expected


def test_a_damaged_token_and_a_wrong_secret_are_told_the_same_way(call, refusal_of):
    head, payload, signature = call.token().split(".")
    flipped = "A" if signature[5] != "A" else "B"
    assert refusal_of(call.page(token=f"{head}.{payload}.{signature[:5]}{flipped}{signature[6:]}")) == CREDENTIALS
    assert refusal_of(call.page(token=f"{head}.!!!.{signature}")) == CREDENTIALS
    assert refusal_of(call.page(token=call.token(key="x" * 64))) == CREDENTIALS


def test_a_token_that_was_good_before_the_secret_changed_is_refused(kore, call, refusal_of):
    token = call.token()
    assert call.page(token=token).status_code == 200
    kore.configure(client_secret="y" * 64)
    assert refusal_of(call.page(token=token)) == CREDENTIALS


def test_enforced_jti_wants_one_and_takes_each_only_once(kore, call, refusal_of):
    kore.configure(enforce_jti=True)
    assert refusal_of(call.page()) == MALFORMED
    token = call.token(jti="once")
    assert call.page(token=token).status_code == 200
    assert refusal_of(call.page(token=token)) == MALFORMED
    assert call.page(token=call.token(jti="twice")).status_code == 200


def test_a_jti_is_used_up_even_by_a_request_that_failed(kore, call, refusal_of):
    kore.configure(enforce_jti=True)
    token = call.token(jti="once")
    with kore.fault("server_error"):
        assert call.page(token=token).status_code == 500
    assert refusal_of(call.page(token=token)) == MALFORMED


def test_a_jti_may_repeat_where_it_is_not_enforced(call):
    token = call.token(jti="any")
    assert [call.page(token=token).status_code for _ in range(2)] == [200, 200]


def test_enforced_jwe_and_encrypted_tokens_are_refused(kore, call, refusal_of):
    assert refusal_of(call.page(token="a.b.c.d.e")) == MALFORMED
    kore.configure(enforce_jwe=True)
    assert refusal_of(call.page()) == MALFORMED


def test_a_missing_scope_is_a_401(kore, call, refusal_of):
    kore.configure(scope_granted=False)
    assert refusal_of(call.page()) == (401, "Permission denied. Scope is incorrect!")


def test_an_app_of_another_account_cannot_use_this_one(kore, call, caller_of, refusal_of):
    app = kore.add_app(client_id="cs-other", account_id="other-account", stream_id="st-other")
    caller = caller_of(kore, kore.connection_for(app))
    assert caller.page().status_code == 200
    assert refusal_of(caller.page(stream=kore.settings.stream_id)) == CREDENTIALS
    assert refusal_of(caller.page(accountId=kore.settings.account_id)) == CREDENTIALS
