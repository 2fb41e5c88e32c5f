"""Whether a store really honours conditional writes, or accepts the header and overwrites all the same.

S3 itself does (since November 2024) and isn't asked. Others range from all of it to none, and those that ignore a
condition answer 200: nothing at the time of the write tells a fenced publisher from an unfenced one. So it is tried,
beforehand, on an object nobody needs. A probe sees a condition that is ignored, not one that isn't checked atomically.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.snapshot.store import ABSENT, Condition, ConditionFailed, ConditionUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.snapshot.store import ObjectStore

_NOBODY = Condition(etag='"00000000000000000000000000000000"')
_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Honoured:
    """Which conditions a store honours."""

    create: bool
    """A put that must not replace anything."""
    swap: bool
    """A put that must replace one certain object."""
    complete_create: bool | None
    """The same of a multipart upload's completion; None: not tried."""
    complete_swap: bool | None

    def missing(self) -> tuple[str, ...]:
        """Return those that are ignored, in words for a warning."""
        names = {
            "create-once put": self.create,
            "compare-and-swap put": self.swap,
            "create-once multipart completion": self.complete_create,
            "compare-and-swap multipart completion": self.complete_swap,
        }
        return tuple(name for name, honoured in names.items() if honoured is False)


def conditions_honoured(store: ObjectStore, prefix: str, *, multipart: bool = False) -> Honoured:
    """Find out which conditional writes the store honours.

    Costs nothing where it is known (``store.honours_conditions``), else 4 small requests, and 8 more with
    ``multipart``. Leaves nothing behind.

    :param prefix: where objects may be written and deleted: staging. Ends in ``/``.
    :param multipart: try the completion of multipart uploads too.
    """
    known = store.honours_conditions
    if known is not None:
        return Honoured(create=known, swap=known, complete_create=known, complete_swap=known)
    key = f"{prefix}probe-{uuid.uuid4().hex}"
    with ExitStack() as undo:
        undo.callback(store.delete, [key])
        swap = _refused(lambda: store.put(key, b"", content_type=_TYPE, condition=_NOBODY))
        create = any(_refused(lambda: store.put(key, b"", content_type=_TYPE, condition=ABSENT)) for _ in range(2))
        # the object exists now, so neither condition can hold
        complete_swap = _completion_refused(store, key, _NOBODY) if multipart else None
        complete_create = _completion_refused(store, key, ABSENT) if multipart else None
    return Honoured(create=create, swap=swap, complete_create=complete_create, complete_swap=complete_swap)


def _refused(write: Callable[[], object]) -> bool:
    """Return whether a write that must not happen is refused for the right reason."""
    try:
        write()
    except ConditionFailed:
        return True
    except ConditionUnsupported:
        return False
    return False


def _completion_refused(store: ObjectStore, key: str, condition: Condition) -> bool:
    with ExitStack() as undo:
        upload = store.create_upload(key, content_type=_TYPE)
        undo.callback(store.abort_upload, upload)
        parts = [store.upload_part(upload, 1, b"probe")]
        return _refused(lambda: store.complete_upload(upload, parts, condition=condition))
