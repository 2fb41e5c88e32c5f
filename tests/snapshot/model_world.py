"""A world that can end before and after every effect: a clock, a vendor, a bucket, and the processes that meet there.

Every request to the vendor and every request to the store is one effect of one process. A test plans what happens at
the n-th of them::

    world = World(contacts=20)
    world.dies(7, "after")       # the 7th effect happens, its answer never arrives; then nothing happens any more
    process = world.finish()     # new processes on what is left, until one succeeds
    world.hold(process)          # the promises

After each effect a reader looks at the table, and fails the test if what it sees is not one whole snapshot.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from model_store import MemoryStore
from model_vendor import DOCUMENTED, LIST_ID, PRIVATE, Quirks, Vendor

from airflow_provider_kore.api.client import CampaignClient
from airflow_provider_kore.api.config import ApiConfig
from airflow_provider_kore.api.retry import RetryPolicy
from airflow_provider_kore.api.sources.contacts import ContactListSource
from airflow_provider_kore.api.stoppable import StoppableTransport
from airflow_provider_kore.exceptions import KoreError, RetryableError
from airflow_provider_kore.snapshot.layout import Layout
from airflow_provider_kore.snapshot.manifest import Manifest
from airflow_provider_kore.snapshot.run import take_snapshot
from airflow_provider_kore.snapshot.spec import RunKey, SnapshotSpec
from airflow_provider_kore.stop import Stop, StoppableClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_kore.api.transport import HttpRequest, HttpResponse
    from airflow_provider_kore.store.store import StoredObject

SECRET = "a-client-secret-nobody-may-see-0123456789"
RUN = RunKey(dag_id="dag", run_id="scheduled__2026-01-01T00:00:00+00:00", task_id="land")
OTHER_RUN = RunKey(dag_id="dag", run_id="manual__2026-01-01T00:00:00+00:00", task_id="land")
CHUNK_NAME = re.compile(r"([0-9a-f]{12})/(\d{12})-(\d{12})-[0-9a-f-]+\.jsonl\.gz")
When = Literal["before", "after"]
CONFIG = ApiConfig(
    base_url="https://kore.test",
    client_id="client",
    client_secret=SECRET,
    stream_id="st-1",
    account_id="ac-1",
    requests_per_minute=0,
)


class Died(BaseException):
    """The process is gone: what runs in its ``finally`` blocks changes nothing any more."""


class FakeClock:
    """Time that passes when somebody asks the vendor something, or sleeps."""

    def __init__(self) -> None:
        self.now = 1_767_225_600.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Sayings(logging.Handler):
    """Everything that was logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong at an effect, counted from 1.

    With an error that is no :class:`Died` only that one effect fails, and the process goes on.
    """

    at: int
    when: When
    error: BaseException


class WatchedStore(MemoryStore):
    """A process's own view of the bucket."""

    def __init__(self, process: Process, bucket: MemoryStore) -> None:
        super().__init__(
            bucket.bucket,
            clock=bucket._clock,
            honours_conditions=bucket.honours_conditions,
            ignored=bucket._ignored,
            page_size=bucket._page_size,
        )
        self._state = bucket._state
        self._process = process

    @contextmanager
    def _effect(self, name: str, key: str, *, writes: bool = False) -> Iterator[None]:  # noqa: ARG002
        with self._process.effect(name, key), self._state.lock:
            yield


class Process:
    """One try of a task: its own client, store and stop, on the world that all share.

    :param on_effect: called before each effect with its number; may run other processes, or ask this one to stop.
    """

    def __init__(
        self,
        world: World,
        *,
        plan: Plan | None = None,
        on_effect: Callable[[Process, int], None] | None = None,
        **changes: Any,
    ) -> None:
        self.world = world
        self.effects: list[str] = []
        self.asked: list[int] = []
        self.stop = Stop()
        self.store = WatchedStore(self, world.bucket)
        self.spec = world.spec(**changes)
        self.manifest: Manifest | None = None
        self.last_state = len(world.vendor.history) - 1
        self._first_state = self.last_state
        self._plan = plan
        self._on_effect = on_effect
        self._died: BaseException | None = None

    @property
    def legal(self) -> Sequence[tuple[str, ...]]:
        """What the list was while this process looked at it."""
        history = self.world.vendor.history
        if self.world.vendor.quirks.tells_changes:
            return history[self.last_state : self.last_state + 1]
        return history[self._first_state : self.last_state + 1]

    def run(self) -> Manifest:
        """Take the snapshot; what it raises may not show what is private."""
        clock = StoppableClock(self.world.clock, self.stop)
        client = CampaignClient(
            CONFIG,
            clock=clock,
            transport=StoppableTransport(self, self.stop),
            retry=RetryPolicy(uniform=lambda low, high: low),  # noqa: ARG005
        )
        try:
            self.manifest = take_snapshot(self.spec, client, self.store, clock, self.stop)
        except KoreError as err:
            self.world.said(str(err), repr(err))
            raise
        return self.manifest

    # --- a transport ---

    def send(self, request: HttpRequest) -> HttpResponse:
        self.world.clock.now += self.world.request_seconds
        with self.effect("http", request.path.rpartition("/")[2]):
            answer = self.world.vendor.answer(request)
            self.last_state = len(self.world.vendor.history) - 1
            if "skip" in request.query:
                self.asked.append(int(request.query["skip"]))
        return answer

    def close(self) -> None:
        """Nothing to give up."""

    # --- effects ---

    @contextmanager
    def effect(self, name: str, key: str) -> Iterator[None]:
        """Count one effect; do what the test planned for it; let the reader look."""
        if self._died is not None:
            raise self._died
        self.effects.append(f"{name} {key}")
        number = len(self.effects)
        if self._on_effect is not None:
            self._on_effect(self, number)
        plan = self._plan if self._plan is not None and self._plan.at == number else None
        if plan and plan.when == "before":
            self._fail(plan)
        yield
        self.world.look()
        if plan:
            self._fail(plan)

    def _fail(self, plan: Plan) -> None:
        if isinstance(plan.error, Died):
            self._died = plan.error
        raise plan.error


