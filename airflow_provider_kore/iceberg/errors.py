"""What a catalog, and the storage of a table, raise: in our words, by the kind of error, and without its text.

The text may hold a connection's URI with its password, a token, or a contact.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_kore.exceptions import CatalogUnavailableError, CredentialsError, FatalError, KoreError
from airflow_provider_kore.unexpected import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSED: Final = {
    *("UnauthorizedError", "ForbiddenError", "OAuthError", "SignError", "PermissionError"),
    *("AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId"),
    *("InvalidSignatureException", "SignatureDoesNotMatch", "UnrecognizedClientException"),
}
"""Of pyiceberg and Python, and codes of AWS's answers."""

_UNAVAILABLE: Final = {
    *("AuthorizationExpiredError", "BotoCoreError", "CommitStateUnknownException", "ConnectionError", "DBAPIError"),
    *("OSError", "ServerError", "ServiceUnavailableError", "TooManyRequestsError", "WaitingForLockException"),
}
"""Of pyiceberg, requests, SQLAlchemy, botocore, pyarrow."""

_AWS: Final = re.compile("AWS Error ([A-Z_]+)")
"""How Arrow names what S3 answered: to be shown, for whatever it was, its type is OSError."""


@contextmanager
def iceberg_errors(doing: str, name: str) -> Iterator[None]:
    """Raise nothing but a KoreError.

    :param doing: in words that follow "while": ``writing data files``.
    :param name: of the table.
    """
    try:
        yield
    except KoreError:
        raise
    except Exception as err:  # noqa: BLE001  # whatever it is
        error = in_our_words(err, doing, name)
    else:
        return
    raise error from None


def in_our_words(err: Exception, doing: str, name: str) -> KoreError:
    """Return our own error for any other; parameters as above."""
    code = _code(err)
    kinds = {code, *(kind.__name__ for kind in type(err).__mro__)}
    shown = f"{type(err).__name__}{f', {code}' if code else ''}"
    if (said := _AWS.search(str(err))) and isinstance(err, OSError):
        shown += f", {said[1]}"
    if kinds & _REFUSED:
        return CredentialsError(
            f"The catalog or the storage of the Iceberg table {name} refuses its credentials while {doing} ({shown}). "
            "The table is as it was. Check the Iceberg connection: login, password, and in its extra token, s3.* and "
            "glue.*; and what this identity may do (docs/iceberg.md)."
        )
    if kinds & _UNAVAILABLE or code:
        return CatalogUnavailableError(
            f"The catalog or the storage of the Iceberg table {name} did not answer as it should while {doing} "
            f"({shown}). The table is as it was. Try again; if it stays, check the Iceberg connection: host or uri, "
            "warehouse, and s3.* in its extra; and what this identity may do (docs/iceberg.md)."
        )
    if "NotInstalledError" in kinds or isinstance(err, ImportError):
        return FatalError(
            f"The Iceberg table {name} cannot be reached while {doing}: pyiceberg lacks a library that this kind of "
            "catalog or storage needs. Install pyiceberg with the extra for it, such as pyiceberg[sql-postgres]."
        )
    return explain(f"Committing to the Iceberg table {name}, while {doing},", err)


def _code(err: Exception) -> str:
    """Return the code of an answer of AWS's, if it is one."""
    response: Any = getattr(err, "response", None)
    error = response.get("Error") if isinstance(response, dict) else None
    found = error.get("Code") if isinstance(error, dict) else None
    return found if isinstance(found, str) and found.isidentifier() else ""
