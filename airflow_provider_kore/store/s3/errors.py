"""What S3 and botocore say when they refuse, in this package's words.

Nothing of an error's body gets into a message but two things read out of it by pattern: the error code, and the name of
an IAM action. botocore's own texts can hold URLs and parameters; of those, only the type's name is repeated.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.exceptions import (
    BucketNotFoundError,
    CredentialsError,
    KoreError,
    RequestRefusedError,
    StoreUnavailableError,
    TlsError,
)
from airflow_provider_kore.quoting import quoted
from airflow_provider_kore.store.store import (
    AccessRefused,
    CallUnsupported,
    ChecksumMismatch,
    ConditionFailed,
    ConditionUnsupported,
    SessionExpired,
    UploadGone,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.exceptions import ClientError

LONGEST_WAIT = 21_600.0
"""Seconds that S3 may ask to wait at the most: six hours, as for the vendor."""

PERMISSIONS = {
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "ListObjectVersions": "s3:ListBucketVersions",
}
"""The IAM action behind each call, where it has another name. Source: S3 user guide, "Required permissions for Amazon
S3 API operations"."""

_CREDENTIALS = {
    "InvalidAccessKeyId": "S3 does not know the access key id",
    "InvalidClientTokenId": "AWS does not know the access key id",
    "SignatureDoesNotMatch": "the secret access key does not belong to the access key id",
    "InvalidToken": "the session token is malformed or belongs to another key",
    "InvalidSecurity": "the credentials are not valid",
    "NotSignedUp": "the account is not signed up for S3",
    "AccountProblem": "AWS has a problem with the account",
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes off",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_BUSY = {
    "InternalError": "an internal error",
    "ServiceUnavailable": "it is unavailable",
    "SlowDown": "too many requests",
    "503": "it is unavailable",
    "Throttling": "too many requests",
    "ThrottlingException": "too many requests",
    "RequestLimitExceeded": "too many requests",
    "TooManyRequests": "too many requests",
    "KMS.ThrottlingException": "too many requests to KMS",
    "RequestTimeout": "the request took too long to arrive",
    "IncompleteBody": "the request did not arrive whole",
    "BadDigest": "what arrived does not match its checksum, and was not kept",
    "InvalidDigest": "what arrived does not match its checksum, and was not kept",
    "XAmzContentChecksumMismatch": "what arrived does not match its checksum, and was not kept",
    "XAmzContentSHA256Mismatch": "what arrived does not match its checksum, and was not kept",
    "OperationAborted": "another operation on the bucket is under way",
    "ConditionalRequestConflict": "another write to the same key was under way",
}
_REDIRECTS = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_REFUSALS = {
    "AccessControlListNotSupported": "the bucket has ACLs disabled; leave the parameter acl empty",
    "InvalidObjectState": "the object is archived; restore it, or keep lifecycle rules off what is still read",
    "EntityTooLarge": "the object is too large",
    "EntityTooSmall": "a part of the multipart upload is smaller than the store allows",
    "InvalidStorageClass": "the store does not have that storage class",
    "InvalidTag": "a tag is not one that S3 accepts",
    "KeyTooLongError": "the key has more than 1,024 bytes",
    "InvalidBucketName": "the bucket's name is not one that S3 accepts",
    "KMS.NotFoundException": "the KMS key does not exist in the bucket's region",
    "KMS.DisabledException": "the KMS key is disabled",
    "KMS.KMSInvalidStateException": "the KMS key is pending deletion or otherwise unusable",
}
_UNSUPPORTED = {"NotImplemented", "MethodNotAllowed", "UnsupportedOperation", "MissingContentMD5"}
"""Codes by which stores say that they don't know a call; the last one only of ``DeleteObjects``, which boto3 sends with
a CRC32 in the place of a Content-MD5."""
_UNKNOWN_HEADER = {"InvalidArgument", "InvalidRequest", "NotImplemented", "BadRequest", "UnsupportedHeader", "400"}
"""Codes by which stores refuse a header that they don't know: a condition's, say."""
_ACTION = re.compile(r"\b((?:s3|kms|s3express):[A-Z][A-Za-z]+)\b")
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")


