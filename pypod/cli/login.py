"""``login`` and ``logout``: credentials for registries."""

from __future__ import annotations

import os

from pypod.base.record import replace
from pypod.cli import output
from pypod.errors import NotFound, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.registry.access import Credentials
    from pypod.registry.settings import Settings


def _settings(options: Mapping[str, Any]) -> tuple[Settings, str]:
    """The settings, and --compat-auth-file."""
    from pypod.cli import registry_settings

    compatible = options["compat_auth_file"] or ""
    if compatible and options["authfile"]:
        raise UsageError("options for paths to the credential file and to the Docker-compatible one are exclusive")
    # The file may be made by us.
    plain = registry_settings.of({**options, "authfile": None})
    return replace(plain, authfile=options["authfile"] or compatible), compatible


def run(invocation: Invocation) -> int:
    from pypod.engine import login

    options = invocation.options
    if options["secret"]:
        if options["password_stdin"] or options["password"] is not None:
            raise UsageError("--secret goes with neither --password nor --password-stdin", code=125)
        from pypod.engine import secrets
        from pypod.engine.context import open_context

        context = open_context(invocation.globals)
        found = secrets.data(context, secrets.find(context, options["secret"]))
        options["password"] = found.decode("utf-8", "surrogateescape").rstrip("\n")
        # As podman 5: the secret's name is that of the user, if no other is given.
        options["username"] = options["username"] or options["secret"]
    if options["password_stdin"] and not options["username"]:
        raise UsageError("must provide --username with --password-stdin", code=125)
    if options["password_stdin"] and options["password"] is not None:
        raise UsageError("can't specify both --password-stdin and --password", code=125)
    settings, compatible = _settings(options)
    place, said = login.target(invocation.args[0] if invocation.args else "", settings)
    if said:
        output.line(said)
    known = login.known(place, settings)
    if options["get_login"]:
        if known is None:
            raise NotFound(f"not logged into {place.key}")
        output.line(known.username)
        return 0
    given = options["username"] or options["password"] is not None
    if known is not None and not given:
        output.line(f"Authenticating with existing credentials for {place.key}")
        if login.valid(place, known, settings):
            output.line(f"Existing credentials are valid. Already logged in to {place.key}")
            return 0
        output.line("Existing credentials are invalid, please enter valid username and password")
    credentials = _asked(options, known.username if known is not None else "")
    login.check_username(credentials.username)
    where = login.login(place, credentials, settings, compatible=compatible)
    if options["verbose"]:
        output.line(f"Used:  {where}")
    output.line("Login Succeeded!")
    return 0


def _asked(options: Mapping[str, Any], known: str) -> Credentials:
    """Username and password: from the flags, from stdin, or asked for on the terminal."""
    from pypod.registry.access import Credentials

    output.flush()
    username, password = options["username"] or "", options["password"]
    if options["password_stdin"]:
        with os.fdopen(os.dup(0), encoding="utf-8", errors="surrogateescape") as stdin:
            password = stdin.read().rstrip("\r\n")
    if not username or password is None:
        from pypod.cli import ask

        if not os.isatty(0):
            raise PypodError(
                f"cannot ask for the {'password' if username else 'username'}: stdin is not a terminal",
                hint="use --username and --password-stdin",
            )
        if not username:
            username = ask.line(f"Username ({known}): " if known else "Username: ") or known
        if password is None:
            password = ask.secret("Password: ")
    if not username or not password:
        raise PypodError("no username or no password was given")
    return Credentials(username=username, password=password)


def logout(invocation: Invocation) -> int:
    from pypod.engine import login

    options = invocation.options
    if options["all"] and invocation.args:
        raise UsageError("--all takes no arguments", code=125)
    settings, compatible = _settings(options)
    if options["all"]:
        login.logout_all(settings, compatible=compatible)
        output.line("Removed login credentials for all registries")
        return 0
    place, said = login.target(invocation.args[0] if invocation.args else "", settings)
    if said:
        output.line(said)
    output.line(login.logout(place, settings, compatible=compatible))
    return 0
