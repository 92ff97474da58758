"""Programs that keep credentials: docker-credential-NAME, spoken to by JSON on stdin and stdout.

The protocol is Docker's (docker-credential-helpers): ``get`` and ``erase`` read a server's name, ``store`` an object.
"""

from __future__ import annotations

import json
import os
import subprocess

from pypod.base.text import show
from pypod.errors import ConfigError, reason
from pypod.registry.access import Credentials

_NONE = "credentials not found in native keychain"
_TOKEN = "<token>"  # as user name: the secret is an identity token
_PATIENCE = 60  # seconds: somebody may be asked for a password


def _run(helper: str, verb: str, text: str) -> tuple[int, str]:
    """The exit code and stdout. Raises ConfigError."""
    program = f"docker-credential-{helper}"
    if not helper or os.sep in helper:
        raise ConfigError(f"cannot run credential helper {show(program)!r}: not the name of a program")
    try:
        done = subprocess.run(
            [program, verb], input=text, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except OSError as error:
        raise ConfigError(
            f"cannot run credential helper {program}: {reason(error)}", hint="install it, or take it out of auth.json"
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"credential helper {program} does not answer") from None
    except UnicodeDecodeError:
        raise ConfigError(f"credential helper {program} does not answer with text") from None
    return done.returncode, done.stdout


def get(helper: str, server: str) -> Credentials | None:
    """What the helper has for a server; None for nothing. Raises ConfigError."""
    code, text = _run(helper, "get", server)
    if code:
        if _NONE in text or not text.strip():
            return None
        raise ConfigError(f"credential helper docker-credential-{helper} failed for {server}: {show(text.strip())}")
    try:
        answer = json.loads(text)
        username, secret = answer["Username"], answer["Secret"]
        if not isinstance(username, str) or not isinstance(secret, str):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(
            f"credential helper docker-credential-{helper} answers for {server} what is no credentials"
        ) from None
    if username == _TOKEN:
        return Credentials(identity_token=secret)
    return Credentials(username=username, password=secret)


def store(helper: str, server: str, credentials: Credentials) -> None:
    """Raises ConfigError."""
    username, secret = credentials.username, credentials.password
    if credentials.identity_token:
        username, secret = _TOKEN, credentials.identity_token
    code, text = _run(helper, "store", json.dumps({"ServerURL": server, "Username": username, "Secret": secret}))
    if code:
        raise ConfigError(f"credential helper docker-credential-{helper} cannot store: {show(text.strip())}")


def erase(helper: str, server: str) -> bool:
    """Whether there was something. Raises ConfigError."""
    code, text = _run(helper, "erase", server)
    if code and _NONE not in text:
        raise ConfigError(f"credential helper docker-credential-{helper} cannot erase: {show(text.strip())}")
    return not code
