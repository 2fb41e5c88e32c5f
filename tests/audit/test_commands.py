"""verify and history as a person runs them: in a terminal, on real S3 servers, without Kore.ai and without Airflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from audited import LIST, lake, manifest, manifest_key, partition

from airflow_provider_kore.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3_servers import S3Server

pytestmark = pytest.mark.slow


def fill(server: S3Server, bucket: str, **put: Any) -> None:
    """Copy the snapshots of a list into a real bucket; ETags and checksums stay what they were."""
    store, client = lake(), server.client()
    for key, body in store.bodies(LIST).items():
        found = store.head(key)
        assert found is not None
        checksum = {"ChecksumAlgorithm": "SHA256"}
        client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=dict(found.metadata), **checksum, **put)


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command on a server; return its exit status, and what it wrote to both outputs."""

    def run(server: S3Server, address: str, *options: str, command: str = "verify", **environment: str) -> Any:
        told = {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": "eu-central-1",
            **environment,
        }
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        status = main([command, address, *options])
        said, aside = capsys.readouterr()
        # an Airflow that was loaded before the command writes there, too; in a process of its own it does not
        return status, re.sub(r"^\d{4}-\S+ \[info .*\n", "", said, flags=re.MULTILINE), aside

    return run


def test_what_was_landed_is_fine_on_real_servers(s3_server: S3Server, s3_bucket: str, verify: Any) -> None:
    fill(s3_server, s3_bucket)
    for prefix in (LIST, LIST.rstrip("/"), "kore/lists", "", partition(2), manifest_key(2)):
        status, said, aside = verify(s3_server, f"s3://{s3_bucket}/{prefix}")
        assert (status, aside) == (0, ""), said
        assert "every byte is what its manifest says" in said
    assert f"s3://{s3_bucket}/{LIST}\n  1 snapshot, 2026-01-02: 13 contacts in 1 file" in said


def test_what_is_wrong_ends_with_one_and_what_cannot_be_seen_with_two(
    s3_server: S3Server, s3_bucket: str, verify: Any
) -> None:
    fill(s3_server, s3_bucket)
    client, key = s3_server.client(), manifest(lake(), 2)["files"][0]["key"]
    client.delete_object(Bucket=s3_bucket, Key=key)
    status, said, _ = verify(s3_server, f"s3://{s3_bucket}/{LIST}")
    assert status == 1
    assert f"WRONG: s3://{s3_bucket}/{key}\n  Its manifest names it, and it is not there. " in said
    assert said.endswith("Verified 3 snapshots: 1 thing is wrong.\n")
    status, said, _ = verify(s3_server, f"s3://{s3_bucket}/kore/list")  # mistyped
    assert status == 2
    assert "There is no snapshot." in said
    assert "Check the address" in said
    status, said, _ = verify(s3_server, "s3://kore-no-such-bucket/kore")
    assert status == 2
    assert "no such bucket" in said


def test_who_may_not_look_is_told_what_it_takes(ministack_server: S3Server, ministack_bucket: str, verify: Any) -> None:
    fill(ministack_server, ministack_bucket)
    for actions, said_ in (
        (("s3:GetObject",), "s3:ListBucket"),
        (("s3:ListBucket",), "s3:GetObject"),
    ):
        login, password = ministack_server.user(*actions)
        status, said, _ = verify(
            ministack_server,
            f"s3://{ministack_bucket}/{LIST}",
            AWS_ACCESS_KEY_ID=login,
            AWS_SECRET_ACCESS_KEY=password,
        )
        assert status == 2
        assert "NOT SEEN: " in said
        assert said_ in said
    status, said, _ = verify(ministack_server, f"s3://{ministack_bucket}/{LIST}", AWS_SECRET_ACCESS_KEY="wrong")
    assert status == 2
    assert "secret access key" in said


