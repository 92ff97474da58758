"""``generate systemd``: service units of a container, or of a pod and its containers (podman-generate-systemd(1)).

Without --new a unit starts what is there; with it, the unit makes its container anew from the command that made this
one, and removes it at its end.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace

from pypod.engine import container as containers
from pypod.engine import exit_command, pods
from pypod.errors import NoSuchContainer, NoSuchPod, PypodError, UsageError
from pypod.systemd import quoting, unit_name, units
from pypod.systemd.quoting import Raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.create_command import CreateCommand
    from pypod.engine.pods import Pod
    from storage.store import Store

    Dissect = Callable[[Sequence[str]], CreateCommand]

_CIDFILE = Raw("%t/%n.ctr-id")
_CIDFILE_FLAG = Raw("--cidfile=%t/%n.ctr-id")
_MANUAL = "pypod-generate-systemd(1)"
_PATIENCE = 60  # seconds that systemd waits beyond the container's own stop timeout
# Of the old command line these are the unit's own to say.
_OF_UNIT = ("attach", "cidfile", "detach", "replace", "restart", "rm", "sig_proxy")
_OF_POD_UNIT = ("pod", "pod_id_file")
_STAYS_IN_UNIT = ("disabled", "split")  # values of --cgroups that leave the monitor where it is, as no-conmon does


@dataclass(frozen=True)
class Wanted:
    """The flags of ``generate systemd``; None where a default depends on the container."""

    new: bool = False
    by_name: bool = False
    template: bool = False
    header: bool = True
    container_prefix: str = "container"
    pod_prefix: str = "pod"
    separator: str = "-"
    restart_policy: str | None = None
    restart_sec: int | None = None
    start_timeout: int | None = None
    stop_timeout: int | None = None
    environment: tuple[str, ...] = ()  # NAME=VALUE, NAME or PREFIX*
    wants: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()


def generate(
    context: Context, store: Store, reference: str, wanted: Wanted, dissect: Dissect
) -> tuple[dict[str, str], list[str]]:
    """The units by name, the pod's first, and warnings.

    ``dissect`` takes a command line apart. Raises UsageError, NotFound, PypodError.
    """
    wanted = replace(
        wanted, wants=_listed(wanted.wants), after=_listed(wanted.after), requires=_listed(wanted.requires)
    )
    _check(wanted)
    warnings: list[str] = []
    made = _Maker(context, wanted, dissect, warnings)
    try:
        try:
            services = [made.container(containers.find(context, store, reference))]
        except NoSuchContainer as no_container:
            try:
                pod = pods.find(context, reference)
            except NoSuchPod as no_pod:
                raise NoSuchContainer(
                    f"{reference} does not refer to a container or pod: {no_pod.message}: {no_container.message}"
                ) from None
            services = made.pod(pod, pods.members(context, store, pod.id))
        for service in services:
            if not unit_name.valid(service.unit + ".service"):
                raise UsageError(f"{service.unit}.service cannot be the name of a unit", hint=unit_name.RULE)
        return {service.unit: units.text(service) for service in services}, warnings
    except quoting.Unrepresentable as error:
        raise PypodError(f"cannot write a unit for {reference}: {error}") from None


def _listed(texts: Sequence[str]) -> tuple[str, ...]:
    """The names of units in lists with commas; as systemctl(1) has it, one without its kind is a service's."""
    names = [name for text in texts for name in text.split(",") if name]
    return tuple(name if name.endswith(unit_name.KINDS) else name + ".service" for name in names)


def _check(wanted: Wanted) -> None:
    if wanted.restart_policy is not None and wanted.restart_policy not in units.RESTART_POLICIES:
        raise UsageError(
            f"{wanted.restart_policy} is not a valid restart policy",
            hint="one of " + ", ".join(units.RESTART_POLICIES),
        )
    in_lists = unit_name.CHARACTERS | {"%"}  # %i is the instance of a template
    in_ours = unit_name.CHARACTERS - {"\\"}  # which means something in the paths that the name is part of
    for flag, texts, allowed in (
        ("wants", wanted.wants, in_lists),
        ("after", wanted.after, in_lists),
        ("requires", wanted.requires, in_lists),
        ("container-prefix", (wanted.container_prefix,), in_ours),
        ("pod-prefix", (wanted.pod_prefix,), in_ours),
        ("separator", (wanted.separator,), in_ours),
    ):
        for text in texts:
            if not allowed.issuperset(text):
                raise UsageError(
                    f"invalid value {text!r} for --{flag}: it cannot be in the name of a unit", hint=unit_name.RULE
                )


