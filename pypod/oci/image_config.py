"""The ``config`` object of an image (image-spec, config.md) and the instructions of ``--change`` that alter it."""

from __future__ import annotations

from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Config = dict[str, Any]

# In the order of the specification; what is not of it comes last.
ORDER = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "ArgsEscaped",
)


def ordered(config: Config) -> Config:
    """The config with its keys in the specification's order, without what is empty."""
    keys = [*ORDER, *(key for key in config if key not in ORDER)]
    return {key: config[key] for key in keys if config.get(key)}


def apply(config: Config, changes: Sequence[str]) -> Config:
    """``config`` after the instructions: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER,
    VOLUME, WORKDIR; written ``KEY VALUE`` or ``KEY=VALUE``.

    Raises UsageError in podman's words.
    """
    result = {
        key: list(v) if isinstance(v, list) else dict(v) if isinstance(v, dict) else v for key, v in config.items()
    }
    for change in changes:
        words = change.strip().split(None, 1)
        if len(words) != 2 or "=" in words[0]:
            key, equals, value = change.strip().partition("=")
            if not equals:
                raise UsageError(f'invalid change "{change}" - must be formatted as KEY VALUE')
            words = [key, value]
        instruction = _INSTRUCTIONS.get(words[0].upper())
        if instruction is None:
            raise UsageError(f'invalid change "{change}" - invalid instruction {words[0]}')
        try:
            instruction(result, words[1].strip())
        except ValueError as error:
            raise UsageError(f'invalid change "{change}" - {error}') from None
    return ordered(result)


def _words(value: str) -> list[str] | None:
    """A JSON array of strings; None if it is not one."""
    if not value.startswith("["):
        return None
    from pypod.base import fastjson

    try:
        words = fastjson.loads(value)
    except fastjson.BadJson:
        return None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return words
    raise ValueError("must be an array of strings")


def _command(key: str) -> Callable[[Config, str], None]:
    def change(config: Config, value: str) -> None:
        words = _words(value)
        if words is None:
            # ENTRYPOINT without a value takes the image's away (podman).
            words = ["/bin/sh", "-c", value] if value or key != "Entrypoint" else []
        config[key] = words

    return change


def _pairs(value: str) -> list[tuple[str, str]]:
    """``KEY=VALUE ...`` in a shell's quotes, or ``KEY VALUE``."""
    key, _, rest = value.partition(" ")
    if "=" not in key:
        if not rest:
            return [(key, "")]
        return [(key, rest.strip())]
    if '"' not in value and "'" not in value and "\\" not in value:
        pairs: list[tuple[str, str]] = []
        for word in value.split(" "):
            name, equals, content = word.partition("=")
            if equals and name:
                pairs.append((name, content))
            elif pairs:  # KEY=a value with blanks
                pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {word}")
        return pairs
    import shlex

    return [(name, content) for name, _, content in (word.partition("=") for word in shlex.split(value))]


def _env(config: Config, value: str) -> None:
    env = config.setdefault("Env", [])
    for key, content in _pairs(value):
        if not key:
            raise ValueError("ENV must have a name")
        entry = f"{key}={content}"
        for place, old in enumerate(env):
            if old.partition("=")[0] == key:
                env[place] = entry
                break
        else:
            env.append(entry)


def _label(config: Config, value: str) -> None:
    labels = config.setdefault("Labels", {})
    for key, content in _pairs(value):
        if not key:
            raise ValueError("LABEL must have a name")
        labels[key] = content


def _expose(config: Config, value: str) -> None:
    ports = config.setdefault("ExposedPorts", {})
    for word in value.split():
        port, slash, protocol = word.partition("/")
        first, dash, last = port.partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(end.isdecimal() and 0 < int(end) < 65536 for end in ends) or int(ends[0]) > int(ends[1]):
            raise ValueError("EXPOSE port must be a valid port number")
        if slash and protocol.lower() not in ("tcp", "udp", "sctp"):
            raise ValueError("EXPOSE protocol must be tcp, udp or sctp")
        for number in range(int(ends[0]), int(ends[1]) + 1):
            ports[f"{number}/{protocol.lower() or 'tcp'}"] = {}


def _volume(config: Config, value: str) -> None:
    volumes = config.setdefault("Volumes", {})
    words = _words(value)
    if words is None:
        words = value.split()
    if not words:
        raise ValueError("must provide at least one argument to VOLUME")
    for word in words:
        volumes[word] = {}


def _onbuild(config: Config, value: str) -> None:
    config.setdefault("OnBuild", []).append(value)


def _plain(key: str) -> Callable[[Config, str], None]:
    def change(config: Config, value: str) -> None:
        if not value:
            raise ValueError("must have a value")
        config[key] = value

    return change


def _healthcheck(config: Config, value: str) -> None:
    """``[--interval=30s --timeout= --start-period= --retries=] CMD command`` or ``NONE`` (Dockerfile reference)."""
    if value.upper() == "NONE":
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    check: Config = {}
    rest = value
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        name, equals, text = flag[2:].partition("=")
        rest = rest.lstrip()
        if name == "retries" and text.isdecimal():
            check["Retries"] = int(text)
        elif name in _HEALTH_TIMES and equals:
            check[_HEALTH_TIMES[name]] = _nanoseconds(text)
        else:
            raise ValueError(f"unknown HEALTHCHECK flag --{name}")
    kind, _, command = rest.partition(" ")
    command = command.strip()
    if kind.upper() != "CMD" or not command:
        raise ValueError("HEALTHCHECK must be NONE, or CMD and a command")
    words = _words(command)
    config["Healthcheck"] = {"Test": ["CMD", *words] if words is not None else ["CMD-SHELL", command], **check}


_HEALTH_TIMES = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def _nanoseconds(text: str) -> int:
    """Go's time.ParseDuration of what people write: 30s, 1m30s, 500ms."""
    total, number, unit = 0.0, "", ""
    for character in text + "\0":
        if character.isdecimal() or character in ".\0":
            if unit:
                if unit not in _SECONDS or not number:
                    raise ValueError(f"{text} is not a duration")
                total += float(number) * _SECONDS[unit]
                number = unit = ""
            number += character if character != "\0" else ""
        else:
            unit += character
    if number:
        raise ValueError(f"{text} is not a duration")
    return round(total * 1e9)


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _plain("StopSignal"),
    "USER": _plain("User"),
    "VOLUME": _volume,
    "WORKDIR": _plain("WorkingDir"),
}
