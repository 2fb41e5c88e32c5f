"""What an erasure notes for its next try, and in the end its receipt: two small objects, and no person in them."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.erasure.worker import Known
from airflow_provider_kore.exceptions import ContentionError
from airflow_provider_kore.store.store import ABSENT, Condition, ConditionFailed, read_at_most

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.store.store import ObjectStore

VERSION: Final = 1
_MOST: Final = 256 << 20
_SALT: Final = 16


class Progress:
    """One of them. Every write replaces just what was read, so that of two processes one goes on."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._condition = ABSENT
        self._body = b""
        self.content: dict[str, Any] = {}

    def read(self) -> None:
        """Read what an earlier try has noted; what is none of it counts as nothing."""
        found = self._store.head(self._key)
        opened = self._store.get(self._key) if found is not None else None
        if found is None or opened is None:
            return
        with opened as stream:
            body = read_at_most(stream, _MOST)
        self._condition, self._body = Condition(etag=found.etag), body
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return
        if isinstance(content, dict) and content.get("schema_version") == VERSION:
            self.content = content

    @property
    def key(self) -> str:
        """Where it is."""
        return self._key

    @property
    def stage(self) -> str:
        """``""``, ``erasing``, ``changes`` (they come last, and all else is done), ``incomplete`` or ``done``."""
        return str(self.content.get("stage") or "")

    @property
    def salt(self) -> bytes:
        """Of the pseudonyms."""
        try:
            return bytes.fromhex(str(self.content.get("salt") or ""))
        except ValueError:
            return b""

    def fresh_salt(self) -> bytes:
        """Return the one that was noted, or a new one."""
        return self.salt or secrets.token_bytes(_SALT)

    @property
    def counted(self) -> dict[str, Known]:
        """What was counted of each object."""
        told: Any = self.content.get("counted")
        try:
            return {str(key): Known(str(etag), int(erased), int(size)) for key, (etag, erased, size) in told.items()}
        except (AttributeError, TypeError, ValueError):
            return {}

    def take_over(self, other: Progress) -> None:
        """Go on from what another run has noted."""
        self.content = other.content

    def write(self, content: Mapping[str, Any], *, indent: int | None = None) -> None:
        """Replace what was noted. Raises ContentionError if another process did so meanwhile."""
        body = (json.dumps({"schema_version": VERSION, **content}, indent=indent) + "\n").encode()
        try:
            stored = self._store.put(self._key, body, content_type="application/json", condition=self._condition)
        except ConditionFailed as failed:
            found = self._store.head(self._key) if failed.in_doubt else None
            if found is None or not self._holds(body):
                raise ContentionError(
                    f"{self._store.uri(self._key)} was written by another process of this task meanwhile. Let one "
                    "erase alone; the next try continues where they are."
                ) from None
            stored = found
        self._condition = Condition(etag=stored.etag)
        self.content = json.loads(body)
        self._body = body

    @property
    def body(self) -> bytes:
        """What was read, or written last."""
        return self._body

    def _holds(self, body: bytes) -> bool:
        opened = self._store.get(self._key)
        if opened is None:
            return False
        with opened as stream:
            return read_at_most(stream, _MOST) == body
