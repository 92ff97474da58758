""".build files: an image, built by a service that is then active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, quadlet_unit
from pypod.systemd import quadlet_model as model
from pypod.systemd.quadlet_keys import OWN
from pypod.systemd.quadlet_references import Needs

if TYPE_CHECKING:
    from pypod.systemd.quadlet_keys import Table
    from pypod.systemd.quadlet_model import Setting, Source
    from pypod.systemd.quadlet_references import Sources

KEYS: Table = {
    "ImageTag": ("lines", "--tag", ""),
    "File": OWN,
    "SetWorkingDirectory": OWN,
    "Network": OWN,
    "Volume": OWN,
    "Annotation": ("pairs", "--annotation", ""),
    "Arch": ("value", "--arch", ""),
    "AuthFile": ("path", "--authfile", ""),
    "BuildArg": ("pairs", "--build-arg", ""),
    "DNS": ("lines", "--dns", ""),
    "DNSOption": ("lines", "--dns-option", ""),
    "DNSSearch": ("lines", "--dns-search", ""),
    "Environment": ("pairs", "--env", ""),
    "ForceRM": ("bool", "--force-rm", ""),
    "GroupAdd": ("lines", "--group-add", ""),
    "IgnoreFile": ("path", "--ignorefile", ""),
    "Label": ("pairs", "--label", ""),
    "Pull": OWN,
    "Retry": ("value", "--retry", ""),
    "RetryDelay": ("value", "--retry-delay", ""),
    "Secret": ("words", "--secret", ""),
    "Target": ("value", "--target", ""),
    "TLSVerify": ("bool", "--tls-verify", ""),
    "Variant": ("value", "--variant", ""),
}
_REMOTE = ("https://", "http://", "git://", "git@", "github.com/")


def convert(source: Source, sources: Sources, setting: Setting) -> model.Service:
    """The service. What is wrong is noted in ``source``; then the service is of no use."""
    needs = Needs()
    words = ["build", *quadlet_keys.flags(source, KEYS)]
    if not source.unit.entries("Build", "ImageTag"):
        source.lacks("[Build] has no ImageTag=")
    for entry, value in quadlet_keys.lines(source, "Network"):
        words += ["--network", sources.network(source, entry, value, needs)]
    for entry, value in quadlet_keys.lines(source, "Volume"):
        words += ["--volume", sources.volume(source, entry, value, needs)]
    if pull := source.value("Pull"):
        words.append(f"--pull={pull}")  # one word: --pull may stand alone
    words += quadlet_keys.words(source, "PodmanArgs")
    file, context = _places(source)
    if file:
        words += ["--file", file]
    start = model.command(setting, [*words, context], quadlet_keys.before(source))
    settings = quadlet_unit.oneshot(source, start)
    if context.startswith("/"):
        settings.append(("WorkingDirectory", context.replace("$$", "$")))
    return quadlet_unit.service(source, sources, setting, needs, settings)


def _places(source: Source) -> tuple[str, str]:
    """The Containerfile ("": the context's own) and the directory or URL that is built."""
    file, where = source.value("File"), source.value("SetWorkingDirectory")
    remote = file.startswith(_REMOTE)
    shown = file if remote else quadlet_keys.absolute(source, file)
    if where.lower() == "unit":
        return shown, quadlet_keys.absolute(source, ".")
    if where.lower() == "file":
        if not file or remote:
            source.bad(source.entry("SetWorkingDirectory"), f"{where} needs File= with a path")
        return shown, shown.rpartition("/")[0]
    if where:
        return file, where if where.startswith(_REMOTE) else quadlet_keys.absolute(source, where)
    own = source.unit.last("Service", "WorkingDirectory")
    if own and own.value:
        place = own.value.removeprefix("-")  # systemd's: it need not be there
        return file, "%h" if place == "~" else place
    if not file:
        source.lacks("[Build] has neither File= nor SetWorkingDirectory=")
        return "", ""
    if remote:
        return "", shown  # a URL is what is built
    return shown, shown.rpartition("/")[0]
