"""The client against a server that knows the vendor's table, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from vendor_table import READS, TableServer, sample

from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.hooks.campaign import KoreCampaignHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS: dict[str, Callable[[KoreCampaignHook], Any]] = {
    "contacts": lambda hook: list(hook.iter_contacts("cl-1")),
    "contact list": lambda hook: hook.get_contact_list("cl-1"),
    "contact lists": lambda hook: hook.get_contact_lists(),
    "campaigns": lambda hook: hook.get_campaigns(
        "voice",
        {
            "status": ["Active", "Ready"],
            "priority": ["5", 1],
            "dialing_mode": "Preview",
            "start_date": "2025-12-01",
            "end_date": "2025-12-04T01:00:00+01:00",
        },
    ),
    "campaign": lambda hook: hook.get_campaign("cd-1"),
    "campaign status": lambda hook: hook.get_campaign_status("cd-1"),
    "call results": lambda hook: list(hook.iter_campaign_contacts("cd-1")),
}
"""How the hook makes each documented call."""

READ_IDS = [row.id for row in READS]


@pytest.fixture
def hook_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., KoreCampaignHook]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def make(server: TableServer, version: str) -> KoreCampaignHook:
        connection = server.connection
        connection["extra"]["api_version"] = version
        monkeypatch.setenv("AIRFLOW_CONN_KORE_DEFAULT", json.dumps(connection))
        return KoreCampaignHook()

    return make


@pytest.fixture
def table() -> Iterator[TableServer]:
    with TableServer() as server:
        yield server


def attempt(call: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a call answered, and its error in words."""
    try:
        return call(), ""
    except (KoreError, AttributeError) as err:
        return None, f"{type(err).__name__}: {err}"


@pytest.mark.parametrize("row", READS, ids=READ_IDS)
def test_the_hook_makes_each_documented_call_as_it_is_documented(row, table, hook_of) -> None:
    hook = hook_of(table, row.version)
    told, error = attempt(lambda: CALLS[row.name](hook))
    assert (table.asked.strange, error) == ([], "")
    assert row.id in table.asked.rows
    assert told
    documented = sample(row)["data"]
    first = documented[0] if isinstance(documented, list) else documented.get("results", [documented])[0]
    assert (told[0] if isinstance(told, list) else told) == first


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_test_button_makes_a_documented_call(table, hook_of, version) -> None:
    worked, sentence = hook_of(table, version).test_connection()
    assert (table.asked.strange, worked) == ([], True), sentence


@pytest.mark.parametrize(
    ("account", "refusal"),
    # Who says too much is not refused the token for it.
    [("refused", 400), ("refused", 412), ("required", 400), ("required", 412), ("required", 401)],
)
@pytest.mark.parametrize("row", READS, ids=READ_IDS)
def test_an_account_in_the_query_may_be_refused_or_required_where_no_sample_has_it(
    row, account, refusal, hook_of
) -> None:
    with TableServer(account=account, refusal=refusal) as server:
        told, error = attempt(lambda: CALLS[row.name](hook_of(server, row.version)))
    assert (server.asked.strange, error) == ([], "")
    assert told
    refused = len(server.asked.calls) - len(server.asked.rows)
    assert refused <= 5  # for each of the calls that the method makes until it is answered, and not again


@pytest.mark.parametrize("name_in_sort", ["required", "refused", "either"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_name_in_sort_by_may_be_required_or_refused(name_in_sort, version, hook_of) -> None:
    with TableServer(name_in_sort=name_in_sort) as server:
        hook = hook_of(server, version)
        told, error = attempt(lambda: [hook.get_campaigns(), hook.get_campaigns("sms")])
    assert (server.asked.strange, error) == ([], "")
    assert all(told)
    assert len(server.asked.calls) - len(server.asked.rows) <= (name_in_sort == "refused")


def test_what_the_table_does_not_have_is_not_asked_for(table, hook_of) -> None:
    hook = hook_of(table, "v1")
    list(hook.iter_campaign_contacts("cd-1"))
    assert table.asked.strange == []
