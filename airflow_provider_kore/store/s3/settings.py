"""How objects are written to S3: encryption, ACL, tags, storage class, checksums. Checked once, then frozen."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

from airflow_provider_kore.exceptions import ParameterError
from airflow_provider_kore.parameters import check_boolean, is_missing, shown, structure

if TYPE_CHECKING:
    from botocore.config import Config

Encryption = Literal["AES256", "aws:kms", "aws:kms:dsse"]
ChecksumAlgorithm = Literal["SHA256", "CRC32", "NONE"]

CANNED_ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)
MAX_TAGS = 10
_ACCOUNT_DIGITS = 12
STORAGE_CLASSES = ("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY")
"""Those that can be read at once. GLACIER and DEEP_ARCHIVE cannot, and a manifest has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """What every object is written with. Raises ParameterError for a value that S3 would refuse.

    Empty means: as the bucket's own default has it.
    """

    encryption: Encryption | None = None
    kms_key_id: str | None = None
    """Key id, ARN or alias; with ``aws:kms`` or ``aws:kms:dsse`` only. None: the account's key for S3."""
    bucket_key: bool | None = None
    """An S3 Bucket Key spares calls to KMS; with ``aws:kms`` only."""
    acl: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    """At most 10 object tags."""
    storage_class: str | None = None
    expected_bucket_owner: str | None = None
    """Account id (12 digits); S3 refuses every call to a bucket of another account."""
    checksum_algorithm: ChecksumAlgorithm | str | None = "SHA256"
    """In whatever case it is written; None is ``NONE``: no ``x-amz-checksum`` header is sent, a Content-MD5 is.
    What S3 verifies on arrival and keeps. A multipart upload's SHA256 is composite (``…-N``), its CRC32 is of the
    full object. Source: S3 user guide, "Checking object integrity for data uploads"."""

    def __post_init__(self) -> None:
        """Check every field once."""
        _one_of("encryption", self.encryption, get_args(Encryption))
        _one_of("acl", self.acl, CANNED_ACLS)
        _one_of("storage_class", self.storage_class, STORAGE_CLASSES)
        algorithm = "NONE" if self.checksum_algorithm is None else str(self.checksum_algorithm).strip().upper()
        algorithm = algorithm.replace("-", "")
        if algorithm not in get_args(ChecksumAlgorithm):
            raise ParameterError("checksum_algorithm", f"is {self.checksum_algorithm!r}", "use sha256, crc32, or none")
        object.__setattr__(self, "checksum_algorithm", algorithm)
        self._check_kms()
        _check_tags(self.tags)
        owner = self.expected_bucket_owner
        if owner is not None and not re.fullmatch(r"[0-9]{12}", owner):
            raise ParameterError("expected_bucket_owner", "is no AWS account id", "use its 12 digits, quoted")

    def _check_kms(self) -> None:
        if self.kms_key_id is not None:
            if self.encryption not in {"aws:kms", "aws:kms:dsse"}:
                raise ParameterError("kms_key_id", "is given without KMS encryption", "set encryption to aws:kms")
            if not re.fullmatch(r"[A-Za-z0-9:/_.-]{1,2048}", self.kms_key_id):
                raise ParameterError("kms_key_id", "is no key id, ARN or alias", "copy it from the KMS console")
        if self.bucket_key is not None and self.encryption != "aws:kms":
            raise ParameterError("bucket_key", "is given without aws:kms", "set encryption to aws:kms")

    def for_staging(self) -> S3Settings:
        """Return the settings for chunks that live for hours: as encrypted, but no ACL, tags or storage class.

        Infrequent-access classes bill 30 days and 128 KiB at least for each object.
        """
        return replace(self, storage_class=None, acl=None, tags={})

    def on_write(self) -> dict[str, Any]:
        """Return the arguments of ``PutObject`` and ``CreateMultipartUpload``."""
        wanted = {
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key_id,
            "BucketKeyEnabled": self.bucket_key,
            "ACL": self.acl,
            "Tagging": urlencode(dict(self.tags)) or None,
            "StorageClass": self.storage_class,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def extra_permissions(self) -> tuple[str, ...]:
        """Return the IAM actions that a write takes beside ``s3:PutObject``."""
        acl = ("s3:PutObjectAcl",) if self.acl else ()
        return (*acl, "s3:PutObjectTagging") if self.tags else acl


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise ParameterError(name, f"is {value!r}", f"use one of {', '.join(allowed)}, or leave it empty")


def _check_tags(tags: Mapping[str, str]) -> None:
    """Source: S3 user guide, "Categorizing your objects using tags"."""
    if len(tags) > MAX_TAGS:
        raise ParameterError("tags", f"has {len(tags)} tags", f"S3 takes {MAX_TAGS} at most")
    for name, value in tags.items():
        if name.lower().startswith("aws:"):
            raise ParameterError("tags", f"has {name!r}", "names that begin with aws: are AWS's own")
        if not (re.fullmatch(r"[\w\s+\-=.:/@]{1,128}", name) and re.fullmatch(r"[\w\s+\-=.:/@]{0,256}", value)):
            advice = "use letters, digits, spaces and + - = . _ : / @; 1 to 128 in names, up to 256 in values"
            raise ParameterError("tags", f"has {name!r}", advice)


def parse_settings(given: object) -> S3Settings:
    """Check ``s3_settings``: a dictionary, or one as JSON. Raises ParameterError."""
    value = structure("s3_settings", given)
    if value is None:
        return S3Settings()
    known = [each.name for each in fields(S3Settings)]
    if not isinstance(value, Mapping):
        raise ParameterError("s3_settings", f"is {shown(value)}", f"pass a dictionary of {', '.join(known)}")
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"
            raise ParameterError("s3_settings", f"has {shown(name)}, which is no setting", advice)
    said = {name: each for name, each in value.items() if name == _CHECKSUM or not is_missing(each)}
    return S3Settings(**{name: _CHECKS.get(name, _text)(name, each) for name, each in said.items()})


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ParameterError(name, f"is {shown(value)}", "pass a string")
    return value.strip()


def _account(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_ACCOUNT_DIGITS:
        return f"{value:0{_ACCOUNT_DIGITS}d}"
    return _text(name, value)


def _tags(name: str, value: object) -> dict[str, str]:
    """Return tags: a dictionary, or a list or a string as boto3 takes them."""
    found = structure(name, value)
    if isinstance(found, str):
        found = dict(parse_qsl(found, keep_blank_values=True))
    if isinstance(found, list) and all(isinstance(each, Mapping) and set(each) == {"Key", "Value"} for each in found):
        found = {each["Key"]: each["Value"] for each in found}
    if not isinstance(found, Mapping) or not found:
        raise ParameterError(name, f"is {shown(value)}", 'pass a dictionary such as {"team": "contact center"}')
    for key, each in found.items():
        if not isinstance(key, str) or not isinstance(each, (str, int)) or isinstance(each, bool):
            raise ParameterError(name, f"has {shown(key)}: {shown(each)}", "pass strings")
    return {key: str(each) for key, each in found.items()}


def _checksum(name: str, value: object) -> str:
    """None says that there is to be none."""
    return "NONE" if value is None else _text(name, value)


_CHECKSUM = "checksum_algorithm"
_CHECKS: dict[str, Any] = {
    _CHECKSUM: _checksum,
    "expected_bucket_owner": _account,
    "tags": _tags,
    "bucket_key": check_boolean,
}


def patient_config(theirs: Config | None, said: Mapping[str, Any], timeouts: tuple[float, float] = (10, 20)) -> Config:
    """Return botocore's settings, with a patience of ours where the connection says nothing.

    botocore's own let a store that hangs go unnoticed for minutes. Trying again is
    :class:`~airflow_provider_kore.store.patient.PatientStore`'s part, which says what it waits for.

    :param theirs: as the connection has them.
    :param said: the connection's ``config_kwargs``.
    :param timeouts: seconds to connect and to read.
    """
    from botocore.config import Config

    ours: dict[str, Any] = {
        "connect_timeout": timeouts[0],
        "read_timeout": timeouts[1],
        "retries": {"mode": "standard", "total_max_attempts": 1},
    }
    config = Config(**{name: value for name, value in ours.items() if name not in said})
    return config.merge(theirs) if theirs is not None else config
