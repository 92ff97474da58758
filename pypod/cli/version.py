"""``version``: ours, in podman's layout."""

from __future__ import annotations

from pypod.cli import output
from pypod.engine import info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    client = info.version()
    template = invocation.options["format"]
    if template is None:
        labels = (
            ("Client:", "Pypod Engine"),
            ("Version:", client["Version"]),
            ("API Version:", client["APIVersion"]),
            ("Python Version:", client["GoVersion"].removeprefix("python")),
            ("OS/Arch:", client["OsArch"]),
        )
        output.write(output.columns(labels, least=0))
    elif output.is_json(template):
        output.json({"Client": client}, 2)
    else:
        from pypod.cli.gotemplate import Struct

        inner = Struct(client, "define.Version")
        # podman 4 lets {{.Version}} mean the client's.
        output.rendered(template, Struct({"Client": inner, "Server": None}, "types.SystemVersionReport", inner))
    return 0
