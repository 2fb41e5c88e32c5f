"""Everything this package raises on purpose.

The branch says what to do next, the leaf what went wrong::

    KoreError
    ├── RetryableError                the same call may succeed later (``retry_after`` seconds, if the server said)
    │   ├── UnreachableError          no answer: refused, reset, timed out, name not resolved
    │   ├── ServerError               an answer that blames the server: 5xx, or a refusal nobody documents
    │   ├── MalformedResponseError    an answer that is no JSON, or was cut short
    │   ├── RateLimitedError          the account's allowance is spent
    │   ├── DriftError                the list changed while it was read
    │   ├── CheckpointLostError       a checkpoint vanished or is damaged; the next try walks anew
    │   ├── StoreUnavailableError     S3 did not answer, or answered 5xx
    │   ├── ContentionError           others keep changing the partition that was to be published
    │   ├── TempSpaceError            no room left in the folder for temporary files
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
        │   └── PaginationError       pages whose witnesses contradict each other
        ├── SnapshotExistsError       ``replace=False`` and the partition holds another run's snapshot
        ├── SupersededError           a newer snapshot stands in this partition: there is nothing to do
        ├── DeadlineError             pausing once more would take a task past its deadline
        ├── OversizedError            more contacts than the author allows; an endless list ends here
        ├── ShrunkError               far fewer contacts than last time; nothing was replaced
        ├── CorruptSnapshotError      what was stored is not what was sent
        ├── WrongStatusError          what a sensor waits for has a status from which it won't come
        ├── IncomparableError         two snapshots that prove no changes: one missing, unproven, or made otherwise
        │   └── NothingToCompareError no snapshot before: this one is the first
        ├── BucketNotFoundError       the bucket does not exist
        └── StorePermissionError      S3 refuses the call; the message names the permission

A message says what is wrong, where, and what to do. It never holds a secret, a token, a header, a body or a contact.
Every argument reaches ``Exception.__init__``, so that each error survives pickling between processes.
"""

from __future__ import annotations

__all__ = [
    "BucketNotFoundError",
    "CheckpointLostError",
    "ConfigError",
    "ConnectionNotFoundError",
    "ContentionError",
    "ContractError",
    "CorruptSnapshotError",
    "CredentialsError",
    "DeadlineError",
    "DriftError",
    "FatalError",
    "IncomparableError",
    "KoreError",
    "MalformedResponseError",
    "NotFoundError",
    "NothingToCompareError",
    "OversizedError",
    "PaginationError",
    "ParameterError",
    "PausedError",
    "RateLimitedError",
    "RequestRefusedError",
    "RetryableError",
    "ScopeError",
    "ServerError",
    "ShrunkError",
    "SnapshotExistsError",
    "StoppedError",
    "StorePermissionError",
    "StoreUnavailableError",
    "SupersededError",
    "TempSpaceError",
    "TlsError",
    "UnreachableError",
    "WrongStatusError",
]


class KoreError(Exception):
    """Root of everything this package raises on purpose."""


class RetryableError(KoreError):
    """The same call may succeed later.

    :param message: what is wrong, where, what to do.
    :param retry_after: seconds the server asked to wait, None if it didn't say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class FatalError(KoreError):
    """No retry can help: a person has to change something. The message says what."""


class UnreachableError(RetryableError):
    """No answer came: connection refused or reset, a name that doesn't resolve, a timeout."""


class ServerError(RetryableError):
    """The server blames itself (5xx), or refuses in a way that no page documents."""


class MalformedResponseError(RetryableError):
    """The body is no JSON, or ends too early."""


class RateLimitedError(RetryableError):
    """The account's allowance is spent: status 429, or one of the vendor's rate limit texts.

    :param window: which of the two is spent: ``per-minute`` or ``hourly``.
    """

    def __init__(self, message: str, retry_after: float | None = None, window: str = "per-minute") -> None:
        Exception.__init__(self, message, retry_after, window)
        self.retry_after = retry_after
        self.window = window


class DriftError(RetryableError):
    """The list changed while it was read; the message says which numbers moved."""


class CheckpointLostError(RetryableError):
    """A checkpoint vanished while it was needed, or does not hold what was written. The next try walks anew."""


class StoreUnavailableError(RetryableError):
    """S3 did not answer, or asked to come back later."""


class TempSpaceError(RetryableError):
    """The folder for temporary files is full or cannot be written."""


class PausedError(RetryableError):
    """The next request may not start for ``retry_after`` seconds, longer than the caller wants to sit out.

    What was fetched is checkpointed; the same call continues there.
    """


class StoppedError(RetryableError):
    """The task was told to stop. What it had fetched is checkpointed, nothing was published."""


class ContentionError(RetryableError):
    """Others keep changing the same partition, or removed what was just published; no newer snapshot is known to stand.

    What was read is checkpointed.
    """


class ConnectionNotFoundError(FatalError):
    """Airflow has no connection of this id, in any place where it looks for one."""


class ConfigError(FatalError):
    """A field of the connection is missing, misspelt or impossible.

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
    """The server refuses the token: wrong secret, wrong algorithm, wrong stream or account, or a clock far off."""


class ScopeError(FatalError):
    """The token is good, but its app lacks the API scope Campaign Management."""


class NotFoundError(FatalError):
    """The server knows no such contact list, campaign or path."""


class RequestRefusedError(FatalError):
    """The server refuses the request itself: 400, 405, 412, a redirect."""


class TlsError(FatalError):
    """The server's certificate cannot be verified."""


class ContractError(FatalError):
    """The answer is JSON, but not what the vendor's contract allows."""


class PaginationError(ContractError):
    """The pages contradict each other (echo, ids, hasMore, totals); the message says which."""


class SnapshotExistsError(FatalError):
    """``replace=False`` and a snapshot that another run published, or call results that the vendor has no more."""


class SupersededError(FatalError):
    """A newer snapshot stands in this partition: of a run that began later, or of a later try of this one.

    What the task was there for is done, by somebody else: operators end as skipped.
    """


class DeadlineError(FatalError):
    """One more pause would end behind the deadline that the task was given; what was fetched is checkpointed."""


class ShrunkError(FatalError):
    """The list has far fewer contacts than the guards allow; the previous snapshot stays."""


class OversizedError(FatalError):
    """The list has more contacts than ``max_contacts`` allows; the previous snapshot stays."""


class CorruptSnapshotError(FatalError):
    """What S3 holds differs from what was sent."""


class WrongStatusError(FatalError):
    """A campaign, or a list, that a sensor waits for has a status from which it will not come to the one waited for."""


class IncomparableError(FatalError):
    """Two snapshots don't tell what changed: one is missing or not proven consistent, or they were made differently."""


class NothingToCompareError(IncomparableError):
    """The list has no snapshot before this one: it is the first."""


class BucketNotFoundError(FatalError):
    """The S3 bucket does not exist (or another account owns the name)."""


class StorePermissionError(FatalError):
    """S3 refuses a call; the message names the permission it needs."""
