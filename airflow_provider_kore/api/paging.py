"""How a page is asked for and how its answer is read: all that tells one paged call from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kore.api import endpoints
from airflow_provider_kore.api.answers import page_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.api.endpoints import Endpoint
    from airflow_provider_kore.api.page import PageAnswer, PageRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one page adds to its call."""

    query: Mapping[str, str]
    body: bytes | None
    what: str
    """Names the page in messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedCall:
    """A list that the API serves in pages."""

    endpoint: Endpoint
    identifier: str | None = None
    what: str
    """Names the list in messages: ``the contacts of cl-1``."""

    def ask(self, request: PageRequest) -> Ask:
        """Return how to ask for a page."""
        query = {"skip": str(request.skip)}
        if request.limit is not None:
            query["limit"] = str(request.limit)
        return Ask(query=query, body=None, what=f"{self.what} from offset {request.skip}")

    def read(self, payload: Mapping[str, object], ask: Ask) -> PageAnswer:
        """Read the body of a success. Raises ContractError."""
        return page_answer(payload, self.endpoint, ask.what)


def contacts_of(contact_list_id: str) -> PagedCall:
    """Return the call for the contacts of a list."""
    return PagedCall(endpoint=endpoints.CONTACTS, identifier=contact_list_id, what=f"the contacts of {contact_list_id}")
