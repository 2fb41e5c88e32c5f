"""What one answer, and all that are under way, may take; and what is told to the secrets masker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from clocks import ImpatientClock
from landing import config_of
from test_transport import config, http, outcome_of, serving

from airflow_provider_kore.api import calls, reader, sender
from airflow_provider_kore.api.answers import parse_object, parse_page
from airflow_provider_kore.api.calls import Way, campaign_contacts, contacts_of
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import risks_of, secrets_of
from airflow_provider_kore.api.diagnosis import check_connection
from airflow_provider_kore.api.retry import NO_RETRIES, RetryPolicy
from airflow_provider_kore.exceptions import ContractError, KoreError, RateLimitedError
from airflow_provider_kore.walk.page import PageRequest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.simulator import Simulator

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("parse", [parse_page, parse_object])
@pytest.mark.parametrize("filler", [b"[],", b"{},", b"0,", b'"",'])
def test_json_that_costs_many_times_its_length_is_refused_before_it_is_parsed(parse: object, filler: bytes) -> None:
    body = b'{"status":"success","data":{"results":[' + filler * 600_000 + b"[]]}}"
    with pytest.raises(ContractError, match="page_size"):
        parse(body)  # type: ignore[operator]


NASTY: dict[str, bytes] = {
    "ids alone": b'{"_id":"%06x"}',
    "objects": b'{"_id":"%06x","a":[' + b",".join([b'{"a":1}'] * 200) + b"]}",
    "deep": b'{"_id":"%06x","a":' + b"[" * 400 + b"]" * 400 + b"}",
    "long strings": b'{"_id":"%06x","a":"' + b"x" * 50_000 + "\U0001f600".encode() + b'"}',
    "repeated keys": b'{"_id":"%06x",' + b",".join([b'"a":{}'] * 200) + b"}",
    "contacts": b'{"_id":"%06x","phoneNumber":"+15550100","createdAt":"2025-12-09T04:28:44.832Z","a":{"b":1,"c":2}}',
}


def nasty_page(shape: str, skip: int, size: int) -> tuple[bytes, int]:
    """Return a page of so many bytes, and the number of its items."""
    item = NASTY[shape]
    count = max(1, size // (len(item) + 1))
    items = b",".join(item % (skip + number) for number in range(count))
    facts = b'"skip":%d,"limit":%d,"totalResults":%d,"hasMore":true' % (skip, count, 10_000 * count)
    return b'{"status":"success","data":{"results":[' + items + b"]," + facts + b"}}", count


CHILD = """
import resource, sys
from airflow_provider_kore.api.answers import memory_of, page_answer, parse_page
from airflow_provider_kore.api import endpoints
from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.calls import contacts_of

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if sys.argv[1] == "parse":
    body = open(sys.argv[2], "rb").read()
    before = peak()
    page = page_answer(parse_page(body), endpoints.CONTACTS, "a page")
    print(peak() - before, memory_of(body))
else:
    config = ApiConfig(base_url=sys.argv[2], client_id="c", client_secret="s" * 64, stream_id="s", account_id="a",
                       requests_per_minute=0)
    before = peak()
    with CampaignClient(config, in_flight=32) as client:
        for number, page in enumerate(client.iter_pages(contacts_of("cl-1"))):
            if number == 25:
                break
    print(peak() - before, number)
