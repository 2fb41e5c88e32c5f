"""verify and history as a person runs them: in a terminal, on real S3 servers, without Kore.ai and without Airflow."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from audited import LIST, lake, manifest, manifest_key, partition

from airflow_provider_kore.__main__ import main
from airflow_provider_kore.store.s3 import S3Store

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
        capsys.readouterr()
        status = main([command, address, *options])
        said, aside = capsys.readouterr()
        # An Airflow that was loaded before writes there, too, that of 3.0 in brackets; in its own process it does not.
        return status, re.sub(r"^(\d{4}-\S+ \[info |\[\d{4}-\S+\] \{).*\n", "", said, flags=re.MULTILINE), aside

    return run


def test_what_was_landed_is_fine_on_real_servers(s3_server: S3Server, s3_bucket: str, verify: Any) -> None:
    fill(s3_server, s3_bucket)
    for prefix in (LIST.rstrip("/"), "", manifest_key(2)):
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


class Answer(http.server.BaseHTTPRequestHandler):
    """What AWS, or something else that is no S3, says to everything; no server here can be made to."""

    status, code, told = 200, "", ("X-Nothing", "")

    def do_GET(self) -> None:
        body = f"<Error><Code>{self.code}</Code><Message>of somebody</Message></Error>" if self.code else "<html>Hello"
        self.send_response(self.status)
        self.send_header(*self.told)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body.encode())

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "another region": (
        {"status": 301, "code": "PermanentRedirect", "told": ("x-amz-bucket-region", "ap-south-1")},
        "the bucket is in region 'ap-south-1'",
    ),
    "an expired token": ({"status": 400, "code": "ExpiredToken"}, "the AWS session token has expired"),
    "no permission": ({"status": 403, "code": "AccessDenied"}, "It takes s3:ListBucket on the bucket"),
    "a web site": ({}, "S3 says 500"),
}


def said_once(verify: Any, command: str, server: S3Server, address: str, **environment: str) -> str:
    """Run a command that cannot look; return the one sentence that it says."""
    status, said, aside = verify(server, address, command=command, AWS_MAX_ATTEMPTS="1", **environment)
    assert status == 2
    lines = (said + aside).splitlines()
    assert all(line.isprintable() for line in lines)
    if len(lines) > 1:  # of the report of what could not be looked at
        assert [lines[0][:10], lines[2], len(lines)] == ["NOT SEEN: ", "Nothing was verified.", 3]
    return lines[len(lines) // 2]


@pytest.mark.parametrize("command", ["verify", "history"])
def test_what_cannot_be_looked_at_is_one_sentence_and_exit_status_two(
    moto_server: S3Server, verify: Any, command: str
) -> None:
    assert "no such bucket" in said_once(verify, command, moto_server, "s3://kore-no-such-bucket/kore/")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(S3Store, "list", lambda *_: {}["+15551234567"])
        found = said_once(verify, command, moto_server, "s3://lake/kore/")
    assert found == "An error that was not foreseen ended this: KeyError."
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    for members, expected in ANSWERS.values():
        server.RequestHandlerClass = type("Told", (Answer,), members)
        found = said_once(verify, command, moto_server, "s3://lake/kore/", AWS_ENDPOINT_URL=here)
        assert expected in found
        assert "somebody" not in found
    server.shutdown()
    server.server_close()
    for name, value, expected in (
        ("AWS_ENDPOINT_URL", here, "no answer from S3"),
        ("AWS_ENDPOINT_URL", "localhost:9000", "endpoint_url (https://host:port"),
        ("AWS_DEFAULT_REGION", "eu central", "'region_name': is missing, or no region"),
    ):
        assert expected in said_once(verify, command, moto_server, "s3://lake/kore/", **{name: value})


def test_a_key_that_is_hostile_and_may_not_be_read_is_shown_in_printable_words(
    ministack_server: S3Server, ministack_bucket: str, verify: Any
) -> None:
    key = "kore/\x1b]0;x\x07/snapshot_date=2026-01-01/_manifest.json"
    ministack_server.client().put_object(Bucket=ministack_bucket, Key=key, Body=b"{}")
    login, password = ministack_server.user("s3:ListBucket")
    secrets = {"AWS_ACCESS_KEY_ID": login, "AWS_SECRET_ACCESS_KEY": password}
    for command in ("verify", "history", "ddl"):
        address = f"s3://{ministack_bucket}/kore/" + ("\x1b]0;x\x07/" if command == "ddl" else "")
        status, said, aside = verify(ministack_server, address, command=command, **secrets)
        assert status == 2
        assert "s3:GetObject" in said + aside
        assert all(line.isprintable() for line in (said + aside).splitlines())


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
    """In a process of its own, with a home that is none, and without a line of Airflow's on either output.

    Its terminal knows no letters but those of ASCII.
    """
    fill(moto_server, moto_bucket)
    moto_server.client().put_object(Bucket=moto_bucket, Key=f"{partition(1)}ü", Body=b"")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS"))}
    environment |= {"AWS_ENDPOINT_URL": moto_server.url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    environment |= {
        "AIRFLOW_HOME": str(tmp_path / "none"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nowhere/x",
        "PYTHONIOENCODING": "ascii",
    }
    command = [sys.executable, "-m", "airflow_provider_kore", "verify", f"s3://{moto_bucket}/kore"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"s3://{moto_bucket}/{LIST}\n")
    assert "1 object beside the snapshot: '\\xfc'." in done.stdout
    assert done.stdout.endswith("every byte is what its manifest says.\n")
