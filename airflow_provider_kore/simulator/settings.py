"""Every point on which the vendor's pages are silent, as one frozen value.

A default is what the pages make most likely. Change any of them at run time: ``kore.configure(total="missing")``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kore.simulator.checks import check_types

if TYPE_CHECKING:
    from collections.abc import Mapping

Algorithm = Literal["HS256", "HS512", "RS256", "RS512"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the simulated environment is set up and how it reads the unwritten parts of the contract.

    The app and its token (vendor: API scopes, JWT apps):

    :param client_id: the app's client id, the token's claim ``appId``.
    :param client_secret: signs HS256 and HS512 tokens.
    :param public_key: PEM that checks RS256 and RS512 tokens; none: a pair is made.
    :param stream_id: the application, in the path and in the header ``iid``.
    :param account_id: the account, in the header ``accountId`` and (v2) in the query.
    :param jwt_algorithm: the only algorithm the app accepts.
    :param enforce_jti: refuse a token without a new ``jti``.
    :param enforce_jwe: refuse every token, as if it had to be encrypted.
    :param scope_granted: the app has the scope Campaign Management.
    :param require_exp: refuse a token that never expires.
    :param check_iat: refuse a token whose ``iat`` is in the future.
    :param leeway: seconds by which ``exp`` and ``iat`` may be off.
    :param clock_offset: seconds that the server's clock is ahead.

    Refusals (vendor: no campaign page shows an error body):

    :param error_key: key of the text in ``{"errors": [{…}]}``.
    :param failure_status: ``status`` of a refusal under HTTP 200.
    :param unknown_id: answer to an id that does not exist.
    :param wrong_account: answer to a missing or foreign ``accountId``: 401 or 412.
    :param account_in_query: ``accountId`` in the query of call results; on v1 of all calls but contacts.
    :param post_status: HTTP status of a success that answers a POST.
    :param require_content_type: refuse (412) a request without ``Content-Type: application/json``.

    Rate limits (vendor: 60 requests per rolling minute and account; the rest is unwritten):

    :param requests_per_minute: rolling, per account; 0: unlimited, as the fixture starts.
    :param requests_per_hour: the same for the hour.
    :param minute_seconds: length of the short window.
    :param hour_seconds: length of the long window.
    :param count_refused: refused requests use up allowance, too.
    :param rate_limit_status: HTTP status of the refusal.
    :param rate_limit_message: its text; ``window`` names the spent one.
    :param rate_limit_body: the JSON around the text.
    :param retry_after: header ``Retry-After``: ``wait`` (in seconds), ``date``, or any text.
    :param limit_headers: headers with the limit and what is left.

    Pages (vendor: the request side of ``getAllContacts`` is unwritten):

    :param default_limit: page size when the request names none.
    :param max_limit: largest page size.
    :param limit_handling: above ``max_limit``; ``ignore`` takes ``default_limit``, ``reject_any`` refuses every limit.
    :param changed_limit: largest page size from ``changed_limit_from`` on; 0: no change.
    :param changed_limit_from: offset of that.
    :param skip_handling: ``ignore`` serves the first page for any ``skip``.
    :param ignored_skip_echo: an ignored ``skip`` is echoed as 0 or as asked.
    :param envelope: where the paging fields are: in ``data``, or at the top.
    :param echo: the answer names its ``skip`` and ``limit``.
    :param total: what ``totalResults`` counts, or what is wrong with it.
    :param total_error: added to a ``wrong`` total.
    :param total_cap: largest number of a ``capped`` total.
    :param has_more: ``hasMore``.
    :param sort: order of the contacts.
    :param sort_by_name: ``name`` in the ``sortBy`` of campaigns; ``required`` if any field is there.
    :param sort_by_order: which field of ``sortBy`` counts first.

    Lists and campaigns:

    :param ids: contact ids of lists added from now on.
    :param updated_at_moves: changes move the list's ``updatedAt``.
    :param catalogue_updated_at: ``updatedAt`` in the catalogue; ``stale``: the list's creation.
    :param record_count: ``totalRecordCount``; ``by_source``: 0 for lists fed over an API.
    :param campaign_instance: ``campaignInstanceUpdatedAt`` in the list, in the details too, or missing.
    :param campaign_instance_moves: when it moves: at each start, or with any change of status.
    :param add_contacts_delay: seconds until pushed contacts appear.
    :param add_contacts_requests: requests until they appear, too.

    The simulator itself:

    :param latency: seconds every answer takes at least.
    :param row_latency: seconds more for each row of a page.
    :param seed: seed of everything random.
    :param keep_requests: records kept in ``requests``.
    """

    client_id: str = "cs-simulated-client"
    client_secret: str = "simulated-secret-that-is-long-enough-for-every-hmac-algorithm-0123456789"  # noqa: S105  # opens nothing
    public_key: str = ""
    stream_id: str = "st-simulated-stream"
    account_id: str = "simulated-account"
    jwt_algorithm: Algorithm = "HS256"
    enforce_jti: bool = False
    enforce_jwe: bool = False
    scope_granted: bool = True
    require_exp: bool = False
    check_iat: bool = True
    leeway: float = 0.0
    clock_offset: float = 0.0

    error_key: Literal["msg", "message"] = "msg"
    failure_status: Literal["error", "failure", "Error"] = "error"
    unknown_id: Literal["404", "400", "error_200", "empty_200"] = "404"
    wrong_account: Literal["unauthorized", "invalid_arguments"] = "unauthorized"
    account_in_query: Literal["ignored", "required", "refused"] = "ignored"
    post_status: Literal[200, 201] = 200
    require_content_type: bool = True

    requests_per_minute: int = 60
    requests_per_hour: int = 0
    minute_seconds: float = 60.0
    hour_seconds: float = 3600.0
    count_refused: bool = False
    rate_limit_status: int = 429
    rate_limit_message: Literal["window", "minute", "hour", "generic"] = "window"
    rate_limit_body: Literal["errors", "status", "message"] = "errors"
    retry_after: str = ""
    limit_headers: Literal["none", "X-RateLimit", "RateLimit"] = "none"

    default_limit: int = 50
    max_limit: int = 50
    limit_handling: Literal["clamp", "honour", "ignore", "reject_400", "reject_412", "reject_any"] = "clamp"
    changed_limit: int = 0
    changed_limit_from: int = 0
    skip_handling: Literal["honour", "ignore"] = "honour"
    ignored_skip_echo: Literal["served", "asked"] = "served"
    envelope: Literal["nested", "top", "both"] = "nested"
    echo: bool = True
    total: Literal["list", "page", "missing", "wrong", "string", "capped"] = "list"
    total_error: int = 1
    total_cap: int = 10_000
    has_more: Literal["right", "missing", "always_true", "always_false", "string"] = "right"
    sort: Literal["insertion", "newest_first", "id"] = "insertion"
    sort_by_name: Literal["optional", "required", "refused"] = "optional"
    sort_by_order: Literal["as_asked", "name_first"] = "as_asked"

    ids: Literal["ascending", "random"] = "ascending"
    updated_at_moves: bool = True
    catalogue_updated_at: Literal["list", "stale", "missing"] = "list"
    record_count: Literal["by_source", "right", "zero", "missing"] = "by_source"
    campaign_instance: Literal["list", "both", "missing"] = "list"
    campaign_instance_moves: Literal["start", "status"] = "start"
    add_contacts_delay: float = 1.0
    add_contacts_requests: int = 0

    latency: float = 0.0
    row_latency: float = 0.0
    seed: int = 0
    keep_requests: int = 100_000

    def __post_init__(self) -> None:
        """Refuse a value no server could have, so that a misspelt test does not pass by chance."""
        check_types(self)
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            least = _LEAST.get(name, 0)
            if isinstance(value, (int, float)) and name not in _SIGNED and value < least:
                raise ValueError(f"{name}={value!r}: use {least} or more")


_SIGNED = {"clock_offset", "total_error", "seed"}
"""Numbers that may be below 0."""

_LEAST = {
    "default_limit": 1,
    "max_limit": 1,
    "minute_seconds": 0.001,
    "hour_seconds": 0.001,
    "keep_requests": 1,
    "rate_limit_status": 200,
}
"""Of the others, those that may not be 0."""


def setting_names() -> tuple[str, ...]:
    """Names that ``configure`` and ``--set`` accept."""
    return tuple(setting.name for setting in fields(Settings))


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return ``settings`` with changes. Raises ValueError with a sentence for a name or value that cannot be."""
    for name in changes:
        if name not in setting_names():
            close = get_close_matches(name, setting_names(), n=1)
            raise ValueError(f"there is no setting {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    return replace(settings, **changes)
