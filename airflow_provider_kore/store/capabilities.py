"""What a store can do, found out on an object of our own before the first request to Kore.ai.

What a snapshot needs and the store refuses ends the task there, with the name of the call. What it can do without is a
warning, and a way round.

Conditional writes are tried, too. S3 itself honours them (since November 2024) and isn't asked. Other stores range from
all of it to none, and those that ignore a condition answer 200: nothing at the time of the write tells a fenced
publisher from an unfenced one. A probe sees a condition that is ignored, not one that isn't checked atomically.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from airflow_provider_kore.exceptions import (
    KoreError,
    RequestRefusedError,
    StorePermissionError,
    StoreUnavailableError,
)
from airflow_provider_kore.store.store import (
    ABSENT,
    CallUnsupported,
    Condition,
    ConditionFailed,
    ConditionUnsupported,
    StoredObject,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kore.clock import Clock
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

LAGS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between looks at an object that the store has accepted and does not show yet."""

_BODY: Final = b"what a store can do is tried on this object"
_METADATA: Final = {"kore-probe": "kept"}
_TYPE: Final = "application/octet-stream"

_NOBODY: Final = Condition(etag='"00000000000000000000000000000000"')

_conditions: dict[tuple[str, str], Honoured] = {}
"""By endpoint and bucket, for the life of the process."""


CREATE: Final = "create-once put"
"""A put that must not replace anything."""
SWAP: Final = "compare-and-swap put"
"""A put that must replace one certain object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Honoured:
    """Which conditions a store honours."""

    ignored: tuple[str, ...] = ()
    """Those that it ignores, in words for a warning."""
    usable: bool = True
    """Whether such puts happen where they may: some stores refuse the header, or fail it always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a store can do."""

    conditional: bool = True
    """Whether conditions are sent with writes: also where it is not known what becomes of them."""
    fenced: bool = False
    """Whether each condition is known to be honoured."""
    uploads: bool = True
    """Multipart uploads; without them a file goes by one put."""
    lists_uploads: bool = True
    """Whether unfinished uploads can be listed, to clean up after tries that died."""
    lacks: tuple[str, ...] = ()
    """What the store lacks of what can be done without, in words, each with the way round."""

    def __str__(self) -> str:
        """Return it in one line."""
        return f"all but {'; '.join(self.lacks)}" if self.lacks else "all that a snapshot needs"


def find_out(
    store: ObjectStore, staged: ObjectStore, clock: Clock, *, key: str, media_type: str, staging: str, durable: bool
) -> Capabilities:
    """Find out what the store can do: 7 small requests on AWS, 13 elsewhere; nothing is left behind.

    :param store: as the snapshot is written to it.
    :param staged: as checkpoints are.
    :param key: of the snapshot's object: an upload to it is begun, and aborted.
    :param media_type: of that object.
    :param staging: this run's own prefix for checkpoints; what is tried lies below it.
    :param durable: whether checkpoints will be written, so that a refusal there ends the task.

    Raises StorePermissionError (for KMS keys as well), RequestRefusedError, and what else the store raises.
    """
    lacks: list[str] = []
    uploads = _try_an_upload(key, media_type, store, lacks)
    if durable or staged.honours_conditions is None:
        try:
            _try_an_object(staging, staged, clock, lacks)
        except StorePermissionError as err:
            if durable:
                raise
            lacks.append(f"access to the staging prefix, so that it cannot be tried out ({err})")
    conditions = _try_conditions(staging, staged, lacks)
    lists_uploads = uploads and _try_to_list_uploads(key, store, lacks)
    lacks += [each for each in dict.fromkeys((*staged.lacks, *store.lacks)) if each not in lacks]
    found = Capabilities(
        conditional=conditions.usable,
        fenced=conditions.usable and not conditions.ignored,
        uploads=uploads,
        lists_uploads=lists_uploads,
        lacks=tuple(lacks),
    )
    level = logging.WARNING if lacks else logging.INFO
    log.log(level, "What the store of bucket %s can do: %s.", store.bucket, found)
    return found


@contextmanager
def _can_do_without(what: str, lacks: list[str]) -> Iterator[None]:
    """Note a refusal of what can be done without."""
    try:
        yield
    except (StorePermissionError, RequestRefusedError) as err:
        lacks.append(f"{what} ({err})")


def _try_an_object(prefix: str, store: ObjectStore, clock: Clock, lacks: list[str]) -> None:
    """Put, describe, read and delete an object."""
    key = _probe(prefix)
    written = store.put(key, _BODY, content_type=_TYPE, metadata=_METADATA)
    try:
        found = _shown(store, key, clock)
        _read_back(store, key)
    except KoreError:
        _delete_quietly(store, key)
        raise
    if written.etag and found.etag != written.etag:
        lacks.append("one ETag for one object (PutObject and HeadObject tell different ones; the latter counts)")
    with _can_do_without("deleting, so that checkpoints stay behind", lacks):
        store.delete([key])
    if found.metadata.get("kore-probe") != "kept":
        lacks.append("user metadata (the manifest and the ETag tell whose an object is)")


def _probe(prefix: str) -> str:
    """Return a key below this run's own staging, so that a probe whose process died goes with the checkpoints."""
    return f"{prefix}probe-{uuid.uuid4().hex}"


