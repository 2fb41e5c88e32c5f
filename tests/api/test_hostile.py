"""Whatever the server does, over real HTTP: the right snapshot, or a clear error and nothing published.

Parametrised over the simulator's own lists of faults and settings, so that a new one is tested by existing.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from landing import SENSITIVE, Landing, assert_clear

from airflow_provider_kore.exceptions import FatalError, KoreError, NotFoundError, RetryableError
from airflow_provider_kore.simulator import FAULTS, Settings

if TYPE_CHECKING:
    from airflow_provider_kore.simulator import Simulator

pytestmark = pytest.mark.exhaustive

CONTACTS = 120
PAGES = {"first": 0, "middle": 1, "last": 2}
QUICK: dict[str, dict[str, Any]] = {
    "latency": {"seconds": 0.02},
    "slow_body": {"piece": 4096, "pause": 0.002},
}
"""Parameters where the defaults would take a person's time."""

SURVIVED_ONCE = {
    "latency", "slow_body", "reset_before_headers", "reset_after_headers", "truncated_body", "cut_json", "empty_body",
    "html_body", "not_json", "too_many_requests", "server_error", "bad_gateway", "service_unavailable",
    "gateway_timeout", "refusal_under_200", "rate_limit_under_200", "duplicate_id", "repeated_page", "short_page",
    "empty_page", "wrong_skip_echo", "has_more_false", "has_more_true", "changed_limit",
}  # fmt: skip
"""Faults that a walk gets over if they happen once, wherever it is."""

SURVIVED_IN_MID_WALK = {"unauthorized", "jwt_expired"}
"""Faults that it gets over once the server has accepted its token."""

ALLOWED_REQUESTS = 90
"""Of one snapshot of three pages, whatever goes wrong; three walks of six tries each are the worst."""

ALLOWED_WHERE_IT_GROWS = 300
"""Where the list grows at every single request: its end is looked at 20 times in each of three walks."""


@pytest.fixture
def kore(shared_kore: Simulator) -> Simulator:
    """The module's environment as it was in the beginning, with one list."""
    shared_kore.clear_faults()
    _reset(shared_kore)
    return shared_kore


def _reset(kore: Simulator) -> None:
    defaults = {setting.name: setting.default for setting in fields(Settings)}
    kore.configure(**{**defaults, "requests_per_minute": 0})
    kore.add_list("cl-1", contacts=CONTACTS)
    kore.forget_requests()


def outcome(landing: Landing, **parameters: Any) -> KoreError | None:
    """Take a snapshot; return the error, None if the right thing landed. Anything else fails the test."""
    kore = landing.kore
    versions = [list(kore.contacts(landing.list_id))] if landing.list_id in list_ids(kore) else []
    try:
        manifest = landing.take(**parameters)
    except KoreError as err:
        assert_clear(err)
        assert landing.published == {}
        result: KoreError | None = err
    else:
        versions.append(list(kore.contacts(landing.list_id)))
        assert landing.rows in versions
        assert manifest.rows == len(landing.rows)
        result = None
    grows = any(fault.name == "list_append" for fault in kore.faults)
    assert len(kore.requests) <= (ALLOWED_WHERE_IT_GROWS if grows else ALLOWED_REQUESTS)
    return result


def list_ids(kore: Simulator) -> set[str]:
    with kore.lock:
        return set(kore.lists)


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_in_the_pages(
    kore: Simulator, name: str, page: str, times: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "airflow_provider_kore")
    landing = Landing(kore)
    forever = 1_000_000 if name.startswith("list_") and times is None else times
    kore.add_fault(name, endpoint="contacts", after_requests=PAGES[page], times=forever, **QUICK.get(name, {}))
    error = outcome(landing, durable=True)
    if times == 1 and (name in SURVIVED_ONCE or (name in SURVIVED_IN_MID_WALK and page != "first")):
        assert error is None
    if times is None and name in {"unauthorized", "not_found", "forbidden", "scope_incorrect", "bad_request"}:
        assert isinstance(error, FatalError)
    assert not SENSITIVE.search(caplog.text)
    if error is not None:  # the next try lands all of it, once the fault is gone
        kore.clear_faults()
        if landing.list_id not in list_ids(kore):
            kore.add_list(landing.list_id, contacts=CONTACTS)
        kore.forget_requests()
        assert outcome(landing, durable=True) is None
        assert landing.store.bodies("lake/_staging/") == {}


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("call", [0, 1], ids=["before", "after"])
@pytest.mark.parametrize("name", sorted(name for name, fault in FAULTS.items() if fault.endpoints is None))
def test_a_fault_when_the_list_is_asked_about_itself(kore: Simulator, name: str, call: int, times: int | None) -> None:
    kore.add_fault(name, endpoint="list", after_requests=call, times=times, **QUICK.get(name, {}))
    outcome(Landing(kore))


@pytest.mark.parametrize("probability", [0.3])
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_now_and_then_on_any_request(kore: Simulator, name: str, probability: float) -> None:
    kore.add_fault(name, probability=probability, seed=len(name), **QUICK.get(name, {}))
    outcome(Landing(kore), page_size=20)


def alternatives() -> list[tuple[str, object]]:
    """Return every value of every setting that is a choice or a switch, but its default."""
    hints = get_type_hints(Settings, include_extras=False)
    found: list[tuple[str, object]] = []
    for setting in fields(Settings):
        kind = hints[setting.name]
        values: tuple[object, ...] = ()
        if get_origin(kind) is Literal:
            values = get_args(kind)
        elif kind is bool:
            values = (False, True)
        found += [(setting.name, value) for value in values if value != setting.default]
    return found


