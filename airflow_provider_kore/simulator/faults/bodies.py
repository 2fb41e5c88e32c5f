"""Faults in which 200 carries something that is no answer."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_kore.simulator.answers import Answer, html
from airflow_provider_kore.simulator.faults.fault import Fault

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.settings import Settings


@dataclass(frozen=True, kw_only=True)
class CutJson(Fault, name="cut_json"):
    """The JSON ends ``missing`` bytes early, and ``Content-Length`` agrees."""

    missing: int = 20

    @override
    def deliver(self, answer: Answer) -> Answer:
        return replace(answer, body=answer.body[: -self.missing])


class EmptyBody(Fault, name="empty_body"):
    """200 without a single byte of body."""

    @override
    def answer(self, settings: Settings) -> Answer:
        return Answer(status=200, body=b"", refused="fault")


class HtmlBody(Fault, name="html_body"):
    """200 with a maintenance page in HTML."""

    @override
    def answer(self, settings: Settings) -> Answer:
        return html(200, "We will be back soon")


class NotJson(Fault, name="not_json"):
    """200 that calls itself JSON and is plain text."""

    @override
    def answer(self, settings: Settings) -> Answer:
        return Answer(status=200, body=b"upstream connect error", refused="fault")
