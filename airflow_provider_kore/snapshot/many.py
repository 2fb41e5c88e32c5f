"""Snapshots of many sources in one task: each as if it were alone, but for the looks, which they share.

A snapshot is proven by a look at its source after the last page. Where one request looks at all sources, a walk that
has reached the end of its list is set aside: all that it has read lies in checkpoints, and next to nothing in memory.
The next look proves every list that waits for one, and those are published at once, one after the other. So a list
stands :data:`TOGETHER` requests after it was read at the latest, and looks cost one request in so many. A list whose
mark has moved is walked again right then, by the rules of a single snapshot.

A try that dies, is stopped or is deferred leaves walks that wait for their look. The next one begins with a look at all
sources, which is the one that they wait for: they are published without another request.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from airflow_provider_kore import exceptions
from airflow_provider_kore.exceptions import FatalError, KoreError, NotFoundError, RetryableError, SupersededError
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.snapshot.progress import OverallProgress
from airflow_provider_kore.snapshot.run import snapshot_in_steps
from airflow_provider_kore.snapshot.work import Shared, Work
from airflow_provider_kore.store.patient import PatientStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping, Sequence

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.snapshot.manifest import Manifest
    from airflow_provider_kore.snapshot.phases import Teller
    from airflow_provider_kore.snapshot.progress import Checkpoint
    from airflow_provider_kore.snapshot.spec import SnapshotSpec
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import ObjectStore
    from airflow_provider_kore.walk.reader import Reader
    from airflow_provider_kore.walk.source import Source, Sources

log = logging.getLogger(__name__)

TOGETHER: Final = 500
"""Requests after which walks that wait are looked at, all with one request: 0.2 % of a long task's.

Fewer would cost more, and more would leave a list longer unpublished, and with more time to change and be read again.
"""

IN_A_ROW: Final = 5
"""Lists one after the other that fail because the server does not answer as it should: then it is not the lists."""

_OF_ALL: Final = (
    exceptions.BucketNotFoundError,
    exceptions.ConfigError,
    exceptions.CredentialsError,
    exceptions.PausedError,
    exceptions.RateLimitedError,
    exceptions.ScopeError,
    exceptions.StoppedError,
    exceptions.StorePermissionError,
    exceptions.StoreUnavailableError,
    exceptions.TlsError,
)
"""What the next list would fail of, too."""

_OF_THE_SERVER: Final = (exceptions.UnreachableError, exceptions.ServerError, exceptions.MalformedResponseError)

_LONGEST_REASON: Final = 300
_LONGEST_REPORT: Final = 2_000


@dataclass(slots=True)
class Outcome:
    """What has become of the sources, by their names."""

    landed: dict[str, int] = field(default_factory=dict)
    """Rows of those whose snapshots stand."""
    superseded: list[str] = field(default_factory=list)
    """Those of which another run's newer snapshot stands."""
    gone: list[str] = field(default_factory=list)
    """Those that were deleted meanwhile."""
    failed: dict[str, KoreError] = field(default_factory=dict)
    untried: int = 0
    """How many were not tried, because others failed of what is no list's fault."""

    def problem(self, unusable: Mapping[str, str]) -> KoreError | None:
        """Return what a task fails with that wants all of them; None: it has them.

        :param unusable: by a source's name: why it could not even be tried.
        """
        failed = {**self.failed, **{name: FatalError(why) for name, why in unusable.items()}}
        if not failed:
            if self.superseded and not self.landed:
                return SupersededError(
                    f"Another run has published newer snapshots of {count(len(self.superseded), 'contact list')}, "
                    "which is all of them. They stay; there is nothing to do here."
                )
            return None
        wrong = len(failed) + self.untried
        total = wrong + len(self.landed) + len(self.superseded)
        told = [f"{wrong:,} of {count(total, 'contact list')} did not land, {len(self.landed):,} did."]
        length = len(told[0])
        for number, (name, err) in enumerate(failed.items()):
            reason = f"{name}: {quoted(err, _LONGEST_REASON)}"
            if length + len(reason) > _LONGEST_REPORT:
                told.append(f"{len(failed) - number:,} more: see this task's log.")
                break
            told.append(reason)
            length += len(reason)
        if self.untried:
            told.append(f"{self.untried:,} were not tried any more.")
        message = " ".join(told)
        if all(isinstance(err, FatalError) for err in failed.values()) and not self.untried:
            return exceptions.ListsRefusedError(f"{message} Those that landed stand.")
        waits = [err.retry_after for err in failed.values() if isinstance(err, RetryableError)]
        return exceptions.ListsFailedError(
            f"{message} The next try reads only what is missing.", max((each for each in waits if each), default=None)
        )


@dataclass(slots=True)
class _Started:
    """A snapshot that has been begun."""

    spec: SnapshotSpec
    steps: Generator[bool, None, Manifest]


