"""Keys that tokens are signed with, each with the algorithms that it is for.

A token says itself which algorithm it was signed with, so the key has to know better: a public key is never taken for
an HMAC secret, whatever the token says.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

MOST_KEYS: Final = 100
MOST_BYTES: Final = 1 << 20
LEAST_RSA_BITS: Final = 2048
LEAST_SECRET: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes that a secret has at least, for each algorithm (RFC 7518, section 3.2)."""

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_PUBLIC_KINDS: Final = ("RSA", "EC", "OKP")


class KeyProblem(Exception):
    """There is no key in what was read; the message says why, and quotes nothing of it."""


class Key(NamedTuple):
    """A key and what it is for. Where ``id`` is empty, tokens need not name it, and may name any."""

    id: str
    key: Any
    algorithms: frozenset[str]


def secret_keys(data: bytes, allowed: frozenset[str]) -> tuple[Key, ...]:
    """The one secret of a file; a line break at its end is not part of it. Raises KeyProblem."""
    secret = data.removesuffix(b"\n").removesuffix(b"\r")
    if b"-----BEGIN" in secret:
        raise KeyProblem("it holds a key in PEM, which is no secret; set public_key_file")
    fit = frozenset(name for name in allowed if len(secret) >= LEAST_SECRET[name])
    if fit != allowed:
        least = max(LEAST_SECRET[name] for name in allowed)
        raise KeyProblem(f"the secret is too short: write at least {least} bytes of chance, as with openssl rand -hex")
    return (Key("", secret, fit),)


def pem_keys(data: bytes, allowed: frozenset[str]) -> tuple[Key, ...]:
    """The one public key, or that of the first certificate, of a file in PEM. Raises KeyProblem."""
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            key: object = x509.load_pem_x509_certificate(data).public_key()
        else:
            key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyProblem("it holds no public key and no certificate in PEM") from None
    return _usable([Key("", key, _algorithms_of(key) & allowed)])


def jwks_keys(data: bytes, allowed: frozenset[str]) -> tuple[Key, ...]:
    """The public keys of a JSON Web Key Set that are for allowed algorithms. Raises KeyProblem if there are none."""
    try:
        entries = json.loads(data)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise KeyProblem("it is no JSON Web Key Set")
    return _usable(_jwk(entry, allowed) for entry in entries[:MOST_KEYS] if _is_for_signatures(entry))


def _is_for_signatures(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("kty") in _PUBLIC_KINDS
        and entry.get("use", "sig") == "sig"
        and "verify" in entry.get("key_ops", ["verify"])
        and "d" not in entry
    )


def _jwk(entry: dict[str, Any], allowed: frozenset[str]) -> Key:
    id = entry.get("kid", "")
    try:
        # Which algorithms a key is for, we tell by the key.
        key = jwt.PyJWK({name: value for name, value in entry.items() if name != "alg"}).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return Key("", None, frozenset())
    algorithms = _algorithms_of(key) & allowed
    if "alg" in entry:
        algorithms &= {entry["alg"]} if isinstance(entry["alg"], str) else set()
    return Key(id if isinstance(id, str) else "", key, algorithms)


def _usable(keys: Iterable[Key]) -> tuple[Key, ...]:
    usable = tuple(key for key in keys if key.algorithms)
    if not usable:
        raise KeyProblem("it holds no public key for the algorithms that are allowed (RSA: from 2048 bits)")
    return usable


def _algorithms_of(key: object) -> frozenset[str]:
    """The algorithms whose signatures a public key can check; none for what is no public key, or a weak one."""
    match key:
        case rsa.RSAPublicKey(key_size=size):
            return _RSA if size >= LEAST_RSA_BITS else frozenset()
        case ec.EllipticCurvePublicKey(curve=curve):
            return frozenset({_CURVES[curve.name]} if curve.name in _CURVES else ())
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return frozenset({"EdDSA"})
    return frozenset()
