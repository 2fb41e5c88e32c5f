"""Faults in which 200 carries something that is no answer."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_kore.simulator.answers import Answer, html, spoilt
from airflow_provider_kore.simulator.faults.fault import Fault, answering


class CutJson(Fault, name="cut_json"):
    """The JSON ends ``missing`` bytes early, and ``Content-Length`` agrees."""

    missing: int = 20

    def deliver(self, answer: Answer) -> Answer:
        return replace(answer, body=answer.body[: -self.missing])


answering("empty_body", "200 without a single byte of body.", lambda _: spoilt(b""))
answering("html_body", "200 with a maintenance page in HTML.", lambda _: html(200, "We will be back soon"))
answering("not_json", "200 that calls itself JSON and is plain text.", lambda _: spoilt(b"upstream connect error"))
