"""Faults in how an answer travels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_kore.simulator.faults.fault import Fault

if TYPE_CHECKING:
    from airflow_provider_kore.simulator.answers import Answer


class Latency(Fault, name="latency"):
    """The answer comes ``seconds`` late."""

    seconds: float = 1.0

    def deliver(self, answer: Answer) -> Answer:
        return answer.late(self.seconds)


class SlowBody(Fault, name="slow_body"):
    """The body dribbles in: ``piece`` bytes, then a ``pause`` in seconds, and so on."""

    piece: int = 512
    pause: float = 0.05

    def deliver(self, answer: Answer) -> Answer:
        return replace(answer, piece=self.piece, pause=self.pause)


class ResetBeforeHeaders(Fault, name="reset_before_headers"):
    """The connection is reset instead of an answer."""

    def deliver(self, answer: Answer) -> Answer:
        return replace(answer, reset="before_headers")


class ResetAfterHeaders(Fault, name="reset_after_headers"):
    """The connection is reset between the headers and the body."""

    def deliver(self, answer: Answer) -> Answer:
        return replace(answer, reset="after_headers")


class TruncatedBody(Fault, name="truncated_body"):
    """The connection closes ``missing`` bytes before the end that ``Content-Length`` promised."""

    missing: int = 20

    def deliver(self, answer: Answer) -> Answer:
        return replace(answer, missing=self.missing)
