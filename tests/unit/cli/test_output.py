"""Tables, JSON and the words for sizes and times."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.base import gojson, units
from pypod.cli import completion, info, manpages, output, table


def test_columns_are_podmans():
    text = output.columns([["CONTAINER ID", "NAMES", "SIZE"], ["0123456789ab", "a-long-name-here", "1B"]])
    assert text == "CONTAINER ID  NAMES             SIZE\n0123456789ab  a-long-name-here  1B\n"
    assert output.columns([["A", "B"]]) == "A           B\n"
    assert output.columns([]) == ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from([0, 2, 4, 5]),
)
def test_json_text_is_json(value, indent):
    assert json.loads(gojson.text(value, indent)) == value


def test_json_is_indented_as_go_does():
    assert gojson.text({"a": [1, {}], "b": []}, 2) == '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}'
    assert gojson.text("é\udcff", 0) == '"\\u00e9\\udcff"'
    assert gojson.text("é", 0) == '"é"'


def test_templated_rows(capsys):
    output.templated("{{.a}}", [{"a": 1}, {"a": 2}])
    output.templated("table {{.a}}\\t{{.b}}", [{"a": "x", "b": "y"}])
    output.templated("table {{.a}}", [], noheading=True)
    assert capsys.readouterr().out == "1\n2\nA           B\nx           y\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1997955, "2 MB"), (2_163_000, "2.16 MB"), (10**18, "1 EB")],
)
def test_sizes(count, text):
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (48 * 3600, "2 days"),
        (15 * 86400, "2 weeks"),
        (61 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations(seconds, text):
    assert units.duration(seconds * 1_000_000_000) == text


def test_yaml():
    text = info.yaml({"b": {"x": "1", "y": None, "z": "a: b"}, "a": [{"k": 1, "l": True}, "s"], "m": "1\n2", "e": {}})
    assert text == ('a:\n- k: 1\n  l: true\n- s\nb:\n  x: "1"\n  "y": null\n  z: \'a: b\'\ne: {}\nm: |-\n  1\n  2\n')


@pytest.mark.parametrize("shell", completion.SHELLS)
@pytest.mark.parametrize("descriptions", [True, False])
def test_completion_knows_every_command(shell, descriptions):
    text = completion.script(shell, descriptions=descriptions)
    for path, entry in table.COMMANDS.items():
        if entry[2]:
            assert path.rpartition(" ")[2] in text
    assert "cleanup" not in text


def test_the_bash_script_completes():
    import shutil
    import subprocess

    bash = shutil.which("bash")
    assert bash

    def complete(*words: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        program = f'COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _pypod 2>/dev/null; echo "${{COMPREPLY[@]}}"'
        text = completion.script("bash") + program
        return subprocess.run([bash, "-c", text], capture_output=True, text=True, check=True).stdout.split()

    assert complete("pypod", "ru") == ["run"]
    assert complete("pypod", "container", "sto") == ["stop"]
    assert complete("pypod", "--root", "/x", "run", "--pull", "") == ["always", "missing", "never", "newer"]
    assert "--publish" in complete("pypod", "run", "--pub")


def test_man_pages(tmp_path):
    assert manpages.main([str(tmp_path / "man"), str(tmp_path / "commands.md")]) == 0
    for path in table.COMMANDS:
        text = (tmp_path / "man" / f"pypod-{path.replace(' ', '-')}.1").read_text()
        assert text.startswith(".TH ") and ".SH SYNOPSIS" in text
        assert not any(line.startswith("'") for line in text.splitlines())
    assert "### pypod run" in (tmp_path / "commands.md").read_text()


def test_docs_commands_is_up_to_date():
    from pathlib import Path

    path = Path(__file__).resolve().parents[3] / "docs" / "commands.md"
    assert path.read_text() == manpages.markdown(), "make it anew: python -m pypod.cli.manpages DIR docs/commands.md"


def test_a_table_does_not_steer_the_terminal(capsys):
    output.table(["A", "B"], [["\x1b[2J", "x\ny"]])
    assert capsys.readouterr().out == "A           B\n\\x1b[2J     x\\ny\n"
