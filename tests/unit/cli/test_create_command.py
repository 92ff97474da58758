"""Command lines taken apart: what is kept is what was typed."""

from __future__ import annotations

import pytest

from pypod.cli import options, options_run
from pypod.cli.create_command import dissect
from pypod.cli.parser import Parser
from pypod.errors import PypodError


def test_parts() -> None:
    made = dissect(
        [
            "pypod",
            "--root",
            "/r",
            "run",
            "-dit",
            "--rm",
            "--name=a",
            "-eA=1",
            "-e",
            "B",
            "--log-level=debug",
            "i",
            "-x",
        ]
    )
    assert made.global_words == ["--root", "/r", "--log-level=debug"]
    assert made.path == "run"
    assert made.arguments == ("i", "-x") and made.rest == ["i", "-x"]
    assert made.value("name") == "a" and made.value("env") == "B" and made.value("cidfile") is None
    assert made.given("detach") and made.given("rm") and not made.given("replace")
    assert made.without(("rm",)) == ["-dit", "--name=a", "-eA=1", "-e", "B"]
    assert made.without(("detach", "rm")) == ["--interactive", "--tty", "--name=a", "-eA=1", "-e", "B"]


def test_groups_and_dashes() -> None:
    made = dissect(["pypod", "container", "--root=/r", "create", "--tty=false", "--", "i", "--name", "x"])
    assert (made.path, made.dashes, made.rest) == ("container create", True, ["--", "i", "--name", "x"])
    assert made.global_words == ["--root=/r"]
    assert made.value("tty") == "false" and not made.given("tty")
    assert dissect(["pypod", "pod", "create", "p", "--infra=false", "--root=/r"]).arguments == ("p",)


@pytest.mark.parametrize(
    "words", [[], ["ps"], ["exec", "c", "true"], ["run", "--nonsense", "i"], ["run", "--help"], ["pod"], ["--root"]]
)
def test_what_makes_nothing(words: list[str]) -> None:
    with pytest.raises(PypodError):
        dissect(["pypod", *words])


def test_what_is_kept_parses_as_before() -> None:
    """Every flag in its long and short spelling, also with several letters in one word."""
    words: list[str] = []
    for flag in options_run.RUN:
        for name in flag[0].split():
            dashes = f"-{name}" if len(name) == 1 else f"--{name}"
            if flag[1] == "bool":
                words += [dashes, f"--{flag[0].split()[0]}=false"]
            else:
                words += [dashes, flag[5][0] if flag[1] == "choice" else "1"]
    words += ["-itd", "-itw", "/x", "-itePATH=1"]

    def parsed(given: list[str]) -> dict[str, object]:
        parser = Parser(options_run.RUN, options.GLOBAL, interspersed=False)
        parser.parse([*given, "i"])
        return parser.values

    made = dissect(["pypod", "run", *words, "i"])
    assert parsed(made.without(())) == parsed(words)
    left = made.without(("detach", "interactive"))
    assert parsed(left) == {**parsed(words), "detach": False, "interactive": False}
