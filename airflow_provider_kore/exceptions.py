"""Everything this package raises on purpose.

The branch says what to do next, the leaf what went wrong::

    KoreError
    ├── RetryableError                the same call may succeed later (``retry_after`` seconds, if the server said)
    │   ├── UnreachableError          no answer: refused, reset, timed out, name not resolved
    │   ├── ServerError               an answer that blames the server: 5xx, or an undocumented refusal
    │   ├── MalformedResponseError    an answer that is no JSON, or was cut short
    │   ├── RateLimitedError          the account's allowance is spent
    │   ├── DriftError                the list changed while it was read
    │   ├── CheckpointLostError       a checkpoint vanished or is damaged; the next try walks anew
    │   ├── StoreUnavailableError     S3 did not answer, or answered 5xx
    │   ├── ContentionError           others keep changing the partition that was to be published
    │   ├── CatalogUnavailableError   the catalog or the storage of an Iceberg table did not answer
    │   ├── TempSpaceError            no room left in the folder for temporary files
    │   ├── ListsFailedError          some of several contact lists have not landed; the others stand
    │   ├── PausedError               a wait that is longer than the caller wants to sit out
    │   └── StoppedError              the task was told to stop; what was fetched is checkpointed
    └── FatalError                    no retry can help: a person has to change something
        ├── ConnectionNotFoundError   Airflow has no connection of this id
        ├── ConfigError               a field of the connection
        ├── ParameterError            an argument of an operator or a hook method
        ├── CredentialsError          the server refuses the token: secret, algorithm, clock
        ├── ScopeError                the token is good, its scope is not granted
        ├── NotFoundError             no such contact list, campaign or path
        ├── RequestRefusedError       the server refuses the request itself (400, 405, 412, a redirect)
        ├── TlsError                  the certificate cannot be verified
        ├── ContractError             an answer the vendor's contract does not allow
        │   └── PaginationError       pages that contradict each other
        ├── SnapshotExistsError       ``replace=False`` and the partition holds another run's snapshot
        ├── SupersededError           a newer snapshot stands in this partition: there is nothing to do
        ├── DeadlineError             pausing once more would take a task past its deadline
        ├── OversizedError            more contacts than the author allows; an endless list ends here
        ├── ShrunkError               far fewer contacts than last time; nothing was replaced
        ├── SchemaChangedError        values that do not fit the types of the table's columns
        ├── CorruptSnapshotError      what was stored is not what was sent
        ├── ErasureIncompleteError    a contact is still there, where it cannot be erased
        ├── WrongStatusError          what a sensor waits for has a status from which it won't come
        ├── IncomparableError         two snapshots that prove no changes: one missing, unproven, or made otherwise
        │   └── NothingToCompareError no snapshot before: this one is the first
        ├── TableMismatchError        an Iceberg table that is not for snapshots, or has a column of another type
        ├── ListsRefusedError         some of several contact lists have not landed, for reasons that no retry helps
        ├── BucketNotFoundError       the bucket does not exist
        └── StorePermissionError      S3 refuses the call; the message names the permission

A message says what is wrong, where, and what to do. It never holds a secret, a token, a header, a body or a contact.
Every argument reaches ``Exception.__init__``, so that each error survives pickling between processes.
"""

from __future__ import annotations


class KoreError(Exception):
    """Root of all of these.

    What to do: catch it to catch all.
    """


