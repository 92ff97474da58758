"""The same command lines on podman and pypod, rootless, each with a store of its own: exit codes, words and JSON."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import parity, shapes
from support.peer import Podman
from support.runner import Pypod, Result

IMAGE = "localhost/bb:1"
DOCUMENT = (Path(__file__).parents[2] / "docs/from-podman.md").read_text()
# What follows "Error: " has to begin alike: so many words.
WORDS = 2


class Line:
    """One command line and how its results are compared."""

    def __init__(self, text: str) -> None:
        self.how, _, rest = text.partition(" ")
        self.text, _, given = rest.strip().partition(" <<< ")
        self.input = given.encode() if given else None

    def words(self, place: Path, number: int) -> list[str]:
        words = shlex.split(self.text.replace("{n}", "--network none").replace("{k}", str(number)))
        return [IMAGE if word == "I" else re.sub(r"@(?=[/:,]|$)", str(place), word) for word in words]


LINES = [Line(text) for text in parity.COMPARED.strip().splitlines()]

_NORMAL = [
    (r"\b[0-9a-f]{64}\b", "ID"),
    (r"\b[0-9a-f]{25}\b", "SECRETID"),
    (r"\b[0-9a-f]{12}\b", "SHORTID"),
    (r"\b\d+\.\d{3}\b", "PERCENT"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC|[+-]\d\d:\d\d)?", "TIME"),
    (r"(Less than a second|About (a minute|an hour)|\d+ (seconds?|minutes?))( ago)?", "AGO"),
    (r"\b\d+(\.\d+)? ?[kMG]?B\b", "SIZE"),
    (r"\b(\d+h)?(\d+m)?\d+(\.\d+)?m?s\b", "SPAN"),
    (r"[ \t]+", " "),
    (r" +$", ""),
]


class Side:
    """One tool and what it said to each line."""

    def __init__(self, tool: Pypod | Podman, place: Path, number: int) -> None:
        self.tool, self.place, self.number = tool, place, number
        self.results: list[Result] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for line in LINES:
                self.results.append(self.tool(*line.words(self.place, self.number), input=line.input))
        except BaseException as error:
            self.error = error

    def normal(self, text: str) -> str:
        """Without what differs from run to run, and the tool's own name and places."""
        pypod = self.tool.pypod if isinstance(self.tool, Podman) else self.tool
        assert pypod.graphroot
        places = [(f"{pypod.graphroot.parent}/podman-g", "ROOT"), (str(pypod.graphroot), "ROOT")]
        for old, new in [*places, (str(self.place), "PLACE")]:
            text = text.replace(old, new)
        for pattern, word in _NORMAL:
            text = re.sub(pattern, word, text, flags=re.MULTILINE)
        return re.sub(
            rf"10\.97\.{self.number}\.", "10.97.N.", re.sub("podman|pypod", "TOOL", text, flags=re.IGNORECASE)
        )

    def complaint(self, done: Result) -> str:
        for line in done.err.splitlines():
            if line.startswith("Error: "):
                return " ".join(self.normal(line).split()[1 : 1 + WORDS])
        return ""


def compare(line: Line, podman: Side, theirs: Result, pypod: Side, ours: Result) -> str:
    """What differs; "" if nothing does."""
    if theirs.code != ours.code:
        return f"exit code {theirs.code}, not {ours.code}: {theirs.err.strip()!r}, {ours.err.strip()!r}"
    if theirs.code and podman.complaint(theirs) != pypod.complaint(ours):
        return f"error {theirs.err.strip()!r}, not {ours.err.strip()!r}"
    if line.how == "json":
        try:
            found = shapes.differences(json.loads(theirs.out), json.loads(ours.out))
        except ValueError:
            return f"JSON: {theirs.out[:60]!r}, not {ours.out[:60]!r}"
        return ", ".join(f"{path}: {text}" for path, text in found.items())
    if line.how in ("out", "lines"):
        outs = [podman.normal(theirs.out).splitlines(), pypod.normal(ours.out).splitlines()]
        if line.how == "lines":
            outs = [sorted(item) for item in outs]
        if outs[0] != outs[1]:
            return f"stdout {outs[0]!r}, not {outs[1]!r}"
    return ""


@pytest.fixture
def sides(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> Iterator[tuple[Side, Side]]:
    fresh("import", busybox_tar, IMAGE).ok()
    podman = Podman(fresh, busybox_tar, IMAGE)
    found = []
    for number, tool in enumerate((podman, fresh), 1):
        place = shared_dir / str(number)
        fresh.as_user("mkdir", place).ok()
        (place / "env").write_text("FROM_FILE=yes\n")
        (place / "labels").write_text("a=b\n")
        found.append(Side(tool, place, number))
    yield found[0], found[1]
    podman.close()


def test_parity(sides: tuple[Side, Side], capsys: pytest.CaptureFixture[str]) -> None:
    podman, pypod = sides
    if not pypod.tool.rootless:
        return  # rootless is what the two are compared as
    threads = [threading.Thread(target=side.run) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for side in sides:
        if side.error is not None:
            raise side.error
    found = {}
    for line, theirs, ours in zip(LINES, podman.results, pypod.results, strict=True):
        text = compare(line, podman, theirs, pypod, ours)
        if text:
            found[line.text] = text
    with capsys.disabled():
        print(f"\nparity: {len(LINES) - len(found)} of {len(LINES)} command lines agree with podman's")
    left = [f"{line}\n    {text}" for line, text in found.items() if line not in parity.DIFFERENT]
    assert not left, f"{len(left)} lines differ without a reason:\n" + "\n".join(left)
    stale = sorted(set(parity.DIFFERENT) - set(found))
    assert not stale, f"no longer different: {stale}"


def test_each_difference_has_its_reason_in_the_document() -> None:
    texts = {line.text for line in LINES}
    for line, reason in parity.DIFFERENT.items():
        assert line in texts, line
        assert reason in DOCUMENT, f"{line}: docs/from-podman.md does not say {reason!r}"
