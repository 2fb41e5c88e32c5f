"""The check of the header ``auth``: a bare JWT, signed for an app of the account.

Source: docs.kore.ai, JWT apps and API scopes; the texts are those that users meet behind a 401.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider_kore.simulator.answers import (
    EXPIRED,
    INVALID_TOKEN,
    SDK_CREDENTIALS,
    WRONG_SCOPE,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kore.simulator.settings import Settings

_SEGMENTS_OF_A_JWT = 3
_SEGMENTS_OF_A_JWE = 5


@dataclass(frozen=True, slots=True)
class App:
    """A JWT app of an account.

    :param settings: those that describe it: its ids, its algorithm and what it enforces.
    :param signing_key: what a client signs with, the secret or a PEM private key; the app's connection holds it.
    :param checking_key: what the server checks with, the secret or a PEM public key.
    """

    settings: Settings
    signing_key: str
    checking_key: str


class TokenCheck:
    """Tells which app a token belongs to, or refuses it. Remembers each ``jti``."""

    def __init__(self) -> None:
        """Start with no ``jti`` used."""
        self._used: set[tuple[str, str]] = set()

    def app(self, token: str, apps: Mapping[str, App], now: float, settings: Settings) -> App:
        """Return the app that ``token`` is signed for.

        :param now: seconds since 1970 on the server's clock.
        Raises RefusedError with the vendor's text.
        """
        claims, app = self._parse(token, apps)
        self._check_times(claims, now, settings)
        if app.settings.enforce_jti:
            self._use_jti(app, claims)
        if not app.settings.scope_granted:
            raise RefusedError(401, WRONG_SCOPE, "scope")
        return app

    def _parse(self, token: str, apps: Mapping[str, App]) -> tuple[dict[str, Any], App]:
        if not token:
            raise RefusedError(401, SDK_CREDENTIALS, "no token")
        segments = token.count(".") + 1
        if segments == _SEGMENTS_OF_A_JWE:
            raise RefusedError(401, INVALID_TOKEN, "encrypted token")
        if segments != _SEGMENTS_OF_A_JWT or " " in token or not token.isascii():
            raise RefusedError(401, INVALID_TOKEN, "malformed token")
        try:
            parts = jwt.decode_complete(token, options={"verify_signature": False})
        except jwt.InvalidTokenError as err:
            raise RefusedError(401, SDK_CREDENTIALS, "damaged token") from err
        claims: dict[str, Any] = parts["payload"]
        app = apps.get(str(claims.get("appId")))
        if app is None:
            raise RefusedError(401, SDK_CREDENTIALS, "unknown appId")
        if app.settings.enforce_jwe:
            raise RefusedError(401, INVALID_TOKEN, "token not encrypted")
        if parts["header"].get("alg") != app.settings.jwt_algorithm:
            raise RefusedError(401, SDK_CREDENTIALS, "algorithm")
        algorithm = jwt.get_algorithm_by_name(app.settings.jwt_algorithm)
        key = algorithm.prepare_key(app.checking_key)
        if not algorithm.verify(token.rpartition(".")[0].encode(), key, parts["signature"]):
            raise RefusedError(401, SDK_CREDENTIALS, "signature")
        if not (isinstance(claims.get("sub"), str) and claims["sub"]):
            raise RefusedError(401, SDK_CREDENTIALS, "no sub")
        return claims, app

    @staticmethod
    def _check_times(claims: Mapping[str, Any], now: float, settings: Settings) -> None:
        for name in ("exp", "iat", "nbf"):
            if name in claims and (not isinstance(claims[name], (int, float)) or isinstance(claims[name], bool)):
                raise RefusedError(401, INVALID_TOKEN, f"{name} is no number")
        if "exp" not in claims and settings.require_exp:
            raise RefusedError(401, INVALID_TOKEN, "no exp")
        if claims.get("exp", now + 1) + settings.leeway <= now:
            raise RefusedError(401, EXPIRED, "expired")
        if settings.check_iat and claims.get("iat", now) > now + settings.leeway:
            raise RefusedError(401, INVALID_TOKEN, "iat in the future")
        if claims.get("nbf", now) > now + settings.leeway:
            raise RefusedError(401, INVALID_TOKEN, "nbf in the future")

    def _use_jti(self, app: App, claims: Mapping[str, Any]) -> None:
        jti = claims.get("jti")
        if not (isinstance(jti, str) and jti):
            raise RefusedError(401, INVALID_TOKEN, "no jti")
        if (app.settings.client_id, jti) in self._used:
            raise RefusedError(401, INVALID_TOKEN, "jti used before")
        self._used.add((app.settings.client_id, jti))


def make_key_pair() -> tuple[str, str]:
    """Make an RSA key and return it as PEM texts: private, public. 2,048 bits, the least that RS256 and RS512 allow."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
