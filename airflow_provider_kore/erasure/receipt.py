"""What is said of an erasure, before it and after it: counts, keys and digests, and no person."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore import __version__
from airflow_provider_kore.quoting import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.erasure.final import Searched
    from airflow_provider_kore.erasure.persons import Persons
    from airflow_provider_kore.erasure.plan import Plan
    from airflow_provider_kore.erasure.spec import ErasureSpec
    from airflow_provider_kore.store.store import ObjectStore

log = logging.getLogger(__name__)

MOST_SHOWN: Final = 1_000
"""Objects that are named in an XCom; the receipt names all."""


def told_beforehand(
    spec: ErasureSpec, persons: Persons, plan: Plan, *, versions: str, missing: int, holding: list[str]
) -> dict[str, Any]:
    """Return what an erasure would do and cost.

    :param versions: what is done about older versions, in words.
    :param missing: how many entries are nowhere.
    :param holding: keys of objects of others that hold a trace of someone.
    """
    objects = [{"key": key, "rows": each.erased, "bytes": each.size} for key, each in plan.rewritten.items()]
    return {
        "plan_only": True,
        "erasure": spec.name,
        "given": _of(persons),
        "not_found": missing,
        "hidden": len(plan.hidden),
        "rows": plan.rows,
        "objects": objects[:MOST_SHOWN],
        "checkpoints": len(plan.checkpoints),
        "old_versions": len(plan.old.doomed),
        "versions": versions,
        "strangers": plan.strangers[:MOST_SHOWN],
        "strangers_with_traces": holding[:MOST_SHOWN],
        "cost": plan.cost,
    }


def receipt_of(
    spec: ErasureSpec, persons: Persons, erased: Mapping[str, int], searched: Searched, **said: Any
) -> dict[str, Any]:
    """Return the receipt.

    :param erased: rows by the key of each object that was rewritten.
    :param said: what only the run knows.
    """
    run = spec.run
    rows = {key: each for key, each in sorted(erased.items()) if each}
    return {
        "stage": "done",
        "complete": not searched.strangers,
        "erasure": spec.name,
        "provider_version": __version__,
        "run": {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": run.task_id, "map_index": run.map_index},
        "given": _of(persons),
        "rows_erased": sum(rows.values()),
        "objects": [
            {"key": key, "rows_erased": each, "sha256": searched.digests.get(key)} for key, each in rows.items()
        ],
        **said,
        "searched": {
            "objects": searched.objects,
            "bytes": searched.size,
            "prefixes": [
                *(prefix for table in spec.tables for prefix in table.prefixes),
                *spec.staging_prefixes,
                f"{spec.receipt_prefix}/",
            ],
            "rows_left": sum(searched.rows.values()),
            "mentions": searched.mentions,
            "strangers_with_traces": searched.strangers,
        },
    }


def summary_of(spec: ErasureSpec, store: ObjectStore, receipt: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Return the XCom: the receipt, with no more objects than are worth looking at, and where all of it is.

    :param body: the receipt as it is stored.
    """
    searched = dict(receipt["searched"])
    for name in ("mentions", "strangers_with_traces"):
        searched[name] = searched[name][:MOST_SHOWN]
    return {
        **{name: value for name, value in receipt.items() if name not in {"schema_version", "stage"}},
        "objects": list(receipt["objects"])[:MOST_SHOWN],
        "searched": searched,
        "plan_only": False,
        "bucket": store.bucket,
        "receipt_key": spec.receipt,
        "receipt_sha256": hashlib.sha256(body).hexdigest(),
    }


def warn_of_mentions(searched: Searched, store: ObjectStore) -> None:
    """Say where somebody else's row still names someone."""
    if searched.mentions:
        log.warning(
            "%s still %s an id or a number of someone who was forgotten, in a row of another contact or under a name "
            "that phone_fields does not have; such as %s.",
            count(len(searched.mentions), "file"),
            "names" if len(searched.mentions) == 1 else "name",
            store.uri(searched.mentions[0]),
        )


def _of(persons: Persons) -> dict[str, int]:
    return {"ids": len(persons.ids), "phone_numbers": len(persons.phones)}
