"""What a walk needs of a vendor's client, and nothing of what the vendor is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_kore.stop import Stop
    from airflow_provider_kore.walk.cost import Spent, Usage
    from airflow_provider_kore.walk.page import Page, PageAnswer, PageRequest
    from airflow_provider_kore.walk.pagination import OffsetPagination


class Capacity(Protocol):
    """How many requests may be sent, and what was sent lately. Its text says the limits in words."""

    def usage(self) -> tuple[Usage, ...]:
        """Return what still counts, for a process that continues this one's work."""

    def remember(self, usage: Iterable[Usage]) -> None:
        """Take in what another process has spent."""

    def shortest_time(self, requests: int) -> float:
        """Return the seconds that so many requests take at the least."""


class Meter(Protocol):
    """Tells what requests have cost."""

    @property
    def spent(self) -> Spent:
        """Since the client was made."""

    @property
    def allowance(self) -> Capacity:
        """Of the account."""


class Connection(Protocol):
    """Whose account is read."""

    @property
    def account_id(self) -> str:
        """Its id."""

    @property
    def stream_id(self) -> str:
        """The id of its application."""

    @property
    def client_id(self) -> str:
        """Whose secret it is."""

    @property
    def client_secret(self) -> str:
        """What only this account knows: checkpoints are sealed with it."""

    @property
    def source(self) -> tuple[str, ...]:
        """Which environment, account and application it is."""


class Reader(Meter, Protocol):
    """Reads the pages of a call. Only it knows what a call is."""

    @property
    def config(self) -> Connection:
        """The connection."""

    def pagination(self, call: Any, *, page_size: object = None, **options: Any) -> OffsetPagination:
        """Return a walk over the pages of a list; options are those of :class:`OffsetPagination`, and ``remembered``.

        :param page_size: rows to ask for in a page; None: as the connection says.
        """

    def iter_pages(
        self, call: Any, pagination: OffsetPagination | None = None, *, stop: Stop | None = None
    ) -> Iterator[Page]:
        """Yield the pages from a place on, until the end is proven; after a stop, those that were asked for already."""

    def get_page(self, call: Any, request: PageRequest) -> PageAnswer:
        """Fetch one page, as the server gave it; without a limit where it refuses the limit."""
