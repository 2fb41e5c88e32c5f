"""The ledger of an account's allowance, with operators, sensors and checks: they count, and it never fails a task."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from test_deferral import LIMITED, play
from test_sensors import context, list_sensor

from airflow_provider_kore.api import allowance, sharing
from airflow_provider_kore.api.ledger import Terms
from airflow_provider_kore.hooks import ledger as hooks_ledger
from airflow_provider_kore.hooks.campaign import KoreCampaignHook
from airflow_provider_kore.store import capabilities
from airflow_provider_kore.task.run import LandingOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench import Bench
    from s3_servers import S3Server

QUICK = Terms(
    beat=0.3, hungry=0.1, lease=20.0, renewed=1.0, grace=0.2, settle=0.3, resettle=1.0, rejoin=30.0, patience=20.0,
    wish=5.0, horizon=120.0, leave=5.0,
)  # fmt: skip
WARNING = "learns of others on the account by being refused"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a ledger be believed, and given up, within a second; and let this process warn anew."""
    monkeypatch.setattr(sharing, "Terms", lambda: QUICK)
    monkeypatch.setattr(sharing, "_warned", set())
    monkeypatch.setattr(hooks_ledger, "_warned", set())
    monkeypatch.setattr(capabilities, "_conditions", {})


def key_of(bench: Bench) -> str:
    return f"ledgers/{hooks_ledger.ledger_name(KoreCampaignHook().config)}"


def use(bench: Bench, place: str | None = None, **fields: Any) -> None:
    given = {"requests_per_minute": 60, "allowance_ledger": place or f"s3://{bench.bucket}/ledgers"}
    bench.connect(**given | fields)


def ledger(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bench.body(key_of(bench)))
    return found


def spent(bench: Bench, window: str = "per-minute") -> int:
    now = time.time()
    return sum(number for at, number in ledger(bench)["windows"][window]["spent"] if at > now + 10)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if WARNING in each.getMessage()]


def test_a_task_leaves_in_the_ledger_what_it_has_spent_and_nothing_that_is_secret(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    use(bench)
    landed = bench.run()
    assert landed["contacts"] == 120
    assert ledger(bench)["holders"] == {}
    assert spent(bench) == len(bench.kore.requests) > 4
    body, config = bench.body(key_of(bench)).decode() + key_of(bench), KoreCampaignHook().config
    assert not [each for each in (config.client_secret, config.client_id, config.account_id, "cl-1") if each in body]
    assert warnings(caplog) == []


@pytest.mark.parametrize("kind", ["check", "look"])
def test_checks_and_sensors_count(bench: Bench, kind: str) -> None:
    use(bench)
    if kind == "check":
        assert KoreCampaignHook().test_connection()[0]
    else:
        list_sensor().execute(context())
    assert len(bench.kore.requests) >= 1
    assert spent(bench) == len(bench.kore.requests)
    assert ledger(bench)["holders"] == {}


def test_a_look_knows_what_tasks_have_spent_and_is_not_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "_MINUTE", 2.0)
    bench.kore.configure(minute_seconds=2.0, requests_per_minute=5)
    use(bench, requests_per_minute=5)
    bench.run()
    for _ in range(6):
        list_sensor().execute(context())
        assert KoreCampaignHook().test_connection()[0]
    assert Counter(each.status for each in bench.kore.requests)[429] == 0


def test_a_check_beside_a_spent_allowance_says_so_and_sends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_kore.api.diagnosis.LONGEST_WAIT", 1.0)
    use(bench, requests_per_minute=8)
    bench.run()
    begun = len(bench.kore.requests)
    hook = KoreCampaignHook()
    while hook.test_connection()[0]:
        begun += 1
        assert begun <= 8
    works, sentence = hook.test_connection()
    assert not works
    assert "spent by others who share it" in sentence
    assert len(bench.kore.requests) == begun == 8


def test_a_parked_task_gives_its_places_back_and_is_expected(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "_MINUTE", 3.0)
    bench.kore.configure(**LIMITED | {"minute_seconds": 3.0})
    use(bench, requests_per_minute=4)
    seen: list[dict[str, Any]] = []
    pause = LandingOperator._pause

    def look(self: LandingOperator, *arguments: Any) -> Any:
        seen.append(ledger(bench))
        return pause(self, *arguments)

    monkeypatch.setattr(LandingOperator, "_pause", look)
    landed, pauses = play(bench, bench.context(), defer_after=1.5)
    assert landed["contacts"] == 120
    assert 1 <= len(pauses) < 12
    assert {number for each in seen for holder in each["holders"].values() for number in holder["held"].values()} <= {0}
    assert all(any(name.endswith("-wish") for name in each["holders"]) for each in seen)
    assert Counter(each.status for each in bench.kore.requests)[429] == 0