class Unexplained(StoreUnavailableError):  # noqa: N818 - reads as its parent does; a GET of the same key tells more
    """A HEAD was refused with 400 and, as HEADs are, without a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as far as an error about it has to know."""

    operation: str
    """As the API calls it: ``PutObject``."""
    bucket: str
    key: str = ""
    """Key or prefix; empty where the call is about the bucket."""
    conditional: bool = False
    extra_permissions: tuple[str, ...] = ()
    """What the settings ask for on top: an ACL or tags need an action of their own."""
    owner: str = ""
    """The account that the bucket must belong to, if the settings say."""
    version: str = ""
    """Of the object; empty: the current one."""

    def __str__(self) -> str:
        """Return how a message names this call."""
        where = f"s3://{self.bucket}/{quoted(self.key, 1_100)}" if self.key else f"bucket {self.bucket}"
        return f"{self.operation} on {where}{' in version ' + quoted(self.version) if self.version else ''}"


def translate(error: Exception, call: Call) -> Exception:
    """Return what to raise instead of ``error``; raise the result ``from None``, or a log shows the body after all."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return _from_botocore(error, call)
    if error.operation_name not in {call.operation, "CreateSession"}:  # of AWS's token services, in the midst of a walk
        return refused_identity(error, str(call))
    return _from_answer(error.response, call)


def refused_key(refusal: Mapping[str, str], call: Call) -> Exception:
    """Return the error of a key that ``DeleteObjects`` did not delete: it answers 200 and lists them."""
    return _from_answer({"Error": refusal, "ResponseMetadata": {"HTTPStatusCode": HTTPStatus.OK}}, call)


def refused_identity(error: ClientError, where: str) -> KoreError:
    """Return what AWS's token service means by a refusal.

    :param where: the beginning of the sentence: the connection, or the call that needed new credentials.
    """
    code, status = _code_and_status(error.response, "no reason given")
    if code in _BUSY or code == "InternalFailure" or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StoreUnavailableError(f"{where}: AWS's token service has trouble ({code}). Try again later.")
    return CredentialsError(
        f"{where}: AWS refuses {error.operation_name} ({code}). Check role_arn, external_id and the login of the AWS "
        "connection, and that the role trusts this identity."
    )


def _code_and_status(answer: Any, otherwise: str) -> tuple[str, int]:
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return code if _CODE.fullmatch(code) else otherwise, status


def _from_answer(answer: Any, call: Call) -> Exception:  # noqa: C901, PLR0911 - a table of cases
    """Translate what the server answered: by the code where it is known, and by the status where it isn't."""
    code, status = _code_and_status(answer, "unknown")
    about = answer.get("ResponseMetadata", {})
    outcome = _from_condition(code, status, call, in_doubt=int(about.get("RetryAttempts", 0)) > 0)
    if outcome:
        return outcome
    if code in _EXPIRED:
        # retryable: the next try asks for new credentials, and a walk of hours outlives a session token
        return SessionExpired(
            f"{call}: the AWS session token has expired. The next try asks for a new one; "
            "if the token is written into the AWS connection, replace it there, or use a role."
        )
    if code in _CREDENTIALS:
        return CredentialsError(f"{call}: {_CREDENTIALS[code]} ({code}). Check the AWS connection.")
    if code in _REDIRECTS or status in {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TEMPORARY_REDIRECT}:
        return _wrong_region(answer, call, code)
    if status in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED} or code in _UNSUPPORTED:
        return CallUnsupported(f"{call}: the store does not implement it ({code}, status {status}).")
    if code == "400":
        return Unexplained(
            f"{call}: S3 says 400 and gives no reason, as to a HEAD; most often the session token has expired. Try "
            "again later."
        )
    said = f"{call}: S3 says {code} (status {status})"
    if code in _REFUSALS:
        return RequestRefusedError(f"{said}: {_REFUSALS[code]}.")
    if code in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        text = _BUSY.get(code, "an error of its own")
        return StoreUnavailableError(f"{said}: {text}. Try again later.", _retry_after(about))
    if code == "NoSuchBucket" or (status == HTTPStatus.NOT_FOUND and not call.key):
        return BucketNotFoundError(
            f"{call}: no such bucket at this endpoint. Check its name and the AWS connection's endpoint_url."
        )
    if status == HTTPStatus.FORBIDDEN or code in {"AccessDenied", "KMS.AccessDeniedException"}:
        return _refused(str(answer.get("Error", {}).get("Message", "")), code, call)
    return RequestRefusedError(f"{said}: the request is not one that it accepts.")


