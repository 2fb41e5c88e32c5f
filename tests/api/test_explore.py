"""Exploring an environment: each setting of the simulator is found out again, and nothing wrong is ever said."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from clocks import ImpatientClock, StoppedClock
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.transport import HttpResponse, RequestsTransport
from airflow_provider_kore.exceptions import (
    ContractError,
    CredentialsError,
    MalformedResponseError,
    NotFoundError,
    RateLimitedError,
    UnreachableError,
)
from airflow_provider_kore.explore.report import as_json, as_text
from airflow_provider_kore.explore.run import LARGEST, LIMITS, MOST_REQUESTS, UNKNOWN_LIST, Findings, explore
from airflow_provider_kore.simulator.settings import Settings, with_changes

if TYPE_CHECKING:
    from airflow_provider_kore.api.transport import HttpRequest
    from airflow_provider_kore.simulator import Simulator

CONTACTS = 1_234
DEFAULTS = asdict(Settings(requests_per_minute=0))

VALUES: dict[str, list[Any]] = {
    "default_limit": [1, 2, 3, 20, 50, 100, 777],
    "max_limit": [1, 7, 50, 99, 500],
    "limit_handling": ["clamp", "honour", "ignore", "reject_400", "reject_412", "reject_any"],
    "skip_handling": ["honour", "ignore"],
    "ignored_skip_echo": ["served", "asked"],
    "envelope": ["nested", "top", "both"],
    "echo": [True, False],
    "total": ["list", "page", "missing", "wrong", "string", "capped"],
    "total_error": [1, -1, 17, -17],
    "total_cap": [1_000],
    "has_more": ["right", "missing", "always_true", "always_false", "string"],
    "sort": ["insertion", "newest_first", "id"],
    "ids": ["ascending", "random"],
    "updated_at_moves": [True, False],
    "catalogue_updated_at": ["list", "stale", "missing"],
    "record_count": ["by_source", "right", "zero", "missing"],
    "unknown_id": ["404", "400", "error_200", "empty_200"],
    "failure_status": ["error", "failure", "Error"],
    "error_key": ["msg", "message"],
    "limit_headers": ["none", "X-RateLimit", "RateLimit"],
}
"""Every setting that is learned, with all of its values, or a sample of numbers."""

NEEDS: dict[str, dict[str, Any]] = {
    "ignored_skip_echo": {"skip_handling": "ignore"},
    "total_error": {"total": "wrong"},
    "total_cap": {"total": "capped"},
    "failure_status": {"unknown_id": "error_200"},
    "sort": {"ids": "random"},
}
"""Settings that only say something together with another one."""


def fill(kore: Simulator, **changes: Any) -> None:
    """Put an environment with these settings in the place of the last, with contacts that are newer than their list."""
    kore.clear_faults()
    kore.configure(**(DEFAULTS | changes))
    kore.add_list("cl-main", contacts=CONTACTS - 3)
    kore.append("cl-main", 3)
    kore.add_list("cl-fed", contacts=10, source="passiveApi")
    kore.forget_requests()


def config_of(kore: Simulator) -> ApiConfig:
    told = kore.connection
    return ApiConfig.parse(host=told["host"], login=told["login"], password=told["password"], extra=told["extra"])


def explored(kore: Simulator, **options: Any) -> Findings:
    """Explore, and see at the other end that it cost what it says, and wrote nothing."""
    findings = explore(config_of(kore), clock=ImpatientClock(), **options)
    assert len(kore.requests) == findings.requests <= MOST_REQUESTS
    assert {each.endpoint for each in kore.requests} <= {"lists", "list", "contacts"}
    return findings


def expected(settings: Settings) -> dict[str, Any]:
    """Return what may be learned: a setting that makes no difference beside the others is not among it."""
    capped = settings.total == "capped" and settings.total_cap < CONTACTS
    rejects = settings.limit_handling.startswith("reject")
    own_time = settings.updated_at_moves or settings.catalogue_updated_at == "missing"
    matters = {
        "ignored_skip_echo": settings.skip_handling == "ignore" and settings.echo,
        "total_error": settings.total == "wrong",
        "total_cap": capped,
        "max_limit": settings.limit_handling in {"clamp", "reject_400", "reject_412"},
        "failure_status": settings.unknown_id == "error_200",
        "error_key": settings.unknown_id in {"404", "400"} or rejects,
        "catalogue_updated_at": own_time,  # or else it is the list's createdAt anyway
    }
    found = {name: getattr(settings, name) for name in VALUES if matters.get(name, True)}
    if settings.ids == "ascending" and settings.sort == "id":
        found["sort"] = "insertion"
    if settings.total == "capped" and not capped:
        found["total"] = "list"
    if rejects and "max_limit" in found:
        found["max_limit"] = max(limit for limit in (1, *LIMITS) if limit <= settings.max_limit)
    return found


def learned(findings: Findings) -> dict[str, object]:
    return {name: value for name, value in findings.settings.items() if name in VALUES}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALUES.items() for value in values])
def test_each_setting_is_found_out_again(name: str, value: object, shared_kore: Simulator) -> None:
    changes = NEEDS.get(name, {}) | {name: value}
    fill(shared_kore, **changes)
    findings = explored(shared_kore)
    told = learned(findings)
    wanted = expected(shared_kore.settings)
    if shared_kore.settings.skip_handling == "ignore":
        del wanted["has_more"]  # always true then, or right: its end cannot be reached
        del wanted["updated_at_moves"]  # nor the newest contacts
    if name == "sort" and value == "id":
        wanted["updated_at_moves"] = told.get("updated_at_moves", True)
        told.setdefault("updated_at_moves", True)  # where the newest contacts are is an accident
    assert told == wanted


@pytest.mark.parametrize("limit", [3, *LIMITS, 499, 501, LARGEST, 5_000])
@pytest.mark.parametrize("handling", ["reject_400", "clamp"])
def test_the_largest_limit_is_found(handling: str, limit: int, shared_kore: Simulator) -> None:
    fill(shared_kore, limit_handling=handling, max_limit=limit)
    told = explored(shared_kore).settings
    if limit >= LARGEST:
        assert (told["limit_handling"], "max_limit" in told) == ("honour", False)
    elif handling == "clamp":
        assert (told["limit_handling"], told["max_limit"]) == ("clamp", limit)
    else:
        assert told["limit_handling"] == handling
        assert told["max_limit"] == max(each for each in (1, *LIMITS) if each <= limit)


_WORLDS = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()})


@pytest.mark.slow
@examples(max_examples=80)
@given(changes=_WORLDS, contacts=st.sampled_from([0, 1, 2, 7, 49, 50, 51, 75, 120, 1_000, CONTACTS]))
def test_in_any_world_nothing_wrong_is_learned(changes: dict[str, Any], contacts: int, shared_kore: Simulator) -> None:
    fill(shared_kore, **changes)
    shared_kore.add_list("cl-main", contacts=contacts)
    shared_kore.forget_requests()
    settings = shared_kore.settings
    told = learned(explored(shared_kore, contact_list_id="cl-main"))
    for name, value in told.items():
        assert value == getattr(settings, name) or same(name, settings, told, contacts), (name, value)
    long = contacts > LARGEST or (settings.echo and contacts > 75)
    if long and settings.default_limit < contacts // 2 and settings.skip_handling == "honour":
        assert {"skip_handling", "limit_handling", "default_limit"} <= told.keys()


def same(name: str, settings: Settings, told: dict[str, object], contacts: int) -> bool:
    """Return whether a world with what was learned serves this list as the one that was explored does."""
    value = told[name]
    capped = min(contacts, settings.total_cap)
    totals = {
        "capped": value == "list" and capped == contacts,
        "wrong": value == "capped" and contacts + settings.total_error == told.get("total_cap"),
        "page": contacts <= 1,
        "list": contacts <= 1,
    }
    one_a_page = settings.default_limit == 1 and {value, settings.limit_handling} == {"clamp", "ignore"}
    return {
        "sort": settings.ids == "ascending" and (value, settings.sort) == ("insertion", "id"),
        "max_limit": value == expected(settings).get("max_limit") or value == settings.default_limit,
        "limit_handling": (value == "honour" and settings.max_limit >= LARGEST) or one_a_page,
        "total": totals.get(settings.total, False),
        "total_cap": settings.total == "wrong",
        "total_error": value == max(0, contacts + settings.total_error) - contacts,
        "has_more": contacts <= 1,
    }.get(name, False)


def test_a_list_that_tells_nothing_of_its_length_is_cut_to_the_largest_page(shared_kore: Simulator) -> None:
    fill(shared_kore, default_limit=1, max_limit=7, echo=False, total="missing", record_count="zero")
    told = explored(shared_kore, contact_list_id="cl-main").settings
    assert (told["limit_handling"], told["max_limit"]) == ("clamp", 7)


def test_what_it_prints_starts_a_simulator_that_behaves_so(shared_kore: Simulator) -> None:
    from airflow_provider_kore.simulator.__main__ import _parser, _simulator

    fill(shared_kore, limit_handling="reject_412", max_limit=100, total="page", echo=False, unknown_id="400")
    findings = explored(shared_kore)
    text = as_text(findings)
    block = text.partition("```shell\n")[2].partition("```")[0].replace("\\\n", " ")
    words = shlex.split(block)
    assert words[:3] == ["python", "-m", "airflow_provider_kore.simulator"]
    settings = _simulator(_parser().parse_args(words[3:])).settings
    assert settings == with_changes(Settings(), findings.settings)
    told = json.loads(as_json(findings))
    assert with_changes(Settings(), told["settings"]) == settings


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", range(1, MOST_REQUESTS + 1))
def test_it_never_asks_more_often_than_it_may(most: int, shared_kore: Simulator) -> None:
    fill(shared_kore, limit_handling="reject_400")
    findings = explored(shared_kore, most_requests=most)
    assert findings.requests <= most
    unlearned = [fact.seen for fact in findings.facts if not fact.learned]
    assert most > 7 or "no request was left" in unlearned
    assert (
        learned(findings).items()
        <= (expected(shared_kore.settings) | {"max_limit": learned(findings).get("max_limit")}).items()
    )


def test_it_keeps_to_the_allowance_of_the_connection(shared_kore: Simulator) -> None:
    fill(shared_kore, requests_per_minute=5)
    clock = StoppedClock(epoch=ImpatientClock().time())
    with pytest.raises(RateLimitedError):  # the server's minute is a real one, in which it has asked five times
        explore(config_of(shared_kore), clock=clock)
    assert sum(clock.slept) >= 60
    assert [each.refused for each in shared_kore.requests[:5]] == [""] * 5


def test_a_connection_that_allows_more_than_the_server_ends_at_the_first_refusal(shared_kore: Simulator) -> None:
    fill(shared_kore)
    config = config_of(shared_kore)
    shared_kore.configure(requests_per_minute=len(shared_kore.requests) + 3, minute_seconds=60.0)
    with shared_kore.fault("too_many_requests", after_requests=3), pytest.raises(RateLimitedError):
        explore(config, clock=ImpatientClock())
    assert len(shared_kore.requests) <= 4


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("not_json", MalformedResponseError),
        ("html_body", MalformedResponseError),
        ("empty_body", MalformedResponseError),
        ("cut_json", MalformedResponseError),
        ("truncated_body", MalformedResponseError),
        ("too_many_requests", RateLimitedError),
        ("rate_limit_under_200", RateLimitedError),
        ("reset_before_headers", UnreachableError),
        ("unauthorized", CredentialsError),
        ("missing_data", ContractError),
        ("null_data", ContractError),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 4])
def test_what_is_no_answer_ends_it_with_the_one_reason(
    after: int, fault: str, error: type[Exception], shared_kore: Simulator
) -> None:
    fill(shared_kore)
    if fault in {"missing_data", "null_data"} and after == 0:
        after = 1  # which strike pages only
    with shared_kore.fault(fault, after_requests=after), pytest.raises(error):
        explore(config_of(shared_kore), clock=ImpatientClock())
    assert len(shared_kore.requests) <= after + 2


def test_a_list_that_does_not_exist_is_named_without_its_id(shared_kore: Simulator) -> None:
    fill(shared_kore)
    with pytest.raises(NotFoundError) as caught:
        explore(config_of(shared_kore), contact_list_id="cl-private-name")
    assert "cl-private-name" not in str(caught.value)


# --- Privacy ----------------------------------------------------------------------------------------------------------


class _Replaces:
    """A real exchange whose refusals say what nobody may see."""

    def __init__(self, config: ApiConfig) -> None:
        self._real = RequestsTransport(config, ImpatientClock())

    def send(self, request: HttpRequest) -> HttpResponse:
        answer = self._real.send(request)
        headers = dict(answer.headers) | {"X-RateLimit-Key": "acme-secret", "X-RateLimit-Limit": "60"}
        body = answer.body
        if UNKNOWN_LIST in request.path:
            told = {"errors": [{"msg": "no list for acme-secret\x1b[2J", "acme-secret": 1}], "status": "acme-secret"}
            body = json.dumps(told).encode()
        return HttpResponse(status=answer.status, headers=headers, body=body)

    def close(self) -> None:
        self._real.close()


def test_nothing_of_a_contact_a_list_or_a_secret_is_shown(kore: Simulator) -> None:
    fill(kore)
    kore.add_list("cl-private-id", contacts=2_000, name="A private name", columns={"iban": "DE-private"})
    config = config_of(kore)
    findings = explore(config, transport=_Replaces(config), clock=ImpatientClock())
    for text in (as_text(findings), as_json(findings), repr(findings)):
        for contact in islice(kore.contacts("cl-private-id"), 60):
            texts = [value for value in contact.values() if isinstance(value, str) and len(value) > 4]
            assert not [value for value in texts if value in text]
        for private in ("private", "acme-secret", "\x1b", "cc-", "cl-", config.client_secret, config.account_id):
            assert private not in text
        assert "X-RateLimit-Limit: 60" in text
        assert "(not shown)" in text


class _Odd(_Replaces):
    """A real exchange whose numbers, texts and flags are all replaced by one value."""

    def __init__(self, config: ApiConfig, value: object) -> None:
        super().__init__(config)
        self._value = value

    def send(self, request: HttpRequest) -> HttpResponse:
        answer = self._real.send(request)
        body = json.dumps(self._odd(json.loads(answer.body))).encode()
        return HttpResponse(status=answer.status, headers=answer.headers, body=body)

    def _odd(self, told: Any, key: str = "") -> Any:
        if isinstance(told, dict):
            return {name: self._odd(each, name) for name, each in told.items()}
        if isinstance(told, list):
            return [self._odd(each) for each in told]
        return told if key == "_id" or told == "success" else self._value


class _Counts(_Odd):
    """A real exchange in which all counts of contacts are wrong by as much."""

    _value: int

    def _odd(self, told: Any, key: str = "") -> Any:
        if isinstance(told, int) and key in {"totalResults", "totalRecordCount"}:
            return told + self._value
        return told if not isinstance(told, dict | list) else super()._odd(told, key)


def test_counts_that_agree_and_are_both_wrong_are_not_believed(shared_kore: Simulator) -> None:
    fill(shared_kore)
    config = config_of(shared_kore)
    told = explore(config, transport=_Counts(config, 100), clock=ImpatientClock()).settings
    assert not {"total", "record_count"} & set(told)


@pytest.mark.parametrize(
    "value", [None, [], [[]], {}, {"a": []}, -1, 1.5, 10**400, True, "x" * 300, "9" * 5_000, "\ud800"]
)
def test_values_of_any_type_end_in_facts(value: object, shared_kore: Simulator) -> None:
    fill(shared_kore)
    config = config_of(shared_kore)
    findings = explore(config, transport=_Odd(config, value), clock=ImpatientClock())
    as_text(findings).encode()
    assert with_changes(Settings(), findings.settings)


# --- Which list -------------------------------------------------------------------------------------------------------


def test_it_chooses_the_shortest_list_that_is_longer_than_the_largest_page(kore: Simulator) -> None:
    fill(kore)
    kore.add_list("cl-huge", contacts=100_000)
    kore.add_list("cl-small", contacts=60)
    explored(kore)
    assert {each.path.split("/")[-2] for each in kore.page_requests} == {"cl-main"}


def test_it_looks_at_a_second_list_where_the_first_has_one_page_only(kore: Simulator) -> None:
    fill(kore)
    kore.remove_list("cl-main")
    kore.remove_list("cl-fed")
    kore.add_list("cl-one", contacts=3, source="passiveApi")
    kore.add_list("cl-two", contacts=130, source="passiveApi")
    findings = explored(kore)
    assert (findings.place, findings.lists) == (2, 2)
    assert findings.settings["total"] == "list"


def test_without_any_list_it_says_so(kore: Simulator) -> None:
    fill(kore)
    kore.remove_list("cl-main")
    kore.remove_list("cl-fed")
    findings = explored(kore)
    assert "not learned: the application has no contact list" in as_text(findings)
    assert findings.settings["unknown_id"] == "404"


def test_the_time_of_a_page_is_what_the_server_takes_at_least(shared_kore: Simulator) -> None:
    fill(shared_kore, latency=0.02)
    latency = explore(config_of(shared_kore), most_requests=3).settings["latency"]
    assert isinstance(latency, float)
    assert 0.02 <= latency < 30