DAMAGES: dict[str, Callable[[Bench, dict[str, Any]], bytes]] = {
    "no JSON": lambda _, body: json.dumps(body).encode()[:-5],
    "another format": lambda _, body: json.dumps({**body, "format": "kore-allowance-ledger/2"}).encode(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_left_alone_and_costs_one_warning(
    bench: Bench, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    use(bench)
    assert KoreCampaignHook().test_connection()[0]
    body = DAMAGES[damage](bench, ledger(bench))
    key = key_of(bench)
    bench.s3.put_object(Bucket=bench.bucket, Key=key, Body=body)
    with caplog.at_level(logging.INFO):
        assert bench.run()["contacts"] == 120
        list_sensor().execute(context())
    (told,) = warnings(caplog)
    assert f"s3://{bench.bucket}/{key}" in told
    assert "elete it" in told or "nstall one version" in told
    assert bench.body(key) == body


def test_a_ledger_without_permission_costs_one_warning_that_names_it(
    bench: Bench, moto_auth_server: S3Server, caplog: pytest.LogCaptureFixture, define: Callable[..., None]
) -> None:
    bucket = moto_auth_server.bucket()
    for action, missing in (("s3:GetObject", "s3:PutObject"), ("s3:PutObject", "s3:GetObject")):
        sharing._warned.clear()
        capabilities._conditions.clear()
        caplog.clear()
        define("aws_ledger", moto_auth_server.connection(moto_auth_server.user(action)))
        use(bench, f"s3://{bucket}/ledgers", allowance_ledger_conn_id="aws_ledger")
        assert bench.run(snapshot_date="2025-01-01" if missing == "s3:PutObject" else "2025-01-02")["contacts"] == 120
        (told,) = warnings(caplog)
        assert missing in told or "s3:ListBucket" in told


@pytest.mark.parametrize("place", ["s3://no-such-bucket-at-all/x", "conn"])
def test_a_bucket_or_a_connection_that_is_not_there_costs_one_warning(
    bench: Bench, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    if place == "conn":
        use(bench, allowance_ledger_conn_id="aws_nowhere")
    else:
        use(bench, place)
    assert bench.run()["contacts"] == 120
    (told,) = warnings(caplog)
    assert "aws_nowhere" in told or "no-such-bucket-at-all" in told


def test_a_store_that_ignores_conditions_keeps_no_ledger(
    bench: Bench, localbucket_server: S3Server, caplog: pytest.LogCaptureFixture, define: Callable[..., None]
) -> None:
    bucket = localbucket_server.bucket()
    define("aws_ledger", localbucket_server.connection())
    use(bench, f"s3://{bucket}/ledgers", allowance_ledger_conn_id="aws_ledger")
    assert bench.run()["contacts"] == 120
    (told,) = warnings(caplog)
    assert "conditional writes" in told
    assert not localbucket_server.client().list_objects_v2(Bucket=bucket).get("Contents")


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    held.append(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for each in held:
        each.close()


def test_a_store_that_hangs_holds_up_a_task_for_a_moment_and_a_check_not_at_all(
    bench: Bench,
    silent: str,
    caplog: pytest.LogCaptureFixture,
    define: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "Terms", lambda: replace(QUICK, patience=0.3, leave=0.1))
    begun = time.monotonic()
    aws = {"endpoint_url": silent, "region_name": "eu-central-1"}
    define("aws_ledger", {"conn_type": "aws", "login": "a", "password": "b", "extra": aws})
    use(bench, allowance_ledger_conn_id="aws_ledger")
    assert KoreCampaignHook().test_connection()[0]
    assert bench.run()["contacts"] == 120
    assert time.monotonic() - begun < 60  # a guard, not a measure
    assert len(warnings(caplog)) == 1


def test_a_ledger_of_an_unlimited_account_is_not_kept(bench: Bench) -> None:
    use(bench, requests_per_minute=0)
    assert bench.run()["contacts"] == 120
    assert not [each for each in bench.objects() if each.startswith("ledgers/")]


def test_one_account_has_one_ledger_whichever_application_and_connection_it_is(bench: Bench) -> None:
    use(bench)
    one = key_of(bench)
    use(bench, stream_id="st-other", jwt_subject="else")
    assert key_of(bench) == one
    use(bench, account_id="another")
    assert key_of(bench) != one