NUMBERS: list[tuple[str, object]] = [
    ("clock_offset", 60.0), ("clock_offset", -60.0), ("clock_offset", 7200.0), ("clock_offset", -7200.0),
    ("changed_limit", 7), ("max_limit", 7), ("max_limit", 1000), ("default_limit", 7), ("leeway", 30.0),
    ("latency", 0.005), ("requests_per_minute", 2), ("requests_per_hour", 2),
]  # fmt: skip
SETTINGS = [*alternatives(), *NUMBERS]


@pytest.mark.parametrize("contacts", [0, CONTACTS])
@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_a_setting(kore: Simulator, name: str, value: object, contacts: int) -> None:
    kore.add_list("cl-1", contacts=contacts)
    kore.configure(**{name: value})
    landing = Landing(kore)
    if name.startswith("requests_per"):
        kore.configure(minute_seconds=0.05, hour_seconds=0.05)
        landing.clock.longest = 0.06
    error = outcome(landing)
    bad = {("scope_granted", False), ("enforce_jwe", True), ("clock_offset", 7200.0), ("skip_handling", "ignore")}
    bad |= {("has_more", "always_true"), ("total", "wrong"), ("clock_offset", -7200.0)}
    assert error is None or (name, value) in bad


PAGING = ("envelope", "echo", "total", "has_more", "limit_handling", "skip_handling", "ignored_skip_echo", "sort")
PAIRS = [
    (one, other)
    for at, one in enumerate(setting for setting in SETTINGS if setting[0] in PAGING)
    for other in [setting for setting in SETTINGS if setting[0] in PAGING][at + 1 :]
    if one[0] != other[0]
]


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda pair: f"{pair[0]}={pair[1]}")
def test_two_settings_of_paging_at_once(kore: Simulator, one: tuple[str, object], other: tuple[str, object]) -> None:
    kore.configure(**dict([one, other]))
    outcome(Landing(kore))


SILENT: list[dict[str, Any]] = [
    {"total": "missing", "has_more": "missing"},
    {"total": "page", "has_more": "missing"},
    {"total": "missing", "has_more": "always_false"},
    {"total": "missing", "echo": False},
    {"total": "missing", "has_more": "missing", "echo": False},
]
OF_PAGES = sorted(name for name, fault in FAULTS.items() if fault.endpoints and not name.startswith("list_"))


SPOILT = [
    (silent, name, page, times)
    for silent in SILENT
    for name in OF_PAGES
    for page in PAGES
    for times in (1, None)
    # Every answer is an empty list, and looks like one; a list whose last contact no page ever shows.
    if not ((name, page, times) == ("empty_page", "first", None) and "has_more" in silent)
    and (name, times) != ("short_page", None)
]


@pytest.mark.parametrize(("silent", "name", "page", "times"), SPOILT, ids=str)
def test_a_spoilt_page_of_a_server_that_tells_little(
    kore: Simulator, silent: dict[str, Any], name: str, page: str, times: int | None
) -> None:
    kore.configure(**silent)
    kore.add_fault(name, endpoint="contacts", after_requests=PAGES[page], times=times)
    outcome(Landing(kore))


@pytest.mark.parametrize("unknown_id", ["404", "400", "error_200", "empty_200"])
def test_an_unknown_list_is_never_an_empty_snapshot(kore: Simulator, unknown_id: str) -> None:
    kore.configure(unknown_id=unknown_id)
    error = outcome(Landing(kore, list_id="cl-unknown"))
    assert isinstance(error, KoreError)
    if unknown_id in {"404", "empty_200"}:
        assert isinstance(error, NotFoundError)
        assert "cl-unknown" in str(error)
        assert len(kore.requests) == 1


@pytest.mark.parametrize("updated_at_moves", [True, False])
@pytest.mark.parametrize("at_offset", [0, 50, 100])
@pytest.mark.parametrize("index", [0, 60, 119])
@pytest.mark.parametrize("name", ["list_append", "list_insert", "list_remove", "list_swap", "list_update"])
def test_a_change_anywhere_while_the_walk_is_anywhere(
    kore: Simulator, name: str, index: int, at_offset: int, updated_at_moves: bool
) -> None:
    if not updated_at_moves and name in {"list_swap", "list_update"}:
        return  # nothing but the contacts themselves tells of such a change
    kore.configure(updated_at_moves=updated_at_moves)
    parameters: dict[str, Any] = {"index": index} if name in {"list_remove", "list_swap", "list_update"} else {}
    kore.add_fault(name, at_offset=at_offset, endpoint="contacts", **parameters)
    assert outcome(Landing(kore)) is None or not updated_at_moves


def test_a_401_in_mid_walk_costs_one_request_more(kore: Simulator) -> None:
    kore.add_fault("unauthorized", endpoint="contacts", after_requests=1, times=1)
    assert outcome(Landing(kore)) is None
    assert [record.status for record in kore.page_requests] == [200, 401, 200, 200]


def test_an_error_that_may_pass_is_retryable_and_one_that_cannot_is_fatal(kore: Simulator) -> None:
    with kore.fault("server_error", endpoint="contacts"):
        assert isinstance(outcome(Landing(kore)), RetryableError)
    kore.forget_requests()
    with kore.fault("contact_without_id"):
        assert isinstance(outcome(Landing(kore)), FatalError)
    assert len(kore.page_requests) == 3  # once, and twice more in case it was an accident