def test_a_server_that_does_not_answer_ends_with_two(moto_server: S3Server, verify: Any) -> None:
    status, said, _ = verify(moto_server, "s3://lake/", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert status == 2
    assert "no answer from S3" in said


@pytest.mark.parametrize("address", ["", "lake/prefix", "s3://", "s3:///x", "https://lake/x"])
def test_what_is_no_address_is_a_mistake_on_the_command_line(address: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", address])
    assert ended.value.code == 2
    assert "use s3://BUCKET/PREFIX/" in capsys.readouterr().err


def test_as_json_it_is_one_object_for_a_program(moto_server: S3Server, moto_bucket: str, verify: Any) -> None:
    fill(moto_server, moto_bucket)
    moto_server.client().put_object(Bucket=moto_bucket, Key=f"{partition(1)}x", Body=b"")
    status, said, aside = verify(moto_server, f"s3://{moto_bucket}/kore", "--json")
    assert (status, aside) == (0, "")
    told = json.loads(said)
    assert (told["version"], told["status"], told["numbers"]) == (1, "fine", {"wrong": 0, "unseen": 0, "note": 1})
    (table,) = told["tables"]
    first = table["snapshots"][0]
    assert {name: first[name] for name in ("date", "rows", "files", "consistent", "erased", "locked", "status")} == {
        "date": "2026-01-01",
        "rows": 12,
        "files": 1,
        "consistent": True,
        "erased": 0,
        "locked": None,
        "status": "fine",
    }
    (found,) = told["findings"]
    assert set(found) == {"level", "kind", "where", "what", "todo"}
    assert found["kind"] == "leftovers"


def test_object_lock_is_told_where_it_is_set(ministack_server: S3Server, verify: Any) -> None:
    client, bucket = ministack_server.client(), f"kore-locked-{os.getpid()}"
    client.create_bucket(
        Bucket=bucket,
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )
    until = datetime(2036, 1, 1, tzinfo=UTC)
    fill(ministack_server, bucket, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    client.put_object_legal_hold(Bucket=bucket, Key=manifest_key(1), LegalHold={"Status": "ON"})
    later = {"Mode": "COMPLIANCE", "RetainUntilDate": until + timedelta(days=1)}
    client.put_object_retention(Bucket=bucket, Key=manifest_key(3), Retention=later)
    status, said, _ = verify(ministack_server, f"s3://{bucket}/")
    assert status == 0
    assert (
        "2026-01-01: 2 of 2 objects locked until 2036-01-01T00:00:00Z or longer (COMPLIANCE), 1 under legal hold"
        in said
    )
    told = json.loads(verify(ministack_server, f"s3://{bucket}/", "--json")[1])
    locked = [one["locked"] for one in told["tables"][0]["snapshots"]]
    assert [one["held"] for one in locked] == [1, 0, 0]
    assert {one["until"] for one in locked} == {"2036-01-01T00:00:00Z"}


def test_who_may_not_look_at_locks_is_told_so_and_the_rest_is_fine(
    ministack_server: S3Server, ministack_bucket: str, verify: Any
) -> None:
    fill(ministack_server, ministack_bucket)
    login, password = ministack_server.user("s3:GetObject", "s3:ListBucket")
    status, said, _ = verify(
        ministack_server,
        f"s3://{ministack_bucket}/{LIST}",
        AWS_ACCESS_KEY_ID=login,
        AWS_SECRET_ACCESS_KEY=password,
    )
    assert status == 0
    assert re.search(r"note: s3://\S+\n  Object Lock was not looked at: .*s3:GetBucketObjectLockConfiguration", said)


def test_no_contact_is_in_any_output(moto_server: S3Server, moto_bucket: str, verify: Any) -> None:
    fill(moto_server, moto_bucket)
    client, key = moto_server.client(), manifest(lake(), 2)["files"][0]["key"]
    client.copy_object(
        Bucket=moto_bucket, Key=key, CopySource={"Bucket": moto_bucket, "Key": key.replace("-02/", "-03/")}
    )
    for command in ("verify",):
        for option in ((), ("--json",)):
            _, said, aside = verify(moto_server, f"s3://{moto_bucket}/kore", *option, command=command)
            assert not re.search(r"\bcc?-\d|\+\d{4}|phone", said + aside, re.IGNORECASE)


def test_it_runs_where_airflow_is_not_set_up(moto_server: S3Server, moto_bucket: str, tmp_path: Any) -> None:
    """In a process of its own, with a home that is none, and without a line of Airflow's on either output."""
    fill(moto_server, moto_bucket)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS"))}
    environment |= {"AWS_ENDPOINT_URL": moto_server.url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    environment |= {
        "AIRFLOW_HOME": str(tmp_path / "none"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/x",
    }
    command = [sys.executable, "-m", "airflow_provider_kore", "verify", f"s3://{moto_bucket}/kore", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "fine"
