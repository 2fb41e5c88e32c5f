"""Whether a store really honours conditional writes, or accepts the header and overwrites all the same.

S3 itself does (since November 2024) and isn't asked. Others range from all of it to none, and those that ignore a
condition answer 200: nothing at the time of the write tells a fenced publisher from an unfenced one. So it is tried,
beforehand, on an object nobody needs. A probe sees a condition that is ignored, not one that isn't checked atomically.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_kore.exceptions import KoreError
from airflow_provider_kore.store.store import ABSENT, Condition, ConditionFailed, ConditionUnsupported, StoredObject

if TYPE_CHECKING:
    from airflow_provider_kore.store.store import ObjectStore

_NOBODY = Condition(etag='"00000000000000000000000000000000"')
_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Honoured:
    """Which conditions a store honours."""

    create: bool
    """A put that must not replace anything."""
    swap: bool
    """A put that must replace one certain object."""
    create_usable: bool = True
    """Whether such a put happens where it may: some stores refuse the header, or fail it always."""
    swap_usable: bool = True

    def missing(self) -> tuple[str, ...]:
        """Return those that are ignored, in words for a warning."""
        names = {"create-once put": self.create, "compare-and-swap put": self.swap}
        return tuple(name for name, honoured in names.items() if not honoured)

    @property
    def usable(self) -> bool:
        """Whether a condition may be sent at all."""
        return self.create_usable and self.swap_usable


def conditions_honoured(store: ObjectStore, prefix: str) -> Honoured:
    """Find out which conditional writes the store honours.

    Costs nothing where it is known (``store.honours_conditions``), else 5 small requests. Leaves nothing behind.

    :param prefix: where objects may be written and deleted: staging. Ends in ``/``.
    """
    known = store.honours_conditions
    if known is not None:
        return Honoured(create=known, swap=known, create_usable=known, swap_usable=known)
    key = f"{prefix}probe-{uuid.uuid4().hex}"
    with ExitStack() as undo:
        undo.callback(delete_quietly, store, key)
        wrong = _put(store, key, _NOBODY)
        first, second = _put(store, key, ABSENT), _put(store, key, ABSENT)
        there = next((each for each in (second, first, wrong) if isinstance(each, StoredObject)), None)
        right = _put(store, key, Condition(etag=there.etag)) if there is not None and there.etag else there
    return Honoured(
        create=first == "failed" or second == "failed",
        swap=wrong == "failed",
        create_usable=first != "unknown" and (isinstance(first, StoredObject) or isinstance(wrong, StoredObject)),
        swap_usable=wrong != "unknown" and isinstance(right, StoredObject),
    )


def delete_quietly(store: ObjectStore, key: str) -> None:
    """Delete a probe, or leave it to the clean-up of expired checkpoints, which knows it by its name."""
    with suppress(KoreError):
        store.delete([key])


def _put(store: ObjectStore, key: str, condition: Condition) -> StoredObject | Literal["failed", "unknown"]:
    """Put an empty object on a condition; return it, or how that was refused."""
    try:
        return store.put(key, b"", content_type=_TYPE, condition=condition)
    except ConditionFailed:
        return "failed"
    except ConditionUnsupported:
        return "unknown"
