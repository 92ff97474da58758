"""The small parser: pflag's rules and podman's words, and click parses alike."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypod.cli import clickfront, invocation, options, table
from pypod.cli.parser import HelpWanted, Parser, defaults, key, split
from pypod.errors import UsageError


def parse(path: str, *words: str):
    command = table.Command(table.canonical(path), path)
    return invocation.invocation(command, words, {}, words)


def refused(path: str, *words: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(path, *words)
    return caught.value.message


def test_every_spelling_of_a_flag():
    for words in (["--env", "A=b"], ["--env=A=b"], ["-e", "A=b"], ["-eA=b"], ["-e=A=b"]):
        assert parse("run", *words, "image").options["env"] == ["A=b"]
    assert parse("run", "-dit", "image").options["tty"] is True
    assert parse("run", "--rm=false", "image").options["rm"] is False
    assert parse("run", "--sig-proxy=0", "image").options["sig_proxy"] is False
    assert parse("run", "-itw", "/x", "image").options["workdir"] == "/x"
    assert parse("run", "--net", "none", "image").options["network"] == ["none"]
    assert parse("stop", "--timeout", "3", "x").options["time"] == 3


def test_a_form_may_be_left_out_and_is_never_the_next_word():
    for words, form in (((), None), (("--dry-run",), "text"), (("--dry-run=json",), "json")):
        for call in (parse("run", *words, "image").options, clickfront.parse("run", [*words, "image"])[0]):
            assert call["dry_run"] == form
    assert parse("run", "--dry-run", "json", "x").args == ["json", "x"]
    assert "not a valid value" in refused("run", "--dry-run=yes", "x")


def test_values_that_were_not_given():
    got = parse("run", "image").options
    assert got["entrypoint"] is None and got["env"] == [] and got["rm"] is False and got["sig_proxy"] is True
    assert parse("run", "--entrypoint", "", "image").options["entrypoint"] == ""
    parse("run", "-e", "A", "image")
    assert parse("run", "image").options["env"] == []  # nothing is shared between two command lines


def test_the_image_ends_the_flags():
    call = parse("run", "--rm", "image", "--rm=maybe", "-x", "--", "--help")
    assert call.args == ["image", "--rm=maybe", "-x", "--", "--help"]
    assert parse("exec", "c", "ls", "-l").args == ["c", "ls", "-l"]
    assert parse("top", "c", "-eo", "pid").args == ["c", "-eo", "pid"]
    assert parse("rm", "a", "-f", "b").args == ["a", "b"]
    assert parse("rm", "--", "-f").args == ["-f"]


def test_lists_are_comma_separated_and_arrays_are_not():
    got = parse("run", "--cap-add", "a,b", "--cap-add", "c", "-v", "/a,b:/c", "-p", '"x,y",z', "image").options
    assert got["cap_add"] == ["a", "b", "c"]
    assert got["volume"] == ["/a,b:/c"]
    assert got["publish"] == ["x,y", "z"]


def test_global_flags_before_and_after_the_verb():
    assert parse("ps", "--root", "/x", "-a").globals == {"root": "/x"}
    assert parse("run", "-v", "a:b", "--runtime", "crun", "image").globals == {"runtime": "crun"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--xyz"], "unknown flag: --xyz\nSee 'pypod run --help'"),
        (["run", "-Q"], "unknown shorthand flag: 'Q' in -Q\nSee 'pypod run --help'"),
        (["run", "-itQ"], "unknown shorthand flag: 'Q' in -Q\nSee 'pypod run --help'"),
        (["run", "--name"], "flag needs an argument: --name\nSee 'pypod run --help'"),
        (["kill", "-s"], "flag needs an argument: 's' in -s\nSee 'pypod kill --help'"),
        (
            ["ps", "--last", "abc"],
            'invalid argument "abc" for "-n, --last" flag: strconv.ParseInt: parsing "abc": invalid syntax'
            "\nSee 'pypod ps --help'",
        ),
        (
            ["run", "--rm=foo", "x"],
            'invalid argument "foo" for "--rm" flag: strconv.ParseBool: parsing "foo": invalid syntax'
            "\nSee 'pypod run --help'",
        ),
        (
            ["stop", "--time=x", "foo"],
            'invalid argument "x" for "-t, --time" flag: strconv.ParseUint: parsing "x": invalid syntax'
            "\nSee 'pypod stop --help'",
        ),
        (["run"], "requires at least 1 arg(s), only received 0"),
        (["rename", "a"], "accepts 2 arg(s), received 1"),
        (["import"], "accepts between 1 and 2 arg(s), received 0"),
        (["images", "a", "b"], "accepts at most 1 arg(s), received 2"),
        (["container ls", "x"], "`pypod container ls` takes no arguments"),
        (["rm"], "you must provide at least one name or id"),
        (["rm", "-a", "x"], "no arguments are needed with --all"),
        (["rm", "-a", "-l"], "--all and --latest cannot be used together"),
        (["stop", "-l", "x"], "--latest and containers cannot be used together"),
        (["inspect"], "no names or ids specified"),
        (["exec"], "exec requires the name or ID of a container or the --latest flag"),
        (["run", "--=x"], "bad flag syntax: --=x\nSee 'pypod run --help'"),
        (["run", "---x"], "bad flag syntax: ---x\nSee 'pypod run --help'"),
        (
            ["ps", "--sort", "x"],
            'invalid argument "x" for "--sort" flag: "x" is not a valid value.  Choose from: "command", "created", '
            '"id", "image", "names", "runningfor", "size", "status"\nSee \'pypod ps --help\'',
        ),
    ],
)
def test_errors_in_podmans_words(words, message):
    assert refused(*words) == message


def test_numbers_as_go_reads_them():
    assert parse("run", "--oom-score-adj", "-5", "i").options["oom_score_adj"] == -5
    assert parse("run", "--cpu-quota=0x10", "i").options["cpu_quota"] == 16
    assert parse("run", "--cpu-quota=010", "i").options["cpu_quota"] == 8
    assert parse("run", "--cpus", "1.5", "i").options["cpus"] == 1.5
    for bad in ("", " 1", "1 ", "१", "1.0", "--1", "-", "099", "9223372036854775808"):
        refused("run", "--cpu-quota", bad, "i")
    refused("run", "--cpu-shares", "-1", "i")
    assert "value out of range" in refused("run", "--cpu-shares", str(1 << 64), "i")


def test_help_is_asked_for():
    for words in (["--help"], ["-h"], ["-ah"]):
        with pytest.raises(HelpWanted):
            parse("ps", *words)
    assert parse("run", "-h", "name", "image").options["hostname"] == "name"


@pytest.mark.parametrize(
    ("path", "close"), [("sto", "stop"), ("contaner", "container"), ("container lss", "ls"), ("iamges", "images")]
)
def test_an_unknown_command_names_its_neighbours(path, close):
    assert table.canonical(path) is None
    error = table.unknown(path)
    assert (
        error.message.startswith(f"unrecognized command `pypod {path}`\n")
        and error.message.partition("? ")[2].split(", ")[0] == close
    )


def test_every_spelling_of_a_command():
    for path, name in {
        "container ls": "ps",
        "container run": "run",
        "container inspect": "container inspect",
        "image ls": "images",
        "image rm": "rmi",
        "image tag": "tag",
        "image load": "load",
        "volume list": "volume ls",
        "system info": "info",
        "container rename": "rename",
    }.items():
        assert table.canonical(path) == name
    for path in ("container images", "image run", "volume run", "container volume ls", "list"):
        assert table.canonical(path) is None


@given(st.text(alphabet='ab," \\', max_size=12))
def test_splitting_agrees_with_the_csv_module(text):
    import csv

    try:
        mine = split(text)
    except ValueError:
        return
    if '"' not in text:
        assert mine == (text.split(",") if text else [])
    else:
        assert mine == next(csv.reader([text], strict=True))


@functools.cache
def words_for(path: str):
    """Words that are often flags of the command, often right."""
    command = table.Command(table.canonical(path), path)
    flags = [*command.flags(), *options.GLOBAL]
    value = st.sampled_from(
        [
            "",
            "1",
            "0",
            "-1",
            "true",
            "false",
            "x",
            "a,b",
            "A=b",
            "1.5",
            "0x1f",
            "--",
            "-a",
            "stopped",
            "é",
            "=",
            '"a',
            "007",
        ]
    )
    spelled = []
    for flag in flags:
        for name in flag[0].split():
            dash = "-" if len(name) == 1 else "--"
            spelled.append(dash + name)
    name = st.sampled_from(spelled)
    letters = st.sampled_from([word[1] for word in spelled if len(word) == 2] or ["x"])
    return st.lists(
        st.one_of(
            name,
            value,
            st.builds(lambda n, v: f"{n}={v}", name, value),
            st.builds(lambda some, v: "-" + "".join(some) + v, st.lists(letters, min_size=1, max_size=3), value),
            st.sampled_from(["image", "cmd", "-", "--", "---", "--nope", "-9"]),
        ),
        max_size=6,
    )


def outcome(function):
    try:
        return function()
    except HelpWanted:
        return "help"
    except UsageError:
        return "refused"


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_click_parses_alike(data):
    path = data.draw(st.sampled_from(sorted(table.COMMANDS)))
    words = data.draw(words_for(path))

    def ours():
        call = parse(path, *words)
        return call.options, call.args

    mine, clicks = outcome(ours), outcome(lambda: clickfront.parse(path, words))
    if "help" in (mine, clicks):  # click looks for errors first
        assert mine in ("help", "refused") and clicks in ("help", "refused")
    else:
        assert mine == clicks


def test_each_value_of_a_repeated_flag_is_looked_at():
    words = ["--cpu-shares", "many", "-c1", "name"]
    assert outcome(lambda: parse("container clone", *words)) == "refused"
    assert outcome(lambda: clickfront.parse("container clone", words)) == "refused"
    assert clickfront.parse("container clone", ["-c2", "-c1", "name"])[0]["cpu_shares"] == 1


@pytest.mark.parametrize("path", sorted(table.COMMANDS))
def test_tables_are_well_formed(path):
    command = table.Command(path, path)
    flags = command.flags()
    spelled = [name for flag in flags for name in flag[0].split()]
    assert len(spelled) == len(set(spelled))
    assert set(defaults(flags)) == {key(flag) for flag in flags}
    for flag in flags:
        assert len(flag) in (5, 6)
        kind, default = flag[1], flag[2]
        assert kind in ("bool", "str", "int", "uint", "float", "list", "array", "choice", "form")
        if kind in ("list", "array"):
            assert default == ()
        assert len(flag[0].split()[0]) > 1
        assert "\n" not in flag[4] and not flag[4].endswith(".")
    assert Parser(flags, options.GLOBAL).parse([]) == []
    assert command.section in ("", *table.SECTIONS)
    clickfront.command(path)


def test_no_flag_is_accepted_and_ignored():
    """Every key of every table is read somewhere: options["key"], options.get("key"), or a pair of such words."""
    import ast
    from pathlib import Path

    root = Path(__file__).resolve().parents[3] / "pypod"
    words = set()
    for path in root.rglob("*.py"):
        if (
            path.name in ("options.py", "options_run.py", "options_other.py", "options_registry.py", "table.py")
            and path.parent.name == "cli"
        ):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    words |= {"sync"}  # the states that ps shows are always in step
    unread = {}
    for path in table.COMMANDS:
        if path == "build":
            continue  # hands on all of them: tests/unit/engine/test_build.py
        for flag in table.Command(path, path).flags():
            if key(flag) not in words:
                unread.setdefault(key(flag), []).append(path)
    assert not unread
