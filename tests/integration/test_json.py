"""The JSON and the templates that scripts read: podman's keys, types and words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support import box
from support.runner import Pypod

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ID = re.compile(r"[0-9a-f]{64}")

# ps --format json of podman 4.3.1, and the keys that 5 added. None is for what may be null.
PS: dict[str, tuple[type, ...]] = {
    "AutoRemove": (bool,),
    "Command": (list,),
    "CreatedAt": (str,),
    "CIDFile": (str,),
    "Exited": (bool,),
    "ExitedAt": (int,),
    "ExitCode": (int,),
    "ExposedPorts": (dict, type(None)),
    "Id": (str,),
    "Image": (str,),
    "ImageID": (str,),
    "IsInfra": (bool,),
    "Labels": (dict, type(None)),
    "Mounts": (list,),
    "Names": (list,),
    "Namespaces": (dict,),
    "Networks": (list,),
    "Pid": (int,),
    "Pod": (str,),
    "PodName": (str,),
    "Ports": (list, type(None)),
    "Restarts": (int,),
    "Size": (dict, type(None)),
    "StartedAt": (int,),
    "State": (str,),
    "Status": (str,),
    "Created": (int,),
}


def types(value: Any, wanted: dict[str, tuple[type, ...]]) -> None:
    assert set(value) == set(wanted)
    for key, kinds in wanted.items():
        assert type(value[key]) in kinds, f"{key}: {value[key]!r}"


def test_ps(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "a", "--label", "k=v", "-v", "/tmp:/mnt", image, "sleep", "100").ok()
    assert pypod("run", "--name", "b", image, "sh", "-c", "exit 3").code == 3
    pypod("create", "--name", "c", "-p", "127.0.0.1:18080:80", "--expose", "81/udp", image, "true").ok()
    rows = {row["Names"][0]: row for row in pypod("ps", "-a", "--format", "json").ok().json}
    assert list(rows) == ["a", "b", "c"]
    for row in rows.values():
        types(row, PS)
        assert ID.fullmatch(row["Id"]) and ID.fullmatch(row["ImageID"]) and row["Image"] == image
    a, b, c = rows.values()
    assert a["State"] == "running" and a["Status"].startswith("Up ") and a["Pid"] > 1
    assert a["Labels"]["k"] == "v" and a["Mounts"] == ["/mnt"] and a["Command"] == ["sleep", "100"]
    assert a["ExitedAt"] == -62135596800 and a["StartedAt"] >= a["Created"] > 1_600_000_000
    assert b["State"] == "exited" and b["ExitCode"] == 3 and b["Exited"] is True and b["Pid"] == 0
    assert re.fullmatch(r"Exited \(3\) .* ago", b["Status"]) and b["ExitedAt"] >= b["StartedAt"]
    assert c["State"] == "created" and c["Status"] == "Created" and c["StartedAt"] == -62135596800
    assert c["Ports"] == [
        {"host_ip": "127.0.0.1", "host_port": 18080, "container_port": 80, "range": 1, "protocol": "tcp"}
    ]
    assert c["ExposedPorts"] == {"81": ["udp"]}
    running = [row for row in pypod("ps", "-a", "--format", "{{json .}}").ok().json if row["State"] == "running"]
    listed = pypod("ps", "--format", "json").ok().json
    for row in (*running, *listed):
        del row["CreatedAt"], row["Status"]  # a second may have passed
    assert listed == running
    assert pypod("container", "ls", "-aq", "--no-trunc").ok().lines == [row["Id"] for row in rows.values()]


def test_ps_tables_and_templates(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "a", "--label", "k=v", image, "echo", "a long command line of words").ok()
    head, line = pypod("ps", "-a").ok().lines
    assert head.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert line.index("a long") - len("echo ") == head.index("COMMAND") and "..." in line
    assert line.rstrip().endswith("a") and line.index(" a", -3) + 1 == head.index("NAMES")
    assert "a long command line of words" in pypod("ps", "-a", "--no-trunc", "--noheading").ok().out
    for template, wanted in {
        "{{.Names}}": "a",
        "{{.Names}} {{.State}} {{.Status}}": "a created Created",
        '{{.Label "k"}}{{.Label "zz"}}': "v",
        "{{.Command}}": "echo a long comma...",
        "{{len .ID}} {{.Pid}} {{.ExitCode}} {{.Restarts}}": "12 0 0 0",
        '{{if eq .State "created"}}yes{{else}}no{{end}}': "yes",
        "{{.Labels}}": None,
        "{{.ID}}\\t{{.Names}}": None,
    }.items():
        out = pypod("ps", "-a", "--format", template).ok().out
        assert out.endswith("\n")
        if wanted is not None:
            assert out == wanted + "\n"
    table = pypod("ps", "-a", "--format", "table {{.Names}}\\t{{.CreatedAt}}\\t{{.ID}}").ok().lines
    assert table[0].split("  ")[0] == "NAMES" and "CREATED AT" in table[0] and table[0].endswith("CONTAINER ID")
    assert pypod("ps", "--format", "table {{.Names}}").ok().out == "NAMES\n"
    pypod("ps", "-a", "--format", "{{.Nam}}").fails(125, "can't evaluate field Nam", ".Names")
    pypod("ps", "-a", "--format", "{{.Names").fails(125, "template", "unclosed action")
    pypod("ps", "--sort", "nothing").fails(125, "not a valid value")
    pypod("ps", "--filter", "colour=red").fails(125, "invalid filter")
    pypod("ps", "--filter", "status=dancing").fails(125, "not a valid")


def test_ps_filters_and_orders(pypod: Pypod, image: str) -> None:
    ids = [
        pypod("create", "--name", name, "--label", f"n={name}", image, "sleep", number).ok().out.strip()
        for name, number in (("one", "3"), ("two", "1"), ("three", "2"))
    ]

    def names(*words: str) -> list[str]:
        return pypod("ps", "-a", "--format", "{{.Names}}", *words).ok().lines

    assert names() == ["one", "two", "three"]
    assert names("--sort", "names") == ["one", "three", "two"]
    assert names("--sort", "command") == ["two", "three", "one"]
    assert names("-n", "2") == ["two", "three"] and names("-l") == ["three"]
    assert names("-f", "name=t") == ["two", "three"] and names("-f", "name=^t") == ["two", "three"]
    assert names("-f", f"id={ids[1][:8]}") == ["two"]
    assert names("-f", "label=n=one") == ["one"] and names("-f", "label=n=one", "-f", "label=n=two") == []
    assert names("-f", "label!=n=one") == ["two", "three"]
    assert names("-f", "name=one", "-f", "name=two") == ["one", "two"]
    assert names("-f", "before=three", "-f", "since=one") == ["two"]
    assert names("-f", f"ancestor={image}") == ["one", "two", "three"] and names("-f", "ancestor=none") == []
    assert names("-f", "status=created") == ["one", "two", "three"] and names("-f", "status=running") == []
    assert names("-f", "until=1h") == [] and names("-f", "until=2099-01-01") == ["one", "two", "three"]


def test_inspect(pypod: Pypod, image: str) -> None:
    args = ["--name", "c", "-e", "A=1", "--label", "k=v", "-v", "/tmp:/mnt:ro", "--network", "none", "-m", "64m"]
    if pypod.rootless and not box.cgroup2():
        args = args[:-2]
    pypod("run", "-d", *args, "--restart", "on-failure:3", image, "sleep", "100").ok()
    (found,) = pypod("inspect", "c").ok().json
    assert pypod("inspect", "c").ok().out.startswith('[\n     {\n          "Id": ')
    assert found["Name"] == "c" and ID.fullmatch(found["Id"]) and ID.fullmatch(found["Image"])
    assert found["Path"] == "sleep" and found["Args"] == ["100"] and found["ImageName"] == image
    state = found["State"]
    assert state["Status"] == "running" and state["Running"] is True and state["Pid"] > 1 and state["ConmonPid"] > 1
    assert STAMP.fullmatch(state["StartedAt"]) and state["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert STAMP.fullmatch(found["Created"])
    assert found["Config"]["Labels"]["k"] == "v" and "A=1" in found["Config"]["Env"]
    assert found["Config"]["CreateCommand"][-5:] == ["--restart", "on-failure:3", image, "sleep", "100"]
    (mount,) = found["Mounts"]
    assert (mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) == ("bind", "/tmp", "/mnt", False)
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert found["HostConfig"]["NetworkMode"] == "none"
    for template, wanted in {
        "{{.Id}}": found["Id"],
        "{{.ID}}": found["Id"],
        "{{.State.Status}} {{.State.Running}} {{.State.Pid}}": f"running true {state['Pid']}",
        '{{index .Config.Labels "k"}}': "v",
        "{{(index .Mounts 0).Destination}}": "/mnt",
        "{{range .Mounts}}{{.Source}}:{{.Destination}}{{end}}": "/tmp:/mnt",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}": "",
        "{{json .State.Running}}": "true",
        "{{.HostConfig.RestartPolicy.Name}}": "on-failure",
    }.items():
        assert pypod("inspect", "--format", template, "c").ok().out == wanted + "\n"
    assert pypod("container", "inspect", "-f", "json", "c").ok().json == [found]
    pypod("inspect", "-f", "{{.State.Nothing}}", "c").fails(125, "can't evaluate field Nothing")
    sized = pypod("inspect", "--size", "c").ok().json[0]
    assert sized["SizeRootFs"] > 100_000 and type(sized["SizeRw"]) is int


def test_inspect_finds_objects_of_any_kind(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "ctr", image, "true").ok()
    pypod("volume", "create", "vol").ok()
    try:
        assert "RepoTags" in pypod("inspect", image).ok().json[0]
        assert "Mountpoint" in pypod("inspect", "vol").ok().json[0]
        assert [sorted(item)[0] for item in pypod("inspect", "ctr", image).ok().json]
        pypod("inspect", "-t", "image", "ctr").fails(125, "ctr", "not known")
        pypod("inspect", "-t", "container", image).fails(125, "no such container", image)
        pypod("inspect", "-t", "sandwich", "ctr").fails(125, "invalid type")
        done = pypod("inspect", "nothing").fails(125, 'no such object: "nothing"')
        assert done.out == "[]\n"
        done = pypod("inspect", "ctr", "nothing")
        assert done.code == 125 and len(done.json) == 1
    finally:
        pypod("volume", "rm", "vol").ok()


def test_images(pypod: Pypod, image: str) -> None:
    rows = pypod("images", "--format", "json").ok().json
    (row,) = [row for row in rows if image in (row["Names"] or [])]
    for key, kind in {
        "Id": str,
        "ParentId": str,
        "RepoDigests": list,
        "Size": int,
        "SharedSize": int,
        "VirtualSize": int,
        "Containers": int,
        "Names": list,
        "Digest": str,
        "History": list,
        "Created": int,
        "CreatedAt": str,
    }.items():
        assert type(row[key]) is kind, key
    assert row["Digest"].startswith("sha256:") and STAMP.fullmatch(row["CreatedAt"])
    name, tag = image.rsplit(":", 1)
    assert f"{name} {tag}" in pypod("images", "--format", "{{.Repository}} {{.Tag}}").ok().lines
    assert row["Id"] == pypod("image", "inspect", "-f", "{{.Id}}", image).ok().out.strip()
    head = pypod("images").ok().lines[0]
    assert head.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]


def test_info(pypod: Pypod) -> None:
    found = pypod("info", "--format", "json").ok().json
    assert set(found) == {"host", "store", "registries", "plugins", "version"}
    assert found["host"]["security"]["rootless"] is pypod.rootless
    assert found["host"]["ociRuntime"]["path"].startswith("/")
    assert found["host"]["conmon"]["version"].startswith("conmon version")
    assert found["store"]["graphRoot"] == str(pypod.graphroot)
    assert found["store"]["graphDriverName"] == "overlay"
    assert found["store"]["containerStore"] == {"number": 0, "paused": 0, "running": 0, "stopped": 0}
    assert (found["host"]["idMappings"]["uidmap"] is not None) is pypod.rootless
    out = pypod("info", "-f", "{{.Store.GraphRoot}} {{.Host.Security.Rootless}}").ok().out
    assert out == f"{pypod.graphroot} {str(pypod.rootless).lower()}\n"
    assert pypod("info", "-f", "{{.Host.CgroupsVersion}}").ok().out.strip() == found["host"]["cgroupVersion"]
    assert pypod("system", "info").ok().lines[0] == "host:"
    pypod("info", "-f", "{{.Store.Nothing}}").fails(125, "can't evaluate field")


def test_version(pypod: Pypod) -> None:
    (version,) = re.findall(r"^pypod version (\S+)\n$", pypod("--version").ok().out)
    found = pypod("version", "--format", "json").ok().json
    assert set(found["Client"]) == {
        "APIVersion", "Version", "GoVersion", "GitCommit", "BuiltTime", "Built", "OsArch", "Os",
    }  # fmt: skip
    assert found["Client"]["Version"] == version
    assert pypod("version", "-f", "{{.Client.Version}}").ok().out == version + "\n"
    assert f"Version:         {version}" in pypod("version").ok().lines


def test_help_is_on_stdout(pypod: Pypod) -> None:
    assert pypod("--help").ok().out.startswith("Usage: pypod")
    assert "--publish" in pypod("run", "--help").ok().out
    assert "prune" in pypod("container", "--help").ok().out
    pypod("container").fails(125, "missing command")
    pypod("contaner").fails(125, "unrecognized command", "container")


@pytest.mark.parametrize("words", [["--roott", "x", "ps"], ["ps", "--allx"], ["run"], ["rm"]])
def test_usage_errors_touch_nothing(pypod: Pypod, words: list[str]) -> None:
    pypod(*words).fails(125)


def shape(value: Any) -> Any:
    """Keys and types, without the values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def missing(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """What of podman's shape ours lacks, or has with another type."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [
            text
            for key, item in theirs.items()
            for text in (missing(item, ours[key], f"{path}.{key}") if key in ours else [f"{path}.{key} is missing"])
        ]
    if isinstance(theirs, list) and isinstance(ours, list):
        return missing(theirs[0], ours[0], path + "[0]") if theirs and ours else []
    return [] if theirs == ours else [f"{path} is {ours}, not {theirs}"]


def test_podman_has_the_same_shape(fresh: Pypod, busybox_tar: Any) -> None:
    """The same container, made by podman and by us, in stores side by side."""
    if fresh.rootless:
        return  # once is enough
    podman = box.need("podman")
    assert fresh.graphroot and fresh.runroot
    places = ["--root", f"{fresh.graphroot}-peer", "--runroot", f"{fresh.runroot}-peer"]
    base = [podman, *places, "--runtime", box.runtime(), "--cgroup-manager", "cgroupfs"]
    limits = [] if box.may_raise_rlimits() else ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
    same = ["--name", "c", "--network", "none", "-v", "/tmp:/mnt:ro", "-e", "A=1", "-l", "k=v", "--tmpfs", "/t"]

    def peer(*words: Any) -> Any:
        return fresh.as_user(*base, *words)

    try:
        for tool, words in ((fresh, []), (peer, limits)):
            tool("import", busybox_tar, "localhost/bb:1").ok()
            tool("run", "-d", *same, *words, "localhost/bb:1", "sleep", "100").ok()
        for words in (["ps", "--format", "json"], ["inspect", "c"], ["image", "inspect", "localhost/bb:1"]):
            left = missing(shape(peer(*words).ok().json), shape(fresh(*words).ok().json))
            assert not left, f"{' '.join(words)}: {left}"
    finally:
        peer("rm", "-f", "-t", "0", "c")
        peer("rmi", "-f", "localhost/bb:1")
