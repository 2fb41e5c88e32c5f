"""Faults in the pages themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_kore.simulator.answers import spoilt
from airflow_provider_kore.simulator.faults.fault import Fault, answering

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.paging import Page


class _OfPages(Fault):
    """A fault of any page."""

    endpoints = frozenset({"contacts", "campaigns", "campaign_results"})


class _OfOffsets(Fault):
    """A fault of pages that are found by their offset and tell ``hasMore``."""

    endpoints = frozenset({"contacts", "campaigns"})


_OK = b'"status":"success","message":"OK"'

answering("missing_data", "A success without ``data``.", lambda _: spoilt(b"{%b}" % _OK))
answering("null_data", "A success whose ``data`` is null.", lambda _: spoilt(b'{%b,"data":null}' % _OK))


class ContactWithoutId(_OfPages, name="contact_without_id"):
    """The page's first item has no ``_id``, or nothing else to know it by."""

    def shape(self, page: Page) -> Page:
        return replace(page, items=(_without_id(page.items[0]), *page.items[1:])) if page.items else page


class DuplicateId(_OfPages, name="duplicate_id"):
    """The page's last contact is its first one again."""

    def shape(self, page: Page) -> Page:
        return replace(page, items=(*page.items[:-1], page.items[0])) if page.items else page


class RepeatedPage(_OfPages, name="repeated_page"):
    """The contacts of the page before come again, under the echo that was asked for; the first page is spared."""

    def shape(self, page: Page) -> Page:
        return replace(page, items=page.cut(page.skip - page.limit, page.limit)) if page.skip else page


class ShortPage(_OfPages, name="short_page"):
    """The page lacks its last ``missing`` contacts, though more follow."""

    missing: int = 1

    def shape(self, page: Page) -> Page:
        return replace(page, items=page.items[: max(0, len(page.items) - self.missing)])


class EmptyPage(_OfPages, name="empty_page"):
    """The page holds no contact, though the total and ``hasMore`` say otherwise."""

    def shape(self, page: Page) -> Page:
        return replace(page, items=())


class WrongSkipEcho(_OfPages, name="wrong_skip_echo"):
    """The right contacts, under a ``skip`` that is wrong by ``error``."""

    error: int = 1

    def shape(self, page: Page) -> Page:
        return replace(page, echo_skip=page.echo_skip + self.error)


class WrongTotal(_OfPages, name="wrong_total"):
    """``totalResults`` is wrong by ``error``."""

    error: int = 1

    def shape(self, page: Page) -> Page:
        return replace(page, total_error=self.error)


class HasMoreFalse(_OfOffsets, name="has_more_false"):
    """``hasMore`` is false, though more follow."""

    def shape(self, page: Page) -> Page:
        return replace(page, has_more=False)


class HasMoreTrue(_OfOffsets, name="has_more_true"):
    """``hasMore`` is true, though nothing follows."""

    def shape(self, page: Page) -> Page:
        return replace(page, has_more=True)


class ChangedLimit(_OfOffsets, name="changed_limit"):
    """The page holds at most ``limit`` contacts, and says so in its echo."""

    limit: int = 7

    def shape(self, page: Page) -> Page:
        limit = min(self.limit, page.limit)
        return replace(page, items=page.items[:limit], limit=limit, has_more=page.skip + limit < page.total)


def _without_id(item: str) -> str:
    value = json.loads(item)
    # A call result has no id; without these two, one can't be told from another.
    missing = {"_id", "id"} if "_id" in value or "id" in value else {"uniqueId", "phoneNumber"}
    return json.dumps({name: each for name, each in value.items() if name not in missing})
