"""The operator between a simulator and an S3 server, executed as a task would execute it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest
    from s3_servers import S3Server

    from airflow_provider_kore.simulator import Simulator

LOGICAL_DATE = datetime(2025, 3, 9, 4, 30, tzinfo=UTC)
DUE = datetime(2025, 3, 10, 6, 0, tzinfo=UTC)


def set_connection(monkeypatch: pytest.MonkeyPatch, name: str, connection: dict[str, Any]) -> None:
    """Define a connection by the environment, in JSON."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


class Bench:
    """The operator between both servers, as a task of one run after the other."""

    def __init__(self, kore: Simulator, server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kore = kore
        self.bucket = bucket
        self.s3 = server.client()
        self._server = server
        self._monkeypatch = monkeypatch
        self.connect()
        self.connect_aws()

    def connect(self, **changes: Any) -> None:
        """Define ``kore_default``; keyword arguments change fields of it, or of its extra."""
        connection = self.kore.connection
        for name, value in changes.items():
            (connection if name in {"host", "login", "password", "port", "schema"} else connection["extra"])[name] = (
                value
            )
        set_connection(self._monkeypatch, "kore_default", connection)

    def connect_aws(self, key: tuple[str, str] | None = None, server: S3Server | None = None, **extra: Any) -> None:
        """Define ``aws_default``."""
        set_connection(self._monkeypatch, "aws_default", (server or self._server).connection(key, **extra))

    def context(
        self, run_id: str = "scheduled__1", *, logical_date: datetime | None = LOGICAL_DATE, map_index: int = -1
    ) -> dict[str, Any]:
        """Return what a task of this run is given; without a logical date its keys are absent, as Airflow does it."""
        ti = SimpleNamespace(dag_id="a_dag", run_id=run_id, task_id="snapshot", map_index=map_index, try_number=1)
        self.xcoms = ti.xcoms = {}
        ti.xcom_push = ti.xcoms.__setitem__
        context: dict[str, Any] = {"ti": ti, "run_id": run_id, "dag_run": SimpleNamespace(run_id=run_id, run_after=DUE)}
        if logical_date is not None:
            context |= {"logical_date": logical_date, "ds": logical_date.date().isoformat()}
        return context

    def run(self, context: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
        """Execute the operator once and return its XCom."""
        from airflow_provider_kore.transfers.contact_list_to_s3 import ContactListToS3Operator

        given = {"task_id": "snapshot", "contact_list_id": "cl-1", "s3_bucket": self.bucket} | parameters
        result: dict[str, Any] = ContactListToS3Operator(**given).execute(context or self.context())  # type: ignore[arg-type]
        return result

    def objects(self) -> list[str]:
        """Return the keys of all objects in the bucket."""
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def body(self, key: str) -> bytes:
        """Return the bytes of an object."""
        found: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return found

    def rows(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of a jsonl object."""
        return [json.loads(line) for line in gzip.decompress(self.body(key)).splitlines()]

    def manifest(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest that a result names."""
        found: dict[str, Any] = json.loads(self.body(result["manifest_key"]))
        return found