def left_probes(store: ObjectStore, prefix: str) -> list[str]:
    """Return the keys of probes that processes which died have left below a prefix."""
    is_probe = re.compile(rf"{re.escape(prefix)}probe-[0-9a-f]{{32}}").fullmatch
    return [found.key for found in store.list(f"{prefix}probe-") if is_probe(found.key)]


def _delete_quietly(store: ObjectStore, key: str) -> None:
    """Delete a probe, or leave it to the clean-up of expired checkpoints, which knows it by its name."""
    with suppress(KoreError):
        store.delete([key])


def _shown(store: ObjectStore, key: str, clock: Clock) -> StoredObject:
    """Describe an object that was just written, as soon as the store shows it."""
    for lag in (*LAGS, None):
        found = store.head(key)
        if found is not None:
            return found
        if lag is not None:
            clock.sleep(lag)
    raise StoreUnavailableError(
        f"HeadObject on {store.uri(key)}: the store accepted the object, and does not show it "
        f"{sum(LAGS):.0f} s later. Try again."
    )


def _read_back(store: ObjectStore, key: str) -> None:
    opened = store.get(key)
    body = None
    if opened is not None:
        with opened as stream:
            body = stream.read(len(_BODY) + 1)
    if body is not None and body != _BODY:
        raise RequestRefusedError(
            f"GetObject on {store.uri(key)}: the store gives back other bytes than PutObject sent. Snapshots "
            "cannot be kept there; check what lies between here and the store, and checksum_algorithm."
        )


def _try_conditions(prefix: str, store: ObjectStore, lacks: list[str]) -> Honoured:
    rivals = "two runs that publish the same partition at the same moment are told apart only by who was last"
    with _can_do_without("a way to try conditional writes", lacks):
        honoured = honoured_by(store, prefix)
        if not honoured.usable:
            lacks.append(f"conditional writes that can be used ({rivals})")
        elif honoured.ignored:
            lacks.append(f"conditional writes that are honoured: it ignores {', '.join(honoured.ignored)} ({rivals})")
        return honoured
    return Honoured(ignored=(CREATE, SWAP))  # as far as is known: they are sent, and what comes back is believed


def honoured_by(store: ObjectStore, prefix: str) -> Honoured:
    """Find out which conditional writes the store honours.

    Costs nothing where it is known (``store.honours_conditions``, or this process has tried it), else 5 small requests.
    Leaves nothing behind.

    :param prefix: where objects may be written and deleted: staging. Ends in ``/``.
    """
    known, where = store.honours_conditions, (store.endpoint, store.bucket)
    if known is not None:
        return Honoured(ignored=() if known else (CREATE, SWAP), usable=known)
    if where in _conditions:
        return _conditions[where]
    key = _probe(prefix)
    with ExitStack() as undo:
        undo.callback(_delete_quietly, store, key)
        wrong = _put(store, key, _NOBODY)
        first, second = _put(store, key, ABSENT), _put(store, key, ABSENT)
        there = next((each for each in (second, first, wrong) if isinstance(each, StoredObject)), None)
        right = _put(store, key, Condition(etag=there.etag)) if there is not None and there.etag else there
    checked = {CREATE: "failed" in (first, second), SWAP: wrong == "failed"}
    honoured = Honoured(
        ignored=tuple(name for name, yes in checked.items() if not yes),
        usable="unknown" not in (first, wrong)
        and (first, wrong) != ("failed", "failed")
        and isinstance(right, StoredObject),
    )
    if store.endpoint:
        _conditions[where] = honoured
    return honoured


def _put(store: ObjectStore, key: str, condition: Condition) -> StoredObject | Literal["failed", "unknown"]:
    """Put an empty object on a condition; return it, or how that was refused."""
    try:
        return store.put(key, b"", content_type=_TYPE, condition=condition)
    except ConditionFailed:
        return "failed"
    except ConditionUnsupported:
        return "unknown"


def _try_an_upload(key: str, media_type: str, store: ObjectStore, lacks: list[str]) -> bool:
    """Begin an upload to the very key of the snapshot, and abort it: a refusal comes before the walk, nothing shows."""
    try:
        upload = store.create_upload(key, content_type=media_type)
    except CallUnsupported:
        lacks.append("multipart uploads (a file goes by one PutObject, of 5 GiB at the most)")
        return False
    with _can_do_without(
        "aborting uploads, so that an empty one stays behind until a lifecycle rule removes it", lacks
    ):
        store.abort_upload(upload)
    return True


def _try_to_list_uploads(key: str, store: ObjectStore, lacks: list[str]) -> bool:
    with _can_do_without("listing uploads, so that those of tries that died stay behind", lacks):
        list(store.list_uploads(key))
        return True
    return False
