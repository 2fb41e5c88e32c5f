"""The manifest of a snapshot after an erasure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.snapshot.manifest_checks import MOST_REPLACED

if TYPE_CHECKING:
    from collections import Counter

    from airflow_provider_kore.snapshot.manifest import Manifest

MOST_ERASURES: Final = 1_000
"""That a manifest tells of: the newest."""

_COUNTS: Final = ("contacts", "campaigns", "contact_lists", "changes")
_KINDS: Final = ("added", "changed", "gone")


def erased_content(
    manifest: Manifest, entries: dict[str, dict[str, Any]], kinds: Counter[str], digest: str, now: str
) -> dict[str, Any]:
    """Return a manifest that says what lies there after an erasure; without a seal, which only a landing can set.

    :param entries: of the files that are other ones now, by key.
    :param kinds: of a table of changes, how many rows of each kind are left.
    :param digest: of the manifest that stood there.
    :param now: ISO 8601.
    """
    content = {name: value for name, value in manifest.content.items() if name != "seal"}
    content["files"] = [entries.get(file["key"], file) for file in manifest.files]
    rows = sum(int(file["rows"]) for file in content["files"])
    erased = manifest.rows - rows
    content |= {name: rows for name in _COUNTS if name in content}
    if "changes" in content:
        content |= {name: kinds[name] for name in _KINDS if name in content}
    before, told, replaces = (content.get(name) for name in ("erased", "erasures", "replaces"))
    # a later run of this day keeps what the manifest replaces, and not what it says of erasures
    content["replaces"] = [digest, *(replaces if isinstance(replaces, list) else [])][:MOST_REPLACED]
    content["erased"] = (before if isinstance(before, int) else 0) + erased
    content["erasures"] = [
        *(told if isinstance(told, list) else []),
        {"erased_at": now, "rows": erased, "manifest_sha256": digest},
    ][-MOST_ERASURES:]
    return content
