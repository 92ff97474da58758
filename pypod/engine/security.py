"""--security-opt (podman-run(1))."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@record
class Security:
    """What the options say together."""

    seccomp: str = ""
    apparmor: str = ""
    no_new_privileges: bool = False
    labels: list[str] = []
    mask: list[str] = []
    unmask: list[str] = []
    proc_options: list[str] = []


def parse(options: Sequence[str]) -> Security:
    """All --security-opt flags. Raises UsageError."""
    seccomp = apparmor = ""
    no_new_privileges = False
    labels: list[str] = []
    mask: list[str] = []
    unmask: list[str] = []
    proc_options: list[str] = []
    for option in options:
        # docker's older spelling is with a colon
        name, separator, value = option.partition("=")
        if not separator and ":" in option:
            name, separator, value = option.partition(":")
        if name == "no-new-privileges":
            if separator and value not in ("true", "false"):
                raise UsageError(f"invalid --security-opt {option!r}: must be true or false")
            no_new_privileges = value != "false"
        elif name == "seccomp" and value:
            seccomp = value if value == "unconfined" else os.path.abspath(value)
            if seccomp != "unconfined" and not os.path.isfile(seccomp):
                raise UsageError(f"opening seccomp profile failed: open {value}: no such file or directory")
        elif name == "apparmor" and value:
            apparmor = value
            if value != "unconfined" and not _apparmor_enabled():
                raise UsageError(f"profile {value!r} specified but AppArmor is disabled on the host")
        elif name == "label" and value:
            labels.append(value)
        elif name == "mask" and value:
            mask += _paths(value, option)
        elif name == "unmask" and value:
            unmask += [value] if value.upper() == "ALL" else _paths(value, option)
        elif name == "systempaths" and value:
            if value != "unconfined":
                raise UsageError(f"invalid systempaths option {value!r}: it must be unconfined")
            unmask.append("ALL")
        elif name == "proc-opts" and value:
            proc_options += value.split(",")
        else:
            raise UsageError(f'invalid --security-opt 2: "{option}"')
    return Security(
        seccomp=seccomp,
        apparmor=apparmor,
        no_new_privileges=no_new_privileges,
        labels=labels,
        mask=mask,
        unmask=unmask,
        proc_options=proc_options,
    )


def _apparmor_enabled() -> bool:
    try:
        with open("/sys/module/apparmor/parameters/enabled", "rb") as file:
            return file.read(1) == b"Y"
    except OSError:
        return False


def _paths(value: str, option: str) -> list[str]:
    result = []
    for path in value.split(":"):
        if not path.startswith("/"):
            raise UsageError(f"invalid --security-opt {option!r}: {path!r} is not an absolute path")
        result.append(os.path.normpath(path))
    return result
