"""podman's commands and flags that its users type: each is here, or docs/from-podman.md says why not.

surface.json lists those of priority P0 (everyday) and P1 (expected) of podman 5.8's manual pages, and kube.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from pypod.cli import main, options, table

HERE = Path(__file__).parent
SURFACE = json.loads((HERE / "surface.json").read_text())
DOCUMENT = (HERE.parents[1] / "docs/from-podman.md").read_text()


def excused() -> set[str]:
    """The words in the table of what is not here yet: "update", "run --pod"."""
    rows = re.findall(r"^\| (.*?) \|", DOCUMENT.partition("## Not here yet")[2], re.MULTILINE)
    return {word for cell in rows for word in re.findall(r"`([a-z][a-z -]+)`", cell)}


def known(command: str) -> set[str] | None:
    """Every spelling of a command's flags, without dashes; None if there is no such command."""
    if command == "global":
        flags = (*options.GLOBAL, *main._ROOT)
    else:
        name = table.canonical(command)
        if name is None:
            return None
        flags = table.Command(name, command).flags()
    return {name for flag in flags for name in flag[0].split()}


def test_every_command_and_flag_is_here_or_in_the_document(capsys) -> None:
    excuses = excused()
    missing, here, excused_flags, commands, absent = [], 0, 0, 0, 0
    for command, entry in SURFACE.items():
        found = known(command)
        commands += command != "global"
        if found is None:
            absent += 1
            if command not in excuses:
                missing.append(command)
            continue
        for flag in entry["flags"]:
            spellings = {word.lstrip("-") for word in flag.split("/")}
            name = f"{command} {flag.partition('/')[0]}"
            if name in excuses:
                excused_flags += 1
            elif spellings <= found:
                here += 1
            else:
                missing.append(name)
    with capsys.disabled():
        print(
            f"\n{commands - absent} of {commands} commands, and {here} of {here + excused_flags + len(missing)} flags"
            f" of these, are here; {absent} commands and {excused_flags} flags are in docs/from-podman.md"
        )
    assert not missing, f"neither in the parser nor in docs/from-podman.md: {missing}"


def test_the_document_excuses_no_command_that_is_here() -> None:
    stale = [command for command in SURFACE if command in excused() and known(command) is not None]
    assert not stale, f"docs/from-podman.md says that these are not here yet: {stale}"


def test_aliases_are_here() -> None:
    paths = [
        *(f"container {name}" for name in SURFACE if name in table.COMMANDS and name in CONTAINER),
        *(
            f"image {name}"
            for name in ("pull", "push", "load", "save", "tag", "untag", "import", "history", "rm", "ls")
        ),
        *(f"{group} {verb}" for group in ("container", "image", "volume", "network") for verb in ("ls", "list")),
        *("rmi", "umount", "unmount", "container ps", "system info", "system events", "image search", "image diff"),
    ]
    absent = [path for path in paths if table.canonical(path) is None]
    assert not absent, absent


CONTAINER = (
    "attach commit cp create diff exec export inspect kill logs mount pause port ps rename restart rm run start stats"
    " stop top unmount unpause wait"
).split()
