"""``quadlet generator``, which systemd calls (systemd.generator(7)), and ``quadlet verify``."""

from __future__ import annotations

import os

from pypod.base import report
from pypod.cli import output
from pypod.cli.quadlet import setting
from pypod.engine import quadlet as engine
from pypod.engine import quadlet_installed as installed
from pypod.errors import ConfigError, PypodError, UsageError
from pypod.systemd.quadlet_model import SECTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.cli.invocation import Invocation
    from pypod.systemd.quadlet_model import Problem, Service

_KMSG = "/dev/kmsg"
_ERROR, _WARNING, _INFO = 3, 4, 6  # syslog(3)


def run(invocation: Invocation) -> int:
    """A file that is wrong is told of and left out: only --dryrun says so by its exit code, 1."""
    flags = invocation.options
    if flags["version"]:
        from pypod import __version__

        output.line(__version__)
        return 0
    dry = flags["dryrun"]
    if not dry and len(invocation.args) not in (1, 3):
        raise UsageError("requires the directory to write units to", hint="--dryrun prints them")
    log = _log(to_kernel=not dry and not flags["no_kmsg_log"] and os.getuid() == 0)
    whom = setting(flags["user"])
    outcome = engine.convert(engine.load(engine.directories(whom.user)), whom)
    problems = list(outcome.problems)
    if flags["verbose"]:
        for name, service in sorted(outcome.services.items()):
            log(_INFO, f"{name} becomes {service.name}", "")
    if dry:
        for service in _sorted(outcome.services):
            output.line(f"---{service.name}---")
            output.line(service.text)
        output.flush()
    else:
        problems += engine.write(invocation.args[0], _sorted(outcome.services))
    for problem in problems:
        _tell(problem, log)
    return int(dry and any(problem.fatal for problem in problems))


def _sorted(services: dict[str, Service]) -> list[Service]:
    return sorted(services.values(), key=lambda service: service.name)


def _log(*, to_kernel: bool) -> Callable[[int, str, str], None]:
    """How a message is told: level, text, hint. While a system starts, the kernel's log is all there is."""
    if to_kernel:
        try:
            fd = os.open(_KMSG, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            pass  # in a container, say
        else:

            def kernel(level: int, text: str, hint: str) -> None:
                line = f"pypod-quadlet[{os.getpid()}]: {text}" + (f" ({hint})" if hint else "")
                try:
                    os.write(fd, f"<{level}>{line}\n".encode("utf-8", "surrogateescape")[:900])
                except OSError:
                    pass

            return kernel
    return _to_people


def _to_people(level: int, text: str, hint: str) -> None:
    if level == _ERROR:
        report.error(ConfigError(text, hint=hint))
    else:
        report.warning(text + (f" ({hint})" if hint else ""), mark="Warning: " if level == _WARNING else "")


def _tell(problem: Problem, log: Callable[[int, str, str], None]) -> None:
    log(_ERROR if problem.fatal else _WARNING, problem.message, problem.hint)


def verify(invocation: Invocation) -> int:
    """1 if anything is wrong with one of the files."""
    whom = setting(invocation.options["user"])
    problems: list[Problem] = []
    # A file may have the name of another one, and stands for itself.
    rounds: list[dict[str, str]] = [{}]
    for path in _paths(invocation.args, whom.user, problems):
        name = os.path.basename(path)
        place = next((one for one in rounds if name not in one), None)
        if place is None:
            rounds.append(place := {})
        place[name] = path
    for paths in rounds:
        problems += installed.check(whom, list(paths.values()))
    for problem in problems:
        _tell(problem, _to_people)
    return int(bool(problems))


def _paths(arguments: Sequence[str], user: bool, problems: list[Problem]) -> list[str]:
    """Files as they are, of directories those that the generator would take if it looked there. Raises PypodError."""
    found: list[str] = []
    for path in arguments:
        if os.path.isdir(path):
            inside = engine.by_name(list(engine.below(path, user, set())), problems)
            if not inside and not problems:
                raise PypodError(f"there is no Quadlet file in {path}")
            found += inside.values()
        elif engine.kind(os.path.basename(path)):
            found.append(path)
        else:
            known = ", ".join("." + kind for kind in SECTIONS)
            raise PypodError(f"{path} is no Quadlet file", hint=f"its name must end in one of {known}")
    return list(dict.fromkeys(map(os.path.abspath, found)))