@dataclass
class World:
    """A clock, a vendor, a bucket.

    :param request_seconds: how long each request to the vendor takes.
    :param parameters: those of :meth:`SnapshotSpec.parse` that differ from the defaults.
    """

    contacts: int = 20
    quirks: Quirks = DOCUMENTED
    events: Mapping[int, Sequence[Callable[[Vendor], None]]] = field(default_factory=dict)
    request_seconds: float = 0.5
    honours_conditions: bool | None = True
    ignored: frozenset[Any] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.vendor = Vendor(self.clock, self.contacts, self.quirks, self.events)
        self.bucket = MemoryStore(
            clock=self.clock, honours_conditions=self.honours_conditions, ignored=self.ignored, page_size=7
        )
        self.processes: list[Process] = []
        self.errors: list[KoreError] = []
        self.seen: list[tuple[str, ...]] = []
        """The snapshots that the reader saw, each once in a row."""
        self._looked: object = None
        self._said: list[str] = []
        self._log = Sayings()
        self._parsed: tuple[Mapping[str, Any], SnapshotSpec] | None = None
        self.layout = Layout(self.spec(), CONFIG.source)

    def spec(self, **changes: Any) -> SnapshotSpec:
        """Return the spec of the task, with these parameters in place of its own."""
        if not changes and self._parsed is not None and self._parsed[0] is self.parameters:
            return self._parsed[1]
        given: dict[str, Any] = {
            "contact_list_id": LIST_ID,
            "min_contacts": 0,
            "s3_prefix": "kore/lists",
            "snapshot_date": "2026-01-01",
            "page_size": 4,
            "run": RUN,
            **self.parameters,
            **changes,
        }
        source = ContactListSource(contact_list_id=given.pop("contact_list_id"))
        parsed = SnapshotSpec.parse(source=source, min_rows=given.pop("min_contacts"), **given)
        if not changes:
            self._parsed = self.parameters, parsed
        return parsed

    def process(
        self, *, plan: Plan | None = None, on_effect: Callable[[Process, int], None] | None = None, **changes: Any
    ) -> Process:
        """Return the next try."""
        changes.setdefault("try_number", len(self.processes) + 1)
        made = Process(self, plan=plan, on_effect=on_effect, **changes)
        self.processes.append(made)
        return made

    def dies(self, at: int, when: When, **changes: Any) -> bool:
        """Run a try that dies at this effect, unless it ended before; say whether it died."""
        try:
            self.process(plan=Plan(at, when, Died()), **changes).run()
        except Died:
            return True
        except RetryableError as err:
            self.errors.append(err)
        return False

    def finish(self, *, tries: int = 12, **changes: Any) -> Process:
        """Try until one succeeds, as Airflow would; return it. What no retry can mend is raised."""
        for _ in range(tries):
            process = self.process(**changes)
            try:
                process.run()
            except RetryableError as err:
                self.errors.append(err)
                self.clock.now += 60
            else:
                return process
        raise AssertionError(f"No success in {tries} tries: {[str(err) for err in self.errors[-tries:]]}")

    # --- readers ---

    def look(self) -> None:
        """Read the table as an onlooker does, and fail unless it is one whole snapshot."""
        there, partition = self.bucket._state.objects, self.layout.partition
        now = [(key, there[key]) for key in sorted(there) if key.startswith(partition)]
        if now == self._looked:
            return
        self._looked = now
        for ids in self.snapshots():
            if not self.seen or self.seen[-1] != ids:
                self.seen.append(ids)

    def snapshots(self) -> list[tuple[str, ...]]:
        """Return the ids of every snapshot that a reader finds, each proven whole."""
        manifest = self.stored_manifest()
        if self.spec().rows_per_file is not None:
            if manifest is None:
                return []
            ids: list[str] = []
            for file in manifest.content["files"]:
                stored, found = self._decode(file["key"])
                assert stored.etag == file["etag"], "the manifest names a file that has been changed"
                assert len(found) == file["rows"]
                ids += found
            self._whole(ids, manifest.rows, consistent=manifest.consistent)
            return [tuple(ids)]
        keys = [key for key in self.bucket.bodies(self.layout.partition) if "/contacts" in key]
        assert len(keys) <= 1, "a reader would count two snapshots"
        whole = []
        for key in keys:
            stored, ids = self._decode(key)
            count, consistent = int(stored.metadata["kore-contacts"]), stored.metadata["kore-consistent"] == "true"
            self._whole(ids, count, consistent=consistent)
            whole.append(tuple(ids))
        return whole

    def stored_manifest(self) -> Manifest | None:
        """Return the manifest in the partition; it is valid at any instant."""
        body = self.bucket.bodies(self.layout.manifest).get(self.layout.manifest)
        return None if body is None else Manifest.from_bytes(body, self.layout.manifest)

    def rows(self, process: Process) -> list[dict[str, Any]]:
        """Return the contacts that a process published, for jsonl."""
        assert process.manifest is not None
        bodies = self.bucket.bodies()
        text = b"".join(gzip.decompress(bodies[key]) for key in process.manifest.keys)
        return [json.loads(line) for line in text.splitlines()]

    def _decode(self, key: str) -> tuple[StoredObject, list[str]]:
        found = self.bucket._state.objects.get(key)
        assert found is not None, f"{key} is named, but not there"
        spec = self.spec()
        ids = spec.file_format.read_ids(io.BytesIO(found.body), compression=spec.compression)
        return found.described, list(ids)

    def _whole(self, ids: Sequence[str], count: int, *, consistent: bool) -> None:
        assert len(ids) == count, f"{len(ids)} rows where {count} are said to be"
        assert len(set(ids)) == len(ids), "an id twice"
        if consistent:
            assert tuple(ids) in self.vendor.history, "a snapshot that the list never was"

    # --- staging, as an onlooker sees it ---

    def checkpoint(self, process: Process | None = None) -> int:
        """Return the offset behind the last contact that is checkpointed, by the names alone."""
        prefix = Layout(process.spec if process else self.spec(), CONFIG.source).staging
        spans: dict[str, list[tuple[int, int]]] = {}
        for key in self.bucket.bodies(prefix):
            name = CHUNK_NAME.fullmatch(key.removeprefix(prefix))
            if name:
                spans.setdefault(name[1], []).append((int(name[2]), int(name[3])))
        furthest = 0
        for chunks in spans.values():
            position = 0
            while ends := [end for start, end in chunks if start == position and end > position]:
                position = max(ends)
            furthest = max(furthest, position)
        return furthest

    def staged(self) -> dict[str, bytes]:
        """Return everything below the staging prefix."""
        return self.bucket.bodies(f"{self.spec().staging_prefix}/")

    # --- what was said ---

    def said(self, *texts: str) -> None:
        """Note what somebody could read."""
        self._said += texts

    @contextmanager
    def listening(self) -> Iterator[Sayings]:
        """Note everything that is logged meanwhile."""
        log = logging.getLogger("airflow_provider_kore")
        level = log.level
        log.setLevel(logging.DEBUG)
        log.addHandler(self._log)
        try:
            yield self._log
        finally:
            log.removeHandler(self._log)
            log.setLevel(level)

    # --- the promises ---

    def hold(self, process: Process, *, leftovers: bool = False) -> None:
        """Hold the promises against the model, after a process that succeeded.

        :param leftovers: clean-up may have failed: this run met an error there.
        """
        manifest, spec = process.manifest, process.spec
        assert manifest is not None
        stored = self.stored_manifest()
        assert stored is not None
        assert stored.content == manifest.content, "the manifest is not the one of the run that succeeded"
        landed: list[str] = []
        for file in manifest.content["files"]:
            described, ids = self._decode(file["key"])
            assert (described.etag, described.size, len(ids)) == (file["etag"], file["bytes"], file["rows"])
            assert described.metadata["kore-snapshot-id"] == manifest.snapshot_id
            landed += ids
        self._whole(landed, manifest.rows, consistent=manifest.consistent)
        if manifest.consistent:
            assert manifest.content["drift"] == []
            # Who finds that this run had published already looks at no list.
            fetched = any(effect.startswith("http") for effect in process.effects)
            assert not fetched or tuple(landed) in process.legal, "landed as consistent, but the list is another"
        else:
            assert spec.on_drift == "accept"
            assert manifest.content["drift"]
        if not leftovers:
            assert self.staged() == {}, "staging stays behind"
            assert list(self.bucket.uploads()) == [], "an unfinished upload stays behind"
            named = {*manifest.keys, self.layout.manifest}
            assert set(self.bucket.bodies(self.layout.partition)) == named, "the partition holds more than the snapshot"
        self.hold_privacy()

    def hold_privacy(self) -> None:
        """Nothing that was logged or raised shows a contact or a secret."""
        for text in (*self._said, *self._log.lines):
            assert PRIVATE not in text
            assert SECRET not in text
            assert "eyJ" not in text, "a token"
        for name, body in self.bucket.bodies(self.layout.manifest).items():
            assert PRIVATE.encode() not in body, name