@dataclass(slots=True)
class _Task:
    """One task's way through its sources."""

    sources: Sources
    client: Reader
    progress: OverallProgress
    outcome: Outcome
    on_landed: Callable[[SnapshotSpec, Manifest], None]
    """Called when a snapshot stands."""
    plan: deque[Source] = field(default_factory=deque)
    _waiting: deque[_Started] = field(default_factory=deque)
    """Read to their ends, they wait for a look."""
    _seen: deque[_Started] = field(default_factory=deque)
    """They have had it."""
    _looked: int = 0
    _in_a_row: int = 0

    def look(self) -> Sequence[Source]:
        """Look at all sources; those that are new come last."""
        new = self.sources.look(self.client)
        self._looked = self.client.spent.requests
        self.progress.planned(self.sources, new)
        self.plan.extend(new)
        return new

    def run(self, begin: Callable[[Source], _Started]) -> None:
        """Take the snapshots. Raises what each of them would fail of."""
        try:
            while (self.plan or self._waiting) and self._in_a_row < IN_A_ROW:
                if self.plan and not self.is_look_due():
                    self._go_on(begin(self.plan.popleft()))
                else:
                    self._settle()
        finally:
            for started in (*self._seen, *self._waiting):
                started.steps.close()  # the next try needs to look only
        self.outcome.untried = len(self.plan) + len(self._waiting)

    def is_look_due(self) -> bool:
        """Say whether those that wait for a look have waited long enough."""
        return bool(self._waiting) and not self._seen and self.client.spent.requests - self._looked >= TOGETHER

    def _settle(self) -> None:
        """Look at all sources, and end those that have waited for that."""
        self.look()
        self._seen, self._waiting = self._waiting, deque()
        while self._seen:
            self._go_on(self._seen.popleft())

    def _go_on(self, started: _Started) -> None:
        """Take one snapshot as far as it comes."""
        dataset = started.spec.dataset
        try:
            while not next(started.steps):  # a long walk lets those that wait go first
                self._settle_within(started)
        except StopIteration as end:
            self._in_a_row = 0
            self.outcome.landed[dataset.name] = end.value.rows
            self.progress.landed(dataset, end.value.rows)
            self.on_landed(started.spec, end.value)
        except SupersededError as err:
            log.info("%s: %s", dataset.headline, err)
            self.outcome.superseded.append(dataset.name)
            self.progress.left(dataset)
        except KoreError as err:
            self._fail(started.spec, err)
        else:
            self._in_a_row = 0
            self._waiting.append(started)
            self.progress.waits(dataset)

    def _settle_within(self, started: _Started) -> None:
        try:
            self._settle()
        except BaseException as err:
            started.steps.throw(err)  # keeps what it has read, and raises the same
            raise

    def _fail(self, spec: SnapshotSpec, err: KoreError) -> None:
        self.progress.left(spec.dataset)
        if isinstance(err, NotFoundError) and self.sources.is_gone(spec.source):
            log.warning("%s was deleted meanwhile: nothing of it lands.", spec.dataset.headline)
            self.outcome.gone.append(spec.dataset.name)
            return
        if isinstance(err, _OF_ALL):
            raise err
        log.error("%s has not landed: %s", spec.dataset.headline, err)
        self.outcome.failed[spec.dataset.name] = err
        self._in_a_row = self._in_a_row + 1 if isinstance(err, _OF_THE_SERVER) else 0


def take_snapshots(
    base: SnapshotSpec,
    sources: Sources,
    client: Reader,
    store: ObjectStore,
    *,
    clock: Clock,
    stop: Stop,
    staging_store: ObjectStore,
    teller: Teller,
    outcome: Outcome,
    least: int,
    later: Collection[str] = (),
    on_landed: Callable[[SnapshotSpec, Manifest], None],
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> None:
    """Land one verified snapshot of each source, the shortest first.

    Those that this run has landed already cost no request. One that fails does not stop the others.

    :param base: of one source, in whose place each of them comes.
    :param outcome: is filled, also where an error is raised.
    :param least: fail if there are fewer.
    :param later: names of those that are tried last.
    :param on_landed: called when a snapshot stands.
    :param on_checkpoint: called now and then, with the rows of all of them; must not raise.

    Raises ShrunkError, and what every source would fail of: PausedError, StoppedError, CredentialsError, …
    """
    patient = PatientStore(store, clock, stop)
    work = Work(spec=base, source=client.config.source, store=patient, clock=clock, stop=stop, teller=teller)
    progress = OverallProgress(
        base.dataset, client, clock, teller=teller, location=store.uri(base.prefix), on_checkpoint=on_checkpoint
    )
    task = _Task(sources, client, progress, outcome, on_landed)
    found = len(task.look())
    if found < least:
        raise exceptions.ShrunkError(
            f"{count(found, 'contact list')} of this application are meant, and min_contact_lists is {least:,}. "
            "Look at the lists in Kore.ai, and at contact_list_ids, name_pattern, statuses and sources; if that is "
            "right, lower min_contact_lists."
        )
    progress.announce()
    task.plan = deque(sorted(task.plan, key=lambda source: source.dataset.name in later))
    staged = patient.beside(staging_store)
    shared = Shared(client=client, staging_store=staged, progress=progress, breaks=task.is_look_due)

    def begin(source: Source) -> _Started:
        # The place where it will be decided whether a source is walked at all: one whose mark has not moved since its
        # last snapshot could be carried forward.
        stop.check()
        spec = base.of(source)
        return _Started(spec, snapshot_in_steps(replace(work, spec=spec), shared))

    task.run(begin)