def _environment(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """-e: NAME=VALUE, or what pypod's own environment has for NAME, or for all that begin with PREFIX*."""
    found: dict[str, str] = {}
    for text in texts:
        name, given, value = text.partition("=")
        if given:
            found[name] = value
        elif name.endswith("*"):
            found.update((key, os.environ[key]) for key in sorted(os.environ) if key.startswith(name[:-1]))
        elif name in os.environ:
            found[name] = os.environ[name]
    return tuple(found.items())


def _given(flags: Mapping[str, Any]) -> list[str]:
    """The words of global flags."""
    words: list[str] = []
    for key, value in flags.items():
        name = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            words.append(name if value else name + "=false")
        elif isinstance(value, list):
            words += [word for item in value for word in (name, str(item))]
        else:
            words += [name, str(value)]
    return words


def program() -> list[str]:
    """The command as the administrator knows it: beside the package, beside the interpreter, or else what the monitor
    is told.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    prefix = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(package))))
    for directory in (prefix + "/bin", os.path.dirname(sys.executable)):
        if os.access(directory + "/pypod", os.X_OK):
            return [directory + "/pypod"]
    return exit_command.program()


class _Maker:
    def __init__(self, context: Context, wanted: Wanted, dissect: Dissect, warnings: list[str]) -> None:
        self.context = context
        self.wanted = wanted
        self.dissect = dissect
        self.warnings = warnings
        self.program = program()
        self.environment = _environment(wanted.environment)
        self.header: tuple[str, ...] = ()
        if wanted.header:
            from pypod import __version__

            # As Go's time.UnixDate has it, which no locale changes.
            now = time.strftime("%a %b %e %H:%M:%S %Z %Y")
            self.header = (f"autogenerated by Pypod {__version__}", now)

    # A container.

    def container(self, container: Container, pod: str = "", after: tuple[str, ...] = ()) -> units.Service:
        """``pod`` is the service of the pod, if that gets one too."""
        if container.config.infra:
            raise UsageError(
                f"container {container.name} belongs to its pod: it gets no unit of its own",
                hint=f"pypod generate systemd {container.config.pod[:12]}",
            )
        if self.wanted.new:
            return self._new(container, pod, after)
        return self._existing(container, container.name if self.wanted.by_name else container.id, pod, after)

    def _name(self, container: Container) -> str:
        shown = container.name if self.wanted.by_name else container.id
        return self.wanted.container_prefix + self.wanted.separator + shown

    def _service(
        self, name: str, timeout: int, clean: tuple[int, ...], commands: Sequence[tuple[str, Sequence[str]]]
    ) -> units.Service:
        wanted = self.wanted
        return units.Service(
            name=name,
            program="Pypod",
            manual=_MANUAL,
            commands=tuple((setting, tuple(words)) for setting, words in commands),
            stop_timeout=timeout + _PATIENCE,
            start_timeout=wanted.start_timeout,
            restart=wanted.restart_policy or "on-failure",
            restart_sec=wanted.restart_sec,
            clean_exits=clean,
            # A user's manager has no such target.
            network_online=not self.context.rootless,
            template=wanted.template,
            header=self.header,
            environment=self.environment,
            user_wants=wanted.wants,
            user_after=wanted.after,
            user_requires=wanted.requires,
        )

    def _timeout(self, container: Container) -> int:
        given = self.wanted.stop_timeout
        return container.config.stop_timeout if given is None else given

    def _words(self, *words: str, flags: Sequence[str] | None = None) -> list[str]:
        """A quoted pypod command; ``flags`` are the global ones (default: those that this pypod was given)."""
        before = _given(self.context.flags) if flags is None else flags
        return quoting.command([*self.program, *before, *words])

    def _existing(self, container: Container, shown: str, pod: str, after: tuple[str, ...]) -> units.Service:
        config = container.config
        if config.restart_policy not in ("", "no"):
            self.warnings.append(
                f"Container {container.id} has restart policy {config.restart_policy!r}, which systemd does not know"
                " of: recreate it without one and use --restart-policy here, or generate with --new"
            )
        timeout = self._timeout(container)
        stop = ("stop", "--ignore", "-t", str(timeout), shown)
        service = self._service(
            self._name(container),
            timeout,
            _clean_exits(config.stop_signal),
            [
                ("ExecStart", self._words("start", shown)),
                ("ExecStop", self._words(*stop)),
                ("ExecStopPost", self._words(*stop)),
            ],
        )
        pid_file = config.conmon_pidfile or container.rundir + "/conmon.pid"
        places = (self.context.graphroot, self.context.runroot)
        return replace(
            service,
            notify=not config.infra and self._waits(config.create_command),
            pid_file=quoting.whole_path(pid_file),
            mounts_for=tuple(
                quoting.listed_path(quoting.specifiers(place)) for place in places if place.isprintable()
            ),
            bound_to=pod,
            after=after,
        )

    def _waits(self, words: Sequence[str]) -> bool:
        """Whether it was made with an --sdnotify for which systemd is to wait: "container" is only the default."""
        try:
            return bool(words) and (self.dissect(words).value("sdnotify") or "ignore") != "ignore"
        except PypodError:
            return False

    def _new(self, container: Container, pod: str, after: tuple[str, ...]) -> units.Service:
        made = self._dissected(container.config.create_command, container.name, "container")
        dropped = [*_OF_UNIT, *(_OF_POD_UNIT if pod else ())]
        flags: list[str] = [_CIDFILE_FLAG]
        if (made.value("cgroups") or "") not in _STAYS_IN_UNIT:
            flags.append("--cgroups=no-conmon")
            dropped.append("cgroups")
        flags.append("--rm")
        if pod:
            flags += ["--pod-id-file", Raw(f"%t/{pod}.pod-id")]
        if (made.value("sdnotify") or "ignore") == "ignore":
            # Hardly any container says READY: systemd would wait for it.
            flags.append("--sdnotify=conmon")
            dropped.append("sdnotify")
        flags.append("-d")
        if made.value("name"):
            flags.append("--replace")
            # One that was renamed, or a clone, was made under another name: who has that is not to be replaced.
            if self.wanted.template or made.value("name") != container.name:
                flags += ["--name", Raw(container.name + ("-%i" if self.wanted.template else ""))]
                dropped.append("name")
        flags += made.without(dropped)
        timeout = self._timeout(container)
        verb = made.path.replace("create", "run").split()
        shared = made.global_words
        ends = ("--ignore", "-t", str(timeout), _CIDFILE_FLAG)
        service = self._service(
            self._name(container),
            timeout,
            _clean_exits(container.config.stop_signal),
            [
                ("ExecStartPre", ("/bin/rm", "-f", _CIDFILE)),
                ("ExecStart", self._words(*verb, *flags, *made.rest, flags=shared)),
                ("ExecStop", self._words("stop", *ends, flags=shared)),
                ("ExecStopPost", self._words("rm", "-f", *ends, flags=shared)),
            ],
        )
        policy, _, retries = (made.value("restart") or "").partition(":")
        restart = {"unless-stopped": "always"}.get(policy, policy)
        return replace(
            service,
            restart=self.wanted.restart_policy or restart or "on-failure",
            restart_burst=int(retries) if retries.isdecimal() and not self.wanted.restart_policy else 0,
            notify=True,
            mounts_for=("%t/containers",),
            bound_to=pod,
            after=after,
        )

    def _dissected(self, words: Sequence[str], name: str, what: str) -> CreateCommand:
        if not words:
            raise PypodError(f"cannot use --new with {what} {name}: it is not known by which command it was made")
        return self.dissect(words)

    # A pod.

    def pod(self, pod: Pod, members: list[Container]) -> list[units.Service]:
        if self.wanted.template:
            raise UsageError("--template is not supported for pods")
        if not pod.infra_id or not members or members[0].id != pod.infra_id:
            raise PypodError(f'generating systemd unit files: Pod "{pod.name}" has no infra container')
        infra, *others = members
        name = self.wanted.pod_prefix + self.wanted.separator + (pod.name if self.wanted.by_name else pod.id)
        service = self._new_pod(pod, infra, name) if self.wanted.new else self._existing_pod(infra, name)
        names = {member.id: self._name(member) for member in others}
        service = replace(service, members=tuple(names.values()))
        return [
            service,
            *(
                self.container(member, name, tuple(names[id] for id in member.config.needs if id in names))
                for member in others
            ),
        ]

    def _existing_pod(self, infra: Container, name: str) -> units.Service:
        shown = infra.name if self.wanted.by_name else infra.id
        return replace(self._existing(infra, shown, "", ()), name=name)

    def _new_pod(self, pod: Pod, infra: Container, name: str) -> units.Service:
        made = self._dissected(pod.create_command, pod.name, "pod")
        if made.path != "pod create":
            raise PypodError(f"cannot use --new with pod {pod.name}: it was made by {made.path}, not by pod create")
        pid_file, id_file = Raw(f"%t/{name}.pid"), Raw(f"%t/{name}.pod-id")
        flags = ["--infra-conmon-pidfile", pid_file, "--pod-id-file", id_file]
        if made.value("exit_policy") is None:
            flags.append("--exit-policy=stop")
        flags += made.without(("infra_conmon_pidfile", "pod_id_file", "replace"))
        if made.value("name") or made.arguments:
            flags.append("--replace")
        timeout = self._timeout(infra)
        shared = made.global_words
        by_id = ("--pod-id-file", id_file)
        service = self._service(
            name,
            timeout,
            _clean_exits(infra.config.stop_signal),
            [
                ("ExecStartPre", ("/bin/rm", "-f", pid_file, id_file)),
                ("ExecStartPre", self._words("pod", "create", *flags, *made.rest, flags=shared)),
                ("ExecStart", self._words("pod", "start", *by_id, flags=shared)),
                ("ExecStop", self._words("pod", "stop", "--ignore", "-t", str(timeout), *by_id, flags=shared)),
                ("ExecStopPost", self._words("pod", "rm", "--ignore", "-f", *by_id, flags=shared)),
            ],
        )
        return replace(service, pid_file=pid_file, mounts_for=("%t/containers",))


def _clean_exits(stop_signal: int) -> tuple[int, ...]:
    """The exit status of a container that died of the stop signal, where that death is clean to systemd."""
    return (128 + stop_signal,) if stop_signal in units.CLEAN_SIGNALS else ()
