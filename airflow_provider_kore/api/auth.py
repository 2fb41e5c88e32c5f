"""JWT: sign, cache, renew.

Sources: the vendor's pages on generating a JWT and on API scopes: claims ``sub`` and ``appId`` (exact spelling),
``jti`` where the app enforces it (single use), ``iat`` and ``exp`` in seconds.
"""

from __future__ import annotations

import threading
import uuid
import warnings
from typing import TYPE_CHECKING

import jwt

from airflow_provider_kore.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_kore.api.config import ApiConfig
    from airflow_provider_kore.clock import Clock

BACKDATED = 30.0
"""Seconds by which ``iat`` lies in the past, so that a server whose clock is a little behind finds it issued."""

TOLERATED_SKEW = 300.0
"""Seconds by which the server's clock may differ before a person should look at this machine's clock."""


UNCERTAIN_SKEW = 2.0
"""Seconds of difference that say nothing: ``Date`` has whole seconds and was written a moment ago."""


class TokenSource:
    """Tokens of one application, cached until they near expiry; safe to share between threads.

    :param on_token: called with each token that is minted, so that a secrets masker can learn it.
    """

    def __init__(self, config: ApiConfig, clock: Clock, on_token: Callable[[str], None] | None = None) -> None:
        self._config = config
        self._clock = clock
        self._on_token = on_token
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = float("-inf")
        self._correction = 0.0
        self.skew = 0.0
        """Seconds by which the server's clock is ahead of this machine's, as far as its ``Date`` headers tell."""

    def token(self) -> str:
        """Return a token that is good for the next request; with ``send_jti`` a fresh one at every call.

        Raises ConfigError if the key cannot sign.
        """
        with self._lock:
            now = self._clock.time()
            if self._config.send_jti or now >= self._renew_at:
                self._token = self._sign(now)
                # Half a lifetime leaves the slowest request time to arrive, and costs a signature in minutes.
                self._renew_at = now + self._config.token_lifetime / 2
            return self._token

    @property
    def corrected(self) -> bool:
        """Whether the next token will be dated anew, because the clocks were compared since the last."""
        return self._renew_at == float("-inf")

    def renew(self) -> None:
        """Forget the cached token: the server refused it."""
        with self._lock:
            self._renew_at = float("-inf")

    def observe(self, server_time: float) -> None:
        """Learn from the server's ``Date`` (seconds since the epoch), by which tokens are dated from then on.

        A clock that is off by more than :data:`TOLERATED_SKEW` is not corrected, but reported by the caller.
        """
        skew = server_time - self._clock.time()
        with self._lock:
            self.skew = skew if abs(skew) > UNCERTAIN_SKEW else 0.0
            correction = self.skew if abs(self.skew) <= TOLERATED_SKEW else 0.0
            if abs(correction - self._correction) > UNCERTAIN_SKEW:
                self._correction = correction
                self._renew_at = float("-inf")

    def _sign(self, now: float) -> str:
        now += self._correction
        claims: dict[str, object] = {
            "appId": self._config.client_id,
            "sub": self._config.jwt_subject,
            "iat": int(now - BACKDATED),
            "exp": int(now + self._config.token_lifetime),
        }
        if self._config.send_jti:
            claims["jti"] = uuid.uuid4().hex
        try:
            with warnings.catch_warnings():
                # pyjwt finds the vendor's secrets short for HS512; a reader of the log cannot choose a longer one.
                warnings.simplefilter("ignore")
                token = jwt.encode(claims, self._config.client_secret, algorithm=self._config.jwt_algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):  # the last: a public key has no way to sign
            # The cause is dropped: its text or its frames may hold the key.
            raise ConfigError(
                "password",
                f"cannot sign with {self._config.jwt_algorithm}",
                "use the client secret for HS256 and HS512, an unencrypted PEM private key for RS256 and RS512",
            ) from None
        if self._on_token is not None:
            self._on_token(token)
        return token