"""


def told_by_a_child(*arguments: str) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, timeout=100, check=True
    )
    first, second = done.stdout.split()
    return int(first), int(second)


@pytest.mark.parametrize("shape", NASTY)
def test_a_page_takes_no_more_memory_than_is_reckoned_with(shape: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(nasty_page(shape, 0, 1_000_000)[0])
    took, reckoned = told_by_a_child("parse", str(body))
    assert took <= 1.3 * reckoned + 4_000_000  # what the allocator keeps in reserve


@pytest.mark.parametrize("size", [250_000, 1_000_000])
def test_reading_ahead_of_large_pages_stays_within_its_memory(size: int) -> None:
    def reply(_number: int, request: bytes) -> bytes:
        time.sleep(0.02)  # or nothing would be worth reading ahead
        skip = int(request.partition(b"skip=")[2].split(b"&")[0].split(b" ")[0])
        return http(nasty_page("objects", skip, size)[0])

    with serving(reply) as server:
        took, pages = told_by_a_child("walk", server.url)
    assert pages == 25
    assert took < {250_000: 120_000_000, 1_000_000: 250_000_000}[size]  # without a budget: twice that, and more


def test_reading_ahead_takes_fewer_pages_the_larger_they_are(kore: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    kore.configure(latency=0.02, requests_per_minute=0)
    kore.add_list("cl-1", contacts=4_000)
    depths: list[int] = []
    planned = calls.OffsetPagination.planned

    def spy(self: object, depth: int) -> list[object]:
        depths.append(depth)
        return planned(self, depth)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(calls.OffsetPagination, "planned", spy)
    settings = config_of(kore.connection, requests_per_minute=0)
    with CampaignClient(settings, clock=ImpatientClock(), in_flight=32) as client:
        read = sum(len(page.records) for page in client.iter_pages(contacts_of("cl-1")))
        costliest = client._sender.costliest
    assert read == 4_000
    most = max(depths)
    depths.clear()
    monkeypatch.setattr(reader, "MEMORY", 2 * costliest)
    with CampaignClient(settings, clock=ImpatientClock(), in_flight=32) as client:
        assert sum(len(page.records) for page in client.iter_pages(contacts_of("cl-1"))) == 4_000
    assert max(depths) <= 2 < most


@pytest.mark.parametrize("total", [10**400, 1e300, -5, "9" * 400, True, None, [], {}])
def test_a_total_that_cannot_be_is_no_total(total: object) -> None:
    page = {"status": "success", "data": {"results": [{"_id": "c"}], "totalResults": total, "hasMore": False}}
    with serving(lambda *_: http(json.dumps(page).encode())) as server:
        client = CampaignClient(config(server.url), clock=ImpatientClock(), retry=NO_RETRIES)
        found = outcome_or_pages(client)
    assert found is None or isinstance(found, KoreError)


def outcome_or_pages(client: CampaignClient) -> object:
    try:
        list(client.iter_pages(contacts_of("cl-1")))
    except KoreError as err:
        return err
    return None


def test_a_refusal_of_a_page_read_ahead_is_waited_for_with_the_same_patience() -> None:
    answer = http(b"{}", "429 Too Many Requests", "Retry-After: 999999999")
    with serving(lambda *_: answer) as server:
        clock = ImpatientClock()
        client = CampaignClient(config(server.url), clock=clock, retry=RetryPolicy(longest_rate_wait=60.0))
        for _ in range(2):  # the second asks anew, while the first one's refusal still holds
            assert isinstance(outcome_of(lambda: client.get_contact_list("cl-1")), RateLimitedError)
    assert clock.slept == []
    assert len(server.requests) == 1


def test_the_log_names_the_day_of_a_wait_that_ends_on_another() -> None:
    assert sender._instant(86_000.0, 100.0) == "23:55:00"
    assert sender._instant(86_000.0, 500.0) == "1970-01-02 00:01:40"


def test_a_check_is_short_whatever_the_timeout_says() -> None:
    seen: list[float] = []

    def connect(settings: object, **_: object) -> CampaignClient:
        seen.append(settings.timeout)  # type: ignore[attr-defined]
        raise RateLimitedError("enough")

    with pytest.raises(RateLimitedError):
        check_connection(config("http://127.0.0.1:1", timeout=3600.0), connect)  # type: ignore[arg-type]
    assert seen == [5.0]


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 31), ("HS512", 63)])
def test_a_secret_that_can_be_guessed_gets_a_warning_in_the_check(algorithm: str, length: int) -> None:
    body = b'{"status":"success","data":[]}'
    with serving(lambda *_: http(body)) as server:
        settings = config(server.url, jwt_algorithm=algorithm, client_secret="s" * length)
        assert "Warning: the client secret is shorter" in check_connection(settings, CampaignClient)
        strong = replace(settings, client_secret="s" * (length + 1))
        assert "Warning" not in check_connection(strong, CampaignClient)


def test_ids_made_for_call_results_tell_nothing_about_the_client_secret() -> None:
    one, other = config("http://a.test"), config("http://a.test", client_secret="t" * 64)
    assert _ids(one) == _ids(other)
    assert _ids(replace(one, id_key="k" * 16)) != _ids(one)


def _ids(settings: ApiConfig) -> list[str]:
    """Return the ids that are made for a page of call results."""
    call = campaign_contacts("c").page(settings, PageRequest(0, 5), Way(account=False))
    page = call.read(call.parse(b'{"data": {"results": [{"uniqueId": "u", "phoneNumber": "1"}]}}'))
    assert len(page.records) == 1
    return list(page.records.ids)


def test_a_masker_learns_a_key_in_each_form_and_the_proxys_password_alone() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB\n-----END PRIVATE KEY-----\n"
    settings = config(
        "http://a.test", jwt_algorithm="RS256", client_secret=pem, proxy="http://u:p%40ss@h:1", id_key="k" * 16
    )
    found = secrets_of(settings)
    assert {pem, "AAAA", "BBBB", pem.replace("\n", "\\n"), "p%40ss", "p@ss", settings.proxy, "k" * 16} <= set(found)
    assert "-----BEGIN PRIVATE KEY-----" not in found


@pytest.mark.parametrize(
    ("url", "verify", "risks"),
    [
        ("https://a.test", True, 0),
        ("https://a.test", False, 1),
        ("http://a.test", False, 2),
        ("http://[::1]", False, 0),
    ],
)
def test_protections_that_a_connection_does_without_are_named(url: str, verify: bool, risks: int) -> None:
    assert len(risks_of(config(url, verify=verify))) == risks
