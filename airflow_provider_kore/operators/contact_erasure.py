"""Forget people: their contacts are taken out of everything that has landed of some lists."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.erasure.spec import ErasureSpec
from airflow_provider_kore.parameters import as_given, operator_parameter, parameters_of, unless_missing
from airflow_provider_kore.task.context import run_parameters
from airflow_provider_kore.task.stoppable import StoppableOperator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from airflow.sdk import Context

    from airflow_provider_kore.erasure.given import Given
    from airflow_provider_kore.snapshot.fields import FieldPolicies
    from airflow_provider_kore.stop import Stop

_OF_SPEC: Final = parameters_of(ErasureSpec)
_MOST_MASKED: Final = 1_000
"""Values that Airflow is told to mask: with each it compiles all of them anew."""


class ContactErasureOperator(StoppableOperator):
    """Take contacts out of snapshots, changes, call results and checkpoints in S3. Asks nothing of Kore.ai.

    Counts only, unless ``plan_only=False``. Files are rewritten one by one, each by a conditional write, and their
    manifests after them; all other rows stay as they were. A task that dies is continued by its retry. At the end every
    byte is searched again.

    Returns a receipt as XCom, and stores it whole below ``receipt_prefix``: counts, keys and digests, and no person.

    Who is to be forgotten is told by ``erasure_list``, ``contact_ids``, ``phone_numbers`` and ``gone_on``, all of them
    together. Erase them in Kore.ai first.

    :param s3_bucket: name of the bucket that holds the snapshots. (str, required, templated)
    :param contact_list_ids: ids of the lists, ``cl-…``; None: all below the prefixes. (Sequence[str] | str | None,
        default None, templated)
    :param erasure_list: ``s3://…`` address of a jsonl or csv file, or one packed by gzip, whose rows have an ``_id``, a
        phone number in one of ``phone_fields``, or both. (str | None, default None, templated)
    :param contact_ids: values of ``_id``. Never rendered or shown, but what a DAG file says, everyone sees who sees the
        file: prefer ``erasure_list``. (Sequence[str] | None, default None)
    :param phone_numbers: numbers, spelt as they landed or would have without ``hash``; as ``contact_ids`` otherwise.
        (Sequence[str] | None, default None)
    :param gone_on: YYYY-MM-DD; erase the contacts, too, that the changes of this day say are gone. (str | None, default
        None, templated)
    :param s3_prefix: location of the table of snapshots. (str, default 'kore/contact_lists', templated)
    :param changes_prefix: location of the table of changes; None: ``{s3_prefix}_changes``. (str | None, default None,
        templated)
    :param call_results_prefix: location of a table of call results, of which all campaigns are looked through; None:
        none. (str | None, default None, templated)
    :param staging_prefix: where the checkpoints of these lists are; None: beside the table, below ``_staging``. (str |
        None, default None, templated)
    :param receipt_prefix: where the receipt goes; None: beside the table, below ``_erasures``. (str | None, default
        None, templated)
    :param phone_fields: fields that hold a phone number. (Sequence[str] | str, default ('phoneNumber',), templated)
    :param hash_conn_id: connection whose password is the key that phone numbers were hashed with, as in the transfers.
        (str | None, default None, templated)
    :param versions: delete older versions that hold a contact, too, in a versioned bucket. (bool, default False,
        templated)
    :param plan_only: only count, and say what it would cost; False: erase. (bool, default True, templated)
    :param on_missing: what to do if an id or a phone number is nowhere, or numbers are hidden by a field policy:
        ``fail`` before anything is changed, or ``skip`` them. (str, default 'fail', templated)
    :param staging_expiry: seconds after which files that no manifest names are taken for those of a task that died.
        (float, default 86400.0)
    :param s3_settings: how objects are written, as in the transfers; what it leaves out stays as each object has it,
        but for the ACL. (Mapping[str, Any] | None, default None, templated)
    :param aws_conn_id: connection to S3. (str | None, default 'aws_default', templated)
    """

    s3_bucket: str = operator_parameter(templated=True, doc="name of the bucket that holds the snapshots")
    contact_list_ids: Sequence[str] | str | None = _OF_SPEC["contact_list_ids"]
    erasure_list: str | None = operator_parameter(
        check=unless_missing(as_given),
        templated=True,
        doc="``s3://…`` address of a jsonl or csv file, or one packed by gzip, whose rows have an ``_id``, a phone "
        "number in one of ``phone_fields``, or both",
    )
    contact_ids: Sequence[str] | None = operator_parameter(
        doc="values of ``_id``. Never rendered or shown, but what a DAG file says, everyone sees who sees the file: "
        "prefer ``erasure_list``"
    )
    phone_numbers: Sequence[str] | None = operator_parameter(
        doc="numbers, spelt as they landed or would have without ``hash``; as ``contact_ids`` otherwise"
    )
    gone_on: str | None = _OF_SPEC["gone_on"]
    s3_prefix: str = _OF_SPEC["s3_prefix"]
    changes_prefix: str | None = _OF_SPEC["changes_prefix"]
    call_results_prefix: str | None = _OF_SPEC["call_results_prefix"]
    staging_prefix: str | None = _OF_SPEC["staging_prefix"]
    receipt_prefix: str | None = _OF_SPEC["receipt_prefix"]
    phone_fields: Sequence[str] | str = _OF_SPEC["phone_fields"]
    hash_conn_id: str | None = operator_parameter(
        check=unless_missing(as_given),
        templated=True,
        doc="connection whose password is the key that phone numbers were hashed with, as in the transfers",
    )
    versions: bool = _OF_SPEC["versions"]
    plan_only: bool = _OF_SPEC["plan_only"]
    on_missing: str = _OF_SPEC["on_missing"]
    staging_expiry: float = _OF_SPEC["staging_expiry"]
    s3_settings: Mapping[str, Any] | None = operator_parameter(
        templated=True,
        is_json=True,
        doc="how objects are written, as in the transfers; what it leaves out stays as each object has it, but for the "
        "ACL",
    )
    aws_conn_id: str | None = operator_parameter(templated=True, doc="connection to S3")
    doing = "Erasing contacts"
    ui_color = "#d9ead3"

    def __init__(
        self,
        *,
        s3_bucket: str,
        contact_list_ids: Sequence[str] | str | None = None,
        erasure_list: str | None = None,
        contact_ids: Sequence[str] | None = None,
        phone_numbers: Sequence[str] | None = None,
        gone_on: str | None = None,
        s3_prefix: str = "kore/contact_lists",
        changes_prefix: str | None = None,
        call_results_prefix: str | None = None,
        staging_prefix: str | None = None,
        receipt_prefix: str | None = None,
        phone_fields: Sequence[str] | str = ("phoneNumber",),
        hash_conn_id: str | None = None,
        versions: bool = False,
        plan_only: bool = True,
        on_missing: str = "fail",
        staging_expiry: float = 86_400.0,
        s3_settings: Mapping[str, Any] | None = None,
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def _work(self, context: Context, stop: Stop) -> dict[str, Any]:
        """Erase, or count."""
        from airflow_provider_kore.erasure.given import given_directly
        from airflow_provider_kore.erasure.run import erase
        from airflow_provider_kore.hooks.airflow_versions import mask_secret
        from airflow_provider_kore.hooks.s3 import open_with_versions
        from airflow_provider_kore.snapshot.phases import Teller

        run = run_parameters(context, self.retries)
        spec = ErasureSpec.parse(**self._given(*_OF_SPEC), run=run["run"], generation=run["generation"])
        direct = given_directly("contact_ids", self.contact_ids, "id")
        direct += given_directly("phone_numbers", self.phone_numbers, "phone")
        for each in direct[:_MOST_MASKED]:
            mask_secret(each.value)
        policies = self._policies(spec)
        store = open_with_versions(*self._given("s3_bucket", "aws_conn_id", "s3_settings").values())
        teller = Teller()
        with teller.watching(), self._listed(spec, direct) as given:
            return erase(spec, store, given, policies=policies, stop=stop, teller=teller)

    def _listed(self, spec: ErasureSpec, direct: list[Given]) -> AbstractContextManager[Iterable[Given]]:
        """Fetch the erasure list, and put it after what the DAG names. Raises ParameterError."""
        from airflow_provider_kore.erasure.given import fetched_list
        from airflow_provider_kore.exceptions import ParameterError
        from airflow_provider_kore.hooks.s3 import open_with_versions
        from airflow_provider_kore.parameters import shown

        address = self._checked("erasure_list")
        if address is None:
            return nullcontext(direct)
        bucket, _, key = str(address).removeprefix("s3://").partition("/")
        if not str(address).startswith("s3://") or not key:
            raise ParameterError(
                "erasure_list", f"is {shown(address)}", "pass an address such as 's3://bucket/list.jsonl'"
            )
        return fetched_list(open_with_versions(bucket, self.aws_conn_id), key, spec.phone_fields, direct)

    def _policies(self, spec: ErasureSpec) -> FieldPolicies | None:
        """Return policies that hash the phone numbers with the key of the connection; None: there is none."""
        conn_id = self._checked("hash_conn_id")
        if conn_id is None:
            return None
        from airflow_provider_kore.hooks.connections import hash_key
        from airflow_provider_kore.snapshot.fields import FieldPolicies

        policies = FieldPolicies.parse(None, dict.fromkeys(spec.phone_fields, "hash"))
        return policies.with_key(*hash_key(conn_id))
