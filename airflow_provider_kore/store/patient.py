"""A store that is waited for: an outage of some minutes is sat out here, and costs no retry of Airflow's.

Every call of the protocol may be sent again. Whether a write happened whose answer was lost is unknown; so a
condition that fails, or an upload that is gone, after that is reported as being in doubt, and the caller compares what
is there with what it sent. What is waited for, and why, is logged before each wait.
"""

from __future__ import annotations

import io
import logging
import random
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, BinaryIO, Concatenate, Final, ParamSpec, TypeVar, cast

from airflow_provider_kore.exceptions import KoreError, StoreUnavailableError
from airflow_provider_kore.store.store import ConditionFailed, ObjectStore, SessionExpired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.store.store import StoredObject, Upload

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_OUTAGE: Final = 600.0
"""Seconds for which one call is tried again, from its first failure on."""

LONGEST_FIRST_OUTAGE: Final = 120.0
"""The same until the store has answered once: it may as well be a wrong endpoint."""

FIRST_DELAY: Final = 0.5
"""Seconds before the first further try, about; each later wait doubles."""

LONGEST_DELAY: Final = 10.0
"""Seconds between two tries at the most, unless the store names more; with a timeout of twenty, a line every thirty."""

LOG_EVERY: Final = 25.0
"""Seconds of a wait that the store asked for after which it is mentioned again."""

READ_AHEAD: Final = 4 << 20
"""Bytes of an object that are fetched, again if need be, before its reader gets any: checkpoints are smaller."""


@dataclass(slots=True)
class _Outage:
    """What the stores around one bucket know of how it answers."""

    answered: bool = False
    given_up: bool = False
    """Waited for as long as that may be, and no answer since: then a call is sent once."""


def _sent_again(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Return the same method of a :class:`PatientStore`: it asks the store within, until there is an answer."""

    @wraps(method)
    def patient(self: Any, /, *args: P.args, **more: P.kwargs) -> T:
        answer: T = self._retried(lambda: getattr(self._store, patient.__name__)(*args, **more))
        return answer

    return patient


class PatientStore:
    """An :class:`~airflow_provider_kore.store.store.ObjectStore` around another one.

    :param clock: its sleep may raise, to stop the task.
    :param stop: once that is requested nothing is waited for any more.
    """

    def __init__(self, store: ObjectStore, clock: Clock, stop: Stop) -> None:
        self._store = store
        self._clock = clock
        self._stop = stop
        self._outage = _Outage()
        self.bucket = store.bucket
        self.endpoint = store.endpoint
        self.honours_conditions = store.honours_conditions
        self.uri = store.uri

    def beside(self, store: ObjectStore) -> PatientStore:
        """Return one around the same bucket with other settings: what has been waited for is not waited for again."""
        other = PatientStore(store, self._clock, self._stop)
        other._outage = self._outage
        return other

    @property
    def lacks(self) -> tuple[str, ...]:
        """See :class:`~airflow_provider_kore.store.store.ObjectStore`; so for the methods below."""
        return self._store.lacks

    head = _sent_again(ObjectStore.head)
    put = _sent_again(ObjectStore.put)
    delete = _sent_again(ObjectStore.delete)
    upload_part = _sent_again(ObjectStore.upload_part)
    complete_upload = _sent_again(ObjectStore.complete_upload)
    abort_upload = _sent_again(ObjectStore.abort_upload)

    def get(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """Open one object; its first 4 MiB have arrived then, and a short one breaks no more."""
        return self._retried(lambda: self._fetch(key))

    def _fetch(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        opened = self._store.get(key)
        if opened is None:
            return None
        stream = io.BufferedReader(cast("Any", opened), READ_AHEAD)
        try:
            stream.peek()
        except BaseException:
            stream.close()
            raise
        return stream

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """List objects; after an interruption from the beginning, without those that were told already."""
        told: set[str] = set()
        listing: Iterator[StoredObject] | None = None

        def following() -> StoredObject | None:
            nonlocal listing
            if listing is None:
                listing = iter(self._store.list(prefix))
            try:
                return next((found for found in listing if found.key not in told), None)
            except StoreUnavailableError:
                listing = None  # a generator that has raised is at its end
                raise

        while (found := self._retried(following)) is not None:
            told.add(found.key)
            yield found

    def create_upload(self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin a multipart upload, and drop those that a lost answer may have left."""
        failures = 0

        def create() -> Upload:
            nonlocal failures
            failures += 1
            return self._store.create_upload(key, content_type=content_type, metadata=metadata)

        upload = self._retried(create)
        if failures > 1:
            with suppress(KoreError):
                for other in list(self._store.list_uploads(key)):
                    if other.key == key and other.upload_id != upload.upload_id:
                        self._store.abort_upload(other)
        return upload

    def list_uploads(self, prefix: str) -> Iterator[Upload]:
        """List the unfinished uploads, all of them at once."""
        yield from self._retried(lambda: list(self._store.list_uploads(prefix)))

    def _retried(self, call: Callable[[], T]) -> T:
        """Send until it is answered, or the outage has lasted too long.

        Raises the last StoreUnavailableError; and what the call and the clock raise.
        """
        failures, begun = 0, 0.0
        while True:
            try:
                result = call()
            except ConditionFailed as failed:
                if failures and not failed.in_doubt:
                    raise type(failed)(failed.key, True) from None
                raise
            except SessionExpired:
                raise
            except StoreUnavailableError as error:
                failures += 1
                begun = begun or self._clock.monotonic()
                self._wait(error, failures, self._clock.monotonic() - begun)
            else:
                if failures:
                    log.info("S3 answers again after %.0f s.", self._clock.monotonic() - begun)
                self._outage.answered, self._outage.given_up = True, False
                return result

    def _wait(self, error: StoreUnavailableError, failures: int, so_far: float) -> None:
        longest = LONGEST_OUTAGE if self._outage.answered else LONGEST_FIRST_OUTAGE
        backoff = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 10))
        delay = max(random.uniform(backoff / 2, backoff), error.retry_after or 0.0)  # noqa: S311 - jitter, no secret
        self._outage.given_up = self._outage.given_up or so_far + delay > longest
        if self._stop.requested or self._outage.given_up:
            raise error
        log.warning(
            "Waiting for S3, for %.0f s of at most %.0f so far: %s Trying again in %.1f s; nothing that was read is "
            "lost meanwhile.",
            so_far,
            longest,
            error,
            delay,
        )
        while delay > 0:
            self._clock.sleep(min(delay, LOG_EVERY))
            delay -= LOG_EVERY
            if delay > 0:
                log.info("S3 has asked to wait: %.0f s are left.", delay)
