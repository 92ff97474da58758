"""The schema files, and what completion makes of them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import jsonschema
import pytest

from pypod.base import files
from pypod.cli import completion, history, images, network, pod_ps, ps, schema, schema_fields, secret, table
from pypod.errors import NotFound


def objects(value):
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


@pytest.mark.parametrize("name", schema.every())
def test_each_is_a_strict_schema(name):
    found = schema.bundle(schema.load(name.split()))
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema" and found["title"]
    command = name.partition(" --")[0]
    assert name == "error" or table.canonical(command) == command
    for item in objects(found):
        if isinstance(item.get("properties"), dict) and item.get("type") == "object":
            assert "additionalProperties" in item, item  # a new key has to be entered
            assert set(item.get("required", ())) <= set(item["properties"])


def test_names_are_those_that_can_be_typed():
    assert schema.load(["container", "ls"]) == schema.load(["ps"])
    assert schema.load(["system", "df", "-v"]) == schema.load(["system", "df", "--verbose"])
    assert schema.load(["volume", "list"]) == schema.load(["volume", "inspect"])
    with pytest.raises(NotFound) as caught:
        schema.load(["imagse"])
    assert "images" in caught.value.hint
    with pytest.raises(NotFound):
        schema.load(["../../../../etc/passwd"])


def test_the_file_names_are_the_ids():
    for name in schema.every():
        stem = schema.load(name.split())["$id"].removeprefix(schema.URN)
        assert json.loads(files.read(f"{schema.DIRECTORY}/{stem}.json")) == schema.load(name.split())


def test_fields_of_templates():
    for command, fields in (
        ("ps", ps.Fields.go_fields),
        ("images", images.Fields.go_fields),
        ("history", history.Fields.go_fields),
        ("pod ps", pod_ps.Fields.go_fields),
        ("network ls", list(network.fields({}, short=True))),
        ("network inspect", list(network.fields({}, short=False))),
        ("secret ls", list(secret.HEADINGS)),
    ):
        assert sorted(schema.load(command.split())["x-template-fields"]) == sorted(fields), command


@pytest.mark.parametrize(
    ("command", "text", "some"),
    [
        ("ps", "{{.", ["{{.ID}}", "{{.Names}}", "{{.Size}}"]),
        ("ps", "table {{.ID}}\\t{{.na", ["table {{.ID}}\\t{{.Names}}", "table {{.ID}}\\t{{.Namespaces}}"]),
        ("ps", "", ["json"]),
        ("ps", "j", ["json"]),
        ("container inspect", "{{.St", ["{{.State.", "{{.StaticDir}}"]),
        ("container inspect", "{{.State.Health.F", ["{{.State.Health.FailingStreak}}"]),
        ("container inspect", "{{json .HostConfig.Log", ["{{json .HostConfig.LogConfig."]),
        ("inspect", "{{.Rep", ["{{.RepoTags}}", "{{.RepoDigests}}"]),
        ("inspect", "{{.State.Stat", ["{{.State.Status}}"]),
        ("info", "{{.Host.OciRuntime.N", ["{{.Host.OciRuntime.Name}}"]),
        ("network ls", "{{.DNS", ["{{.DNSEnabled}}"]),
    ],
)
def test_completion(command, text, some):
    found = schema_fields.complete(command.split(), text)
    assert set(some) <= set(found) and all(word.startswith(text[: text.rfind(".") + 1]) for word in found)
    assert len(found) < 60 and (text[-1:] == "." or len(found) == len(some))


@pytest.mark.parametrize("text", ["{{.Nothing", "{{.ID}}", "{{.ID}} x", "{{", "{{.State.Status.", "x"])
def test_no_completion(text):
    assert schema_fields.complete(["container", "inspect"], text) == []
    assert schema_fields.complete(["run"], text) == []


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("pypod ps --format '{{.Runn", ["{{.RunningFor}}"]),
        ("pypod ps --format = '{{.Runn", ["{{.RunningFor}}"]),
        ("pypod container inspect -f '{{.State.Fin", ["{{.State.FinishedAt}}"]),
        ("pypod ps --format js", ["json"]),
        ("pypod run --pull ne", ["never", "newer"]),
    ],
)
def test_bash_completes_fields(line, wanted):
    script = completion.script("bash")
    words = " ".join(shlex.quote(word) for word in line.split(" "))
    program = f"""
pypod() {{ {shlex.quote(sys.executable)} -m pypod "$@"; }}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _pypod 2>/dev/null; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["bash", "-c", script + program], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.splitlines() == wanted


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_asks_for_fields(shell):
    assert "pypod schema --fields" in completion.script(shell)
