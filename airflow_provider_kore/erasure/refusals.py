"""What an erasure refuses before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kore.exceptions import ParameterError, RequestRefusedError
from airflow_provider_kore.parameters import shown
from airflow_provider_kore.quoting import count, quoted
from airflow_provider_kore.store.capabilities import SWAP, honoured_by
from airflow_provider_kore.store.store import CallUnsupported

if TYPE_CHECKING:
    from airflow_provider_kore.erasure.survey import Survey
    from airflow_provider_kore.erasure.work import Work

_SHOWN = 5


def check_anyone(work: Work) -> None:
    """Raise ParameterError where no one is named."""
    if not len(work.persons) and work.spec.gone_on is None:
        raise ParameterError(
            "erasure_list",
            "names no one, and neither do contact_ids, phone_numbers and gone_on",
            "say who is to be forgotten",
        )


def check_places(work: Work, found: Survey) -> None:
    """Raise ParameterError where nothing lies: what is misspelt would pass for erased."""
    lacking = [each for each in work.spec.contact_list_ids or () if each not in found.values]
    if lacking:
        raise ParameterError(
            "contact_list_ids",
            f"has {quoted(repr(lacking[0]))}, of which nothing lies below {work.store.uri(work.spec.prefix)}/",
            "check its spelling and s3_prefix, or leave it out",
        )
    if not (found.values or found.others):
        raise ParameterError(
            "s3_prefix", f"is {shown(work.spec.prefix)}, below which nothing lies", "check its spelling"
        )


def check_whom(work: Work, found: Survey, missing: list[int]) -> None:
    """Raise ParameterError where snapshots hide phone numbers, or someone is nowhere; it names places, and no person.

    :param missing: numbers of entries.
    """
    if found.hidden:
        raise ParameterError(
            "phone_numbers",
            f"cannot be found everywhere, because a field policy hides them: {_some(found.hidden, '; ')}. Nothing was "
            "changed by this try",
            "pass hash_conn_id where they are hashed (the snapshots of each key in a task of its own, by "
            "contact_list_ids), or ids as well, and on_missing='skip' for the rest",
        )
    if missing:
        given, numbers = len(work.persons), [f"{number:,}" for number in missing]
        raise ParameterError(
            "on_missing",
            f"is 'fail', and {count(len(missing), 'entry', 'entries')} of {given:,} are nowhere in these lists: "
            f"number {_some(numbers, ', ')}. Nothing was changed",
            "correct the list, or pass on_missing='skip' if they may be absent",
        )


def _some(all_of_them: list[str], between: str) -> str:
    more = len(all_of_them) - _SHOWN
    return between.join(all_of_them[:_SHOWN]) + (f"{between.strip()} and {more:,} more" if more > 0 else "")


def check_conditions(work: Work) -> None:
    """Refuse a store that ignores conditional writes. Raises RequestRefusedError."""
    honoured = honoured_by(work.store, work.spec.probes)
    if SWAP in honoured.ignored or not honoured.usable:
        raise RequestRefusedError(
            f"{work.store.uri(work.spec.prefix)}: the store does not honour conditional writes, so an erasure could "
            "overwrite a snapshot that lands meanwhile. Nothing was changed; docs/s3.md says which stores do."
        )


def check_writing(work: Work, found: Survey) -> None:
    """Begin an upload to each list as a file of it was written, and abort it: what is refused is refused beforehand."""
    for key in {key.rpartition("/snapshot_date=")[0]: key for key in found.rewritten}.values():
        traits = work.store.traits(key)
        if traits is None:
            continue
        store = work.store.like(traits)
        try:
            store.abort_upload(store.create_upload(key, content_type=traits.content_type))
        except CallUnsupported:
            return