def _from_condition(code: str, status: int, call: Call, *, in_doubt: bool) -> Exception | None:
    """Outcomes that belong to the protocol.

    409 ConditionalRequestConflict isn't one: S3 says it when another write, or a delete, was under way, so whether the
    condition holds is not known. AWS says to send it again; as a StoreUnavailableError the caller's retry does, after
    it has looked again at what is there.
    """
    if code == "NoSuchUpload":
        return UploadGone(call.key, in_doubt)
    if not call.conditional:
        return None
    if status == HTTPStatus.PRECONDITION_FAILED or code in {"PreconditionFailed", "NoSuchKey", "404"}:
        return ConditionFailed(call.key, in_doubt)
    if status in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED} or (
        status == HTTPStatus.BAD_REQUEST and code in _UNKNOWN_HEADER
    ):
        return ConditionUnsupported(call.bucket)
    return None


def _wrong_region(answer: Any, call: Call, code: str) -> RequestRefusedError:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = str(headers.get("x-amz-bucket-region") or answer.get("Error", {}).get("Region") or "")
    if not re.fullmatch(r"[a-z0-9-]{1,32}", region):
        region = ""
    place = f"region {region!r}" if region else "another region"
    return RequestRefusedError(
        f"{call}: the bucket is in {place} ({code}). Set region_name to {repr(region) if region else 'its region'} in "
        "the AWS connection, and leave endpoint_url empty on AWS."
    )


def _refused(message: str, code: str, call: Call) -> AccessRefused:
    named = _ACTION.search(message)
    permission = named[1] if named else PERMISSIONS.get(call.operation, f"s3:{call.operation}")
    if call.version and permission in {"s3:GetObject", "s3:DeleteObject"}:
        permission += "Version"
    if code.startswith("KMS.") and not named:
        permission = "kms:Decrypt" if call.operation in {"GetObject", "HeadObject"} else "kms:GenerateDataKey"
    wanted = " and ".join((permission, *call.extra_permissions))
    reason = "no reason given" if code == "403" else code
    text = f"{call}: S3 refuses (status 403, {reason}). It takes {wanted}"
    if permission.startswith("kms:"):
        text += " on the KMS key: grant it in the role's policy and in the key's own"
    elif permission.startswith("s3:ListBucket"):
        text += " on the bucket, for this prefix"
    else:
        text += " on this key"
    if call.operation in {"HeadObject", "GetObject"} and permission == "s3:GetObject":
        text += (
            ". Without s3:ListBucket, S3 gives the same answer for a key that does not exist: grant s3:ListBucket for"
            " the prefix as well. An object encrypted with KMS also takes kms:Decrypt"
        )
    if code == "403":
        text += ". To a HEAD, S3 doesn't say whether it is that, or the credentials themselves"
    if call.owner:
        text += f". The bucket may also belong to another account than {call.owner} (expected_bucket_owner)"
    return AccessRefused(
        f"{text}. Bucket policies and service control policies can refuse it too.", permission, call.key
    )


def _from_botocore(error: Exception, call: Call) -> Exception:  # noqa: PLR0911 - a table of cases
    """Translate why no answer came, or why the request was never sent."""
    from botocore import exceptions as boto

    name = type(error).__name__
    if isinstance(error, boto.SSLError) and _is_untrusted(error.kwargs.get("error")):
        return TlsError(f"{call}: the endpoint's certificate cannot be verified. Check endpoint_url and the CA bundle.")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoAuthTokenError)):
        return CredentialsError(
            f"{call}: no complete AWS credentials found ({name}). Fill in the AWS connection, or give a role."
        )
    if isinstance(error, (boto.SSOError, boto.UnknownCredentialError)):
        return CredentialsError(f"{call}: the AWS credentials cannot be used ({name}). Check the AWS connection.")
    if isinstance(error, (boto.CredentialRetrievalError, boto.TokenRetrievalError)):
        return StoreUnavailableError(
            f"{call}: AWS gave no credentials ({name}). Try again; if it stays, check the worker's role."
        )
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError, OSError)):
        return StoreUnavailableError(
            f"{call}: no answer from S3 ({name}). Check endpoint_url and network, then try again."
        )
    if isinstance(error, (boto.ChecksumError, boto.FlexibleChecksumError)):
        return ChecksumMismatch(f"{call}: what arrived does not match S3's checksum of it. Try again.")
    return RequestRefusedError(
        f"{call}: botocore refuses to send it ({name}). Check the AWS connection and this task's S3 parameters."
    )


def _is_untrusted(cause: object) -> bool:
    """Say whether a certificate that cannot be verified is at the bottom of an error."""
    while isinstance(cause, BaseException) and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = next(iter(cause.args), None)  # urllib3's error holds the one of ssl
    return isinstance(cause, ssl.SSLCertVerificationError)


def _retry_after(about: Any) -> float | None:
    value = str(about.get("HTTPHeaders", {}).get("retry-after", ""))
    return min(float(value), LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,5}", value) else None