class RetryableError(KoreError):
    """The same call may succeed later.

    What to do: let Airflow retry the task.

    :param message: what is wrong, where, what to do.
    :param retry_after: seconds the server asked to wait, None if it didn't say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class FatalError(KoreError):
    """No retry can help: a person has to change something.

    What to do: what the message says, then clear the task.
    """


class UnreachableError(RetryableError):
    """No answer: refused, reset, timed out, name not resolved, a dead proxy.

    What to do: check ``host``, ``proxy``, ``timeout``, DNS, the network.
    """

    timed_out: bool = False
    """Whether the server was reached, and its answer not complete in time."""


class ServerError(RetryableError):
    """A 5xx, or a refusal that the vendor documents nowhere.

    What to do: wait, then ask Kore.ai support.
    """


class MalformedResponseError(RetryableError):
    """The body is not JSON, ends too early, or is a web page.

    What to do: check ``host``, and what stands in between.
    """


class RateLimitedError(RetryableError):
    """The account's allowance is spent.

    What to do: lower ``requests_per_minute``, or see docs/allowance.md.

    :param window: which of the two is spent: ``per-minute`` or ``hourly``.
    """

    def __init__(self, message: str, retry_after: float | None = None, window: str = "per-minute") -> None:
        Exception.__init__(self, message, retry_after, window)
        self.retry_after = retry_after
        self.window = window


class DriftError(RetryableError):
    """The list changed while it was read.

    What to do: read it at a quiet hour, or choose another ``on_drift``: docs/transaction.md.
    """


class CheckpointLostError(RetryableError):
    """A checkpoint vanished or is damaged. The next try starts over.

    What to do: if it recurs, find what deletes in staging.
    """


class StoreUnavailableError(RetryableError):
    """S3 did not answer, or asked to wait.

    What to do: wait; check the network and the endpoint.
    """


class CatalogUnavailableError(RetryableError):
    """The catalog of an Iceberg table, or the storage of its files, did not answer, or answered an error of its own.

    What to do: wait; check the Iceberg connection and the network: docs/iceberg.md.
    """


class TempSpaceError(RetryableError):
    """The folder for temporary files is full or cannot be written. What was read is checkpointed.

    What to do: free space, or point ``TMPDIR`` elsewhere.
    """


class ListsFailedError(RetryableError):
    """Some of several contact lists have not landed. The others stand, and a retry reads only what is missing.

    What to do: let Airflow retry the task; what the message says of each list.
    """


class PausedError(RetryableError):
    """A wait longer than the caller wants; with ``deferrable=True`` the operator defers.

    What to do: nothing; the same call continues.
    """


class StoppedError(RetryableError):
    """The task was told to stop. What it had fetched is checkpointed, nothing was published.

    What to do: clear the task if no retry is due.
    """


class ContentionError(RetryableError):
    """Others keep changing the partition. What was read is checkpointed.

    What to do: let one DAG write a partition.
    """


class ConnectionNotFoundError(FatalError):
    """Airflow has no connection of this id.

    What to do: define it, or correct the id: docs/connection.md.
    """


class ConfigError(FatalError):
    """A field of the connection is missing, misspelt or impossible.

    What to do: correct the field.

    :param field: the field as the connection form labels it.
    :param problem: what is wrong with it, without the value of a secret.
    :param advice: what to write instead.
    :param connection: which connection, for the beginning of the sentence.
    """

    def __init__(self, field: str, problem: str, advice: str, connection: str = "Kore connection") -> None:
        super().__init__(field, problem, advice, connection)
        self.field = field

    def __str__(self) -> str:
        field, problem, advice, connection = self.args
        return f"{connection}, field {field!r}: {problem}; {advice}{'' if str(advice).endswith('?') else '.'}"


class ParameterError(FatalError):
    """An argument of an operator, a sensor or a hook method is impossible.

    What to do: correct the DAG.

    :param parameter: its name.
    :param problem: what is wrong with it.
    :param advice: what to pass instead.
    """

    def __init__(self, parameter: str, problem: str, advice: str) -> None:
        super().__init__(parameter, problem, advice)
        self.parameter = parameter

    def __str__(self) -> str:
        parameter, problem, advice = self.args
        return f"Parameter {parameter!r}: {problem}; {advice}{'' if str(advice).endswith('?') else '.'}"


class CredentialsError(FatalError):
    """The server refuses the token, or S3 its credentials.

    What to do: check secret, ``jwt_algorithm``, ids, ``send_jti``, the clock; or the AWS connection, if the message
    names it.
    """


class ScopeError(FatalError):
    """The token is good, but its app lacks the API scope Campaign Management.

    What to do: grant the scope, save and publish it.
    """


class NotFoundError(FatalError):
    """The server knows no such contact list, campaign or path.

    What to do: check the id; if every call says so, ``host`` and ``api_version``.
    """


class RequestRefusedError(FatalError):
    """The server refuses the request itself (400, 405, 412, …), redirects, or is a web page that refuses.

    What to do: check ids and parameters; after a redirect or a web page ``host``, proxies, login pages.
    """


class TlsError(FatalError):
    """The server's certificate cannot be verified.

    What to do: check ``host``, or set ``verify`` to the CA's bundle.
    """


class ContractError(FatalError):
    """JSON that the vendor's contract does not allow, also when asked for again.

    What to do: check ``host`` and ``api_version``, then ask Kore.ai support.
    """


class PaginationError(ContractError):
    """The pages contradict each other (echo, ids, hasMore, totals).

    What to do: see docs/pagination.md; ask Kore.ai support.
    """


class ListsRefusedError(FatalError):
    """Some of several contact lists have not landed, each for a reason that no retry helps. The others stand.

    What to do: what the message says of each list, then clear the task, or land these lists alone.
    """


class SnapshotExistsError(FatalError):
    """``replace=False`` and another run's snapshot is there, or results of an earlier run of the campaign.

    What to do: leave it, or pass ``replace=True`` or ``replace_instance=True``.
    """


class SupersededError(FatalError):
    """A later run or try has published here. Operators end as skipped.

    What to do: nothing.
    """


class DeadlineError(FatalError):
    """One more pause would end after ``deadline``. What was read is checkpointed.

    What to do: clear the task, or raise ``deadline``.
    """


class ShrunkError(FatalError):
    """Far fewer contacts than last time, or than ``min_contacts``. The previous snapshot stays.

    What to do: check the list; if it is right, change ``min_contacts`` or ``max_shrink``.
    """


class OversizedError(FatalError):
    """More contacts than ``max_contacts``. The previous snapshot stays.

    What to do: check the list; if it is right, raise ``max_contacts``.
    """


class SchemaChangedError(FatalError):
    """Values do not fit the types that their columns have had. The previous snapshot stays.

    What to do: correct the values, or change ``on_schema_change`` or ``columns``: docs/formats.md.
    """


class CorruptSnapshotError(FatalError):
    """What S3 holds differs from what was sent.

    What to do: clear the task; find what else writes there.
    """


class ErasureIncompleteError(FatalError):
    """A contact that was to be erased is still there: in an object that is not this package's own, or that is locked.

    What to do: delete or unlock what the message names, then clear the task: docs/erasure.md.
    """


class WrongStatusError(FatalError):
    """What a sensor waits for has one of its ``failed_statuses``.

    What to do: check it in Kore.ai; if that status is as good, add it to ``status``.
    """


class IncomparableError(FatalError):
    """Of two snapshots one is missing or unproven, or they were made differently.

    What to do: take the missing snapshot, or pass another ``since``: docs/changes.md.
    """


class NothingToCompareError(IncomparableError):
    """A list's first snapshot. The operator ends as skipped, unless ``on_missing="fail"``.

    What to do: nothing.
    """


class TableMismatchError(FatalError):
    """An Iceberg table is partitioned otherwise, is not marked as one for snapshots, or has a column of another type.

    What to do: pass another table, or change this one as the message says: docs/iceberg.md.
    """


class BucketNotFoundError(FatalError):
    """The S3 bucket does not exist, or another account owns the name.

    What to do: check ``s3_bucket`` and the AWS connection's ``endpoint_url``.
    """


class StorePermissionError(FatalError):
    """S3 refuses a call; the message names the permission.

    What to do: grant it: docs/s3.md.
    """
