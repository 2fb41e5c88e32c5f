"""The hook: an Airflow connection, turned into a client of the Campaign API."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from airflow_provider_kore.clock import Clock, SystemClock
from airflow_provider_kore.exceptions import ConfigError, KoreError
from airflow_provider_kore.hooks.airflow_versions import BaseHook, mask_secret
from airflow_provider_kore.hooks.connections import find_connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_kore.api.allowance import Allowance
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.api.transport import Transport
    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.page import Page

MASKED_TOKENS = 1_000
"""How many tokens one client registers with the masker, whose cost grows with each.

With ``send_jti`` every request has a token of its own, which is worthless once it was used.
"""

LOOK_WAITS = 75.0
"""Seconds that a sensor's look waits for its place in a shared allowance: a window, and a little more."""


def _extra(connection: Any) -> object:
    """Return what ``extra`` holds. Raises ConfigError if it is no JSON, of which Airflow makes an empty object."""
    extra, text = connection.extra_dejson, connection.extra
    if extra == {} and isinstance(text, str) and text.strip() and not text.strip().startswith("{"):
        raise ConfigError("extra", "is no JSON", 'write an object such as {"stream_id": "st-…", "account_id": "…"}')
    return extra


class KoreCampaignHook(BaseHook):
    """Reads contact lists and campaigns over Kore.ai's Campaign API: JWT authentication, rate limits, retries, paging.

    A thin skin over :class:`~airflow_provider_kore.api.client.CampaignClient`, which needs no Airflow.

    :param kore_conn_id: the Airflow connection, of type ``kore``.
    """

    conn_name_attr = "kore_conn_id"
    default_conn_name = "kore_default"
    conn_type = "kore"
    hook_name = "Kore.ai"

    def __init__(self, kore_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kore_conn_id = kore_conn_id

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's fields (Airflow 3.0 and 3.1; later ones read the provider info)."""
        from airflow_provider_kore.connection_form import widgets

        return widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the standard fields' labels (Airflow 3.0 and 3.1; later ones read the provider info)."""
        from airflow_provider_kore.connection_form import behaviour

        return behaviour()

    @cached_property
    def config(self) -> ApiConfig:
        """The connection, parsed and checked.

        Raises :class:`~airflow_provider_kore.exceptions.ConfigError`, which names the field, and
        :class:`~airflow_provider_kore.exceptions.ConnectionNotFoundError`.
        """
        from airflow_provider_kore.api.config import ApiConfig, secrets_of

        connection = find_connection(self.kore_conn_id)
        if connection.password:
            mask_secret(connection.password)
        config = ApiConfig.parse(
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            login=connection.login,
            password=connection.password,
            extra=_extra(connection),
        )
        for secret in secrets_of(config):
            mask_secret(secret)
        return config

    @cached_property
    def client(self) -> CampaignClient:
        """The client of this hook; it keeps its connections and its token."""
        return self._client(self.config)

    def get_conn(self) -> CampaignClient:
        """Return the client."""
        return self.client

    def iter_contacts(self, contact_list_id: str, *, page_size: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield every contact of a list exactly once, as the server sent it.

        What has been yielded is only proven complete when the iterator ends without an error.

        :param contact_list_id: id of the list, ``cl-…``.
        :param page_size: contacts to ask for in a page; None: as the connection says.

        Raises DriftError if the list changes meanwhile, PaginationError if the server contradicts itself, and every
        other :class:`~airflow_provider_kore.exceptions.KoreError` of the client.
        """
        for page in self.iter_contact_pages(contact_list_id, page_size=page_size):
            for record in page.records:
                yield dict(record.value)

    def iter_contact_pages(self, contact_list_id: str, *, page_size: int | None = None) -> Iterator[Page]:
        """Yield the pages of a list with their offsets and totals. See :meth:`iter_contacts`.

        :param contact_list_id: id of the list, ``cl-…``.
        :param page_size: contacts to ask for in a page; None: as the connection says.
        """
        return self.client.iter_contact_pages(contact_list_id, page_size=page_size)

    def get_contact_list(self, contact_list_id: str) -> Mapping[str, Any]:
        """Return the details of one contact list, with the vendor's field names. Raises NotFoundError.

        :param contact_list_id: id of the list, ``cl-…``.
        """
        return self.client.get_contact_list(contact_list_id)

    def get_contact_lists(self) -> list[Mapping[str, Any]]:
        """Return the details of all contact lists of the application, with the vendor's field names."""
        return self.client.get_contact_lists()

    def get_campaigns(
        self, campaign_type: str = "voice", filters: Mapping[str, Any] | None = None
    ) -> list[Mapping[str, Any]]:
        """Return the campaigns of the application, the oldest first, with the vendor's field names.

        :param campaign_type: ``voice`` (their id is ``_id``) or ``sms`` (theirs is ``id``).
        :param filters: ``status``, ``priority``, ``dialing_mode`` with a value or a list of them, ``start_date``,
            ``end_date`` as YYYY-MM-DD (both days are in) or an instant; None: all campaigns. A status or dialing mode
            that the vendor does not document is passed on.

        Raises ParameterError for impossible ones, DriftError if a campaign changes meanwhile, ContractError if the
        server ignores a filter.
        """
        from airflow_provider_kore.api.campaigns import CampaignQuery

        pages = self.client.iter_campaign_pages(CampaignQuery.parse(campaign_type, filters))
        return [dict(record.value) for page in pages for record in page.records]

    def get_campaign(self, campaign_id: str) -> Mapping[str, Any]:
        """Return the details of one campaign, voice or SMS, with the vendor's field names. Raises NotFoundError.

        The vendor documents this call for v2 only.

        :param campaign_id: id of the campaign, ``cd-…``.
        """
        return self.client.get_campaign(campaign_id)

    def get_campaign_status(self, campaign_id: str) -> Mapping[str, Any]:
        """Return ``id``, ``name`` and ``status`` of a campaign. Raises NotFoundError.

        :param campaign_id: id of the campaign, ``cd-…``.
        """
        return self.client.get_campaign_status(campaign_id)

    def iter_campaign_contacts(self, campaign_id: str, *, page_size: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the call result of every contact of a campaign once, as the server sent it.

        What has been yielded is only proven complete when the iterator ends without an error. While the campaign is
        ``Active``, its results come from different moments.

        :param campaign_id: id of the campaign, ``cd-…``.
        :param page_size: call results to ask for in a page, 100 at the most; None: as the connection says.

        Raises NotFoundError, DriftError if the campaign's status or the number of its results changes meanwhile,
        PaginationError if the server contradicts itself.
        """
        for page in self.client.iter_campaign_contact_pages(campaign_id, page_size=page_size):
            for record in page.records:
                yield dict(record.value)

    def test_connection(self) -> tuple[bool, str]:
        """Make one cheap authenticated call and say in a sentence what it found. Airflow's Test button calls this."""
        try:
            return True, self.check_connection()
        except KoreError as err:
            return False, str(err)

    def check_connection(self) -> str:
        """Make one cheap authenticated call, without retries, and return a sentence that says what works.

        Raises KoreError, whose message is the sentence that :meth:`test_connection` returns.
        """
        from airflow_provider_kore.api.diagnosis import LONGEST_WAIT, check_connection

        return check_connection(self.config, partial(self._client, most=1, longest_wait=LONGEST_WAIT))

    @cached_property
    def ledger(self) -> S3Hook | None:
        """The connection to the bucket that keeps the account's allowance; None: there is none, or it can't be used."""
        from airflow_provider_kore.hooks.ledger import look_up_ledger

        return look_up_ledger(self.config)

    def allowance(self, config: ApiConfig, clock: Clock, **terms: Any) -> Allowance:
        """Return the allowance of the connection's account, shared with all who keep the same ledger.

        :param config: the connection, parsed.
        :param clock: what is waited with.
        :param terms: what of it is wanted: see :class:`~airflow_provider_kore.api.sharing.SharedAllowance`.
        """
        from airflow_provider_kore.api.client import allowance_of
        from airflow_provider_kore.hooks.ledger import ledger_of

        found = self.ledger
        return allowance_of(config, clock, None if found is None else ledger_of(config, found), **terms)

    def connect(self, *, clock: Clock, stop: Stop, pause_after: float | None = None) -> CampaignClient:
        """Return a client of its own, whose waiting ends when a task is told to stop.

        :param clock: what it waits with.
        :param stop: what it looks at.
        :param pause_after: seconds; instead of waiting longer, raise PausedError.
        """
        from airflow_provider_kore.api.client import MOST_IN_FLIGHT
        from airflow_provider_kore.api.config import risks_of
        from airflow_provider_kore.api.stoppable import StoppableTransport
        from airflow_provider_kore.api.transport import RequestsTransport

        for warning in risks_of(self.config):
            self.log.warning("Kore connection %r: %s", self.kore_conn_id, warning)
        transport = StoppableTransport(RequestsTransport(self.config, clock, connections=MOST_IN_FLIGHT), stop)
        return self._client(self.config, clock=clock, transport=transport, pause_after=pause_after)

    def connect_to_look(self) -> CampaignClient:
        """Return a client of its own for one request that is not sent again: a sensor asks again anyway.

        Its token is not told to the masker, which never forgets one: a triggerer lives for months.
        """
        from airflow_provider_kore.api.client import CampaignClient
        from airflow_provider_kore.api.retry import NO_RETRIES

        allowance = self.allowance(self.config, SystemClock(), most=2, longest_wait=LOOK_WAITS)
        return CampaignClient(self.config, retry=NO_RETRIES, allowance=allowance)

    def _client(
        self,
        config: ApiConfig,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        pause_after: float | None = None,
        **terms: Any,
    ) -> CampaignClient:
        from airflow_provider_kore.api.client import MOST_IN_FLIGHT, CampaignClient

        masked = 0

        def mask_token(token: str) -> None:
            nonlocal masked
            masked += 1
            if masked <= MASKED_TOKENS:
                mask_secret(token)

        clock = clock or SystemClock()
        return CampaignClient(
            config,
            clock=clock,
            allowance=self.allowance(config, clock, **terms),
            transport=transport,
            on_token=None if config.send_jti else mask_token,
            in_flight=MOST_IN_FLIGHT,
            pause_after=pause_after,
        )
