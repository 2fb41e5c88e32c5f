"""Whatever AWS's libraries raise while a bucket is opened is one sentence that names the setting, before a request."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kore.exceptions import FatalError, StoreUnavailableError, TempSpaceError
from airflow_provider_kore.hooks.airflow_versions import AirflowFailException

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench import Bench

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/lake"


class Refusing(BaseHTTPRequestHandler):
    """AWS's token service, which refuses the role, and says so with ids that nobody else should read."""

    code = "AccessDenied"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{self.code}</Code><Message>User: arn:aws:iam::{ACCOUNT}:user/x is not authorized to perform: "
            f"sts:AssumeRole on resource: {ROLE}</Message></Error></ErrorResponse>"
        ).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def token_service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"profile_name": "nobody"}, "profile_name"),
        ({"region_name": "nowhere land"}, "region_name"),
        ({"endpoint_url": "lake.example"}, "endpoint_url"),
        ({"endpoint_url": "http://"}, "endpoint_url"),
        ({"role_arn": ROLE, "assume_role_method": "by magic"}, "assume_role_method"),
        ({"config_kwargs": {"retries": {"mode": "for ever"}}}, "config_kwargs"),
        ({"config_kwargs": {"colour": "blue"}}, "config_kwargs"),
        ({"config_kwargs": "fast"}, "config_kwargs"),
        ({"config_kwargs": {"s3": {"addressing_style": "sideways"}}}, "config_kwargs"),
        ({"service_config": {"s3": {"endpoint_url": "??"}}}, "service_config"),
        ({"verify": "/no/such/bundle.pem"}, "verify"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_setting_that_cannot_work_is_named_and_burns_no_retry(bench: Bench, extra: dict[str, Any], says: str) -> None:
    bench.connect_aws(**extra)
    with pytest.raises(AirflowFailException, match=says) as caught:
        bench.run()
    assert bench.kore.requests == [], "found out before a request is spent"
    assert "nobody planned" not in str(caught.value)


def test_a_role_that_is_refused_is_said_without_accounts(bench: Bench, token_service: str) -> None:
    bench.connect_aws(role_arn=ROLE, service_config={"sts": {"endpoint_url": token_service}})
    with pytest.raises(AirflowFailException, match=r"refuses AssumeRole \(AccessDenied\). Check role_arn") as caught:
        bench.run()
    assert ACCOUNT not in str(caught.value)
    assert bench.kore.requests == []


def test_a_token_service_that_does_not_answer_may_answer_later(bench: Bench) -> None:
    bench.connect_aws(role_arn=ROLE, service_config={"sts": {"endpoint_url": "http://127.0.0.1:9"}})
    with pytest.raises(StoreUnavailableError, match="token service does not answer"):
        bench.run()
    assert not issubclass(StoreUnavailableError, FatalError)


def test_a_misspelt_connection_is_refused_instead_of_another_identity_being_used(bench: Bench) -> None:
    with pytest.raises(AirflowFailException, match="aws_lake"):
        bench.run(aws_conn_id="aws_lake")
    assert bench.kore.requests == []


@pytest.mark.parametrize("parameter", ["kore_conn_id", "staging_prefix", "s3_prefix", "on_drift", "fields"])
def test_a_template_that_was_left_is_refused(bench: Bench, parameter: str) -> None:
    with pytest.raises(AirflowFailException, match=rf"'{parameter}': still holds a template"):
        bench.run(**{parameter: "{{ var.value.gone }}"})
    assert bench.kore.requests == []


@pytest.mark.parametrize("deferrable", ["False", "false", False])
def test_a_template_that_says_false_does_not_defer(bench: Bench, deferrable: Any) -> None:
    assert bench.run(deferrable=deferrable, durable=False)["contacts"] == 120


@pytest.mark.parametrize("gone", ["gone", "a file"])
def test_a_missing_folder_for_temporary_files_is_found_out_before_the_walk(
    bench: Bench, gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tmp"
    if gone == "a file":
        folder.write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(TempSpaceError, match="TMPDIR"):
        bench.run()
    assert bench.kore.requests == []
