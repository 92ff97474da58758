"""``generate systemd``: units that systemd accepts, in podman's shape, that make the very container again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from support import awkward, box, systemd_words
from support.peer import Podman
from support.runner import Pypod, Result

# What pypod says more than podman 4.3.1: how it is stopped, whose cgroup it is, which exit is none to worry about.
OURS = {"Delegate", "KillMode", "SuccessExitStatus"}
NONE = ("--network", "none")


def settings(unit: str) -> list[tuple[str, str]]:
    """The settings of a unit file in their order, continued lines as one."""
    found = []
    for line in unit.replace("\\\n", " ").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.append((key, value))
    return found


def get(unit: str, key: str) -> list[str]:
    return [value for name, value in settings(unit) if name == key]


def command(unit: str, key: str = "ExecStart") -> list[str]:
    """The words of one command as systemd reads them."""
    (value,) = get(unit, key)
    (words,) = systemd_words.exec_words(value, {"t": "/run", "n": "u.service", "i": "I"})
    return [word.decode("utf-8", "surrogateescape") for word in words]


def after_verb(words: list[str], verb: str) -> list[str]:
    """What follows the program, its global flags and the verb."""
    return words[words.index(verb) + 1 :]


def units(result: Result) -> dict[str, str]:
    found: dict[str, str] = result.ok().json
    return found


def verify(pypod: Pypod, *files: Path) -> None:
    """By the rules of a manager of this user's kind."""
    kind = "--user" if pypod.rootless else "--system"
    done = pypod.as_user(box.need("systemd-analyze", "systemd"), kind, "verify", "--man=no", *files).ok()
    assert not done.err, done.err


def write(place: Path, found: dict[str, str]) -> list[Path]:
    paths = []
    for name, text in found.items():
        paths.append(place / f"{name}.service")
        paths[-1].write_text(text)
    return paths


@pytest.fixture
def made(pypod: Pypod, image: str, shared_dir: Path) -> Iterator[Pypod]:
    """Two containers and a pod of two."""
    pypod("create", "--name", "gs-a", *NONE, "-e", "A=b c", "--label", "x=50%", image, "sleep", "600").ok()
    pypod(
        *("create", "-it", "--name=gs-b", *NONE, "--restart=on-failure:4", "--sdnotify", "container"),
        *("--stop-timeout", "33", "--cgroups", "no-conmon", f"--cidfile={shared_dir}/cid", "--requires=gs-a", "--"),
        *(image, "sh", "-c", 'echo "$HOME"'),
    ).ok()
    pypod("pod", "create", "--name", "gs-p", *NONE).ok()
    pypod("create", "--pod", "gs-p", "--name", "gs-1", image, "sleep", "600").ok()
    pypod("create", "--pod=gs-p", "--name", "gs-2", "--requires", "gs-1", image, "sleep", "600").ok()
    yield pypod
    pypod("pod", "rm", "-f", "gs-p").ok()


FLAGS = [
    [],
    ["--name"],
    ["--new"],
    ["--new", "--name"],
    ["--new", "--name", "--no-header", "--template"],
    ["-n", "--restart-policy", "always", "--restart-sec", "7", "--start-timeout", "11", "-t", "22"],
    ["-n", "--new", "--restart-policy=no", "--stop-timeout", "5"],
    [
        "-n",
        "--wants",
        "w1",
        "--wants",
        "w2.service",
        "--after",
        "a1",
        "--requires",
        "basic.target",
        "-e",
        "F=o o%",
        "-e",
        "NO",
    ],
    ["-n", "--container-prefix", "con", "--separator", "_", "--pod-prefix", "pp"],
]


def test_the_shape_is_podmans(made: Pypod, image: str, busybox_tar: Path, shared_dir: Path) -> None:
    """The same settings, in the same order; the same commands, but for the places of the stores."""
    peer = Podman(made, busybox_tar)
    try:
        peer("create", "--name", "gs-a", *NONE, "-e", "A=b c", "--label", "x=50%", image, "sleep", "600").ok()
        peer(
            *("create", "-it", "--name=gs-b", *NONE, "--restart=on-failure:4", "--sdnotify", "container"),
            *("--stop-timeout", "33", "--cgroups", "no-conmon", f"--cidfile={shared_dir}/cid2", "--requires=gs-a"),
            *("--", image, "sh", "-c", 'echo "$HOME"'),
        ).ok()
        for name in ("gs-a", "gs-b"):
            for flags in FLAGS:
                ours = next(iter(units(made("generate", "systemd", "--format", "json", *flags, name)).values()))
                theirs = next(iter(units(peer("generate", "systemd", "--format", "json", *flags, name)).values()))
                compare(made, ours, theirs, chosen=name == "gs-b", new="--new" in flags)
    finally:
        peer.close()


def compare(pypod: Pypod, ours: str, theirs: str, *, chosen: bool, new: bool) -> None:
    """``chosen``: it was made with --sdnotify=container."""
    expected = [key for key, _ in settings(theirs)]
    if pypod.rootless:  # a user's manager has no network-online.target
        expected.remove("Wants")
        expected.remove("After")
    if "StartLimitBurst" in expected:  # where systemd has it since 230: among the settings of [Unit]
        expected.remove("StartLimitBurst")
        expected.insert(expected.index("RequiresMountsFor") + 1, "StartLimitBurst")
    forgotten = set() if new else {"RestartSec"}  # by podman 4.3.1
    found = [key for key, _ in settings(ours) if key not in OURS | forgotten]
    if chosen and not new:  # podman does not let systemd wait for the word that was asked for
        assert found[-3:] == ["Type", "NotifyAccess", "WantedBy"]
        found, expected = found[:-3], expected[:-3]
    assert found == expected
    for key in {"Restart", "RestartSec", "StartLimitBurst", "TimeoutStartSec", "TimeoutStopSec"} - forgotten:
        assert get(ours, key) == get(theirs, key), key
    for key, verb in (("ExecStart", "run" if new else "start"), ("ExecStop", "stop")):
        mine, other = after_verb(command(ours, key), verb), after_verb(command(theirs, key), verb)
        # --ignore is podman's only where the container may be gone; the order of the unit's own flags is nobody's.
        assert plain(mine) == plain(other), (key, mine, other)


def plain(words: list[str]) -> list[str]:
    """Without what may differ; --name=NAME as two words."""
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--name=") else [word])]
    return sorted("ID" if len(word) == 64 else word for word in words if word != "--ignore")


def test_systemd_accepts_them(made: Pypod, shared_dir: Path) -> None:
    for number, flags in enumerate(FLAGS):
        place = shared_dir / str(number)
        place.mkdir()
        names = ["gs-a", "gs-b"] if "--template" in flags else ["gs-a", "gs-b", "gs-p"]
        found: dict[str, str] = {}
        for name in names:
            found.update(units(made("generate", "systemd", "--format=json", *flags, name)))
        # Templates are verified as an instance of theirs.
        files = write(place, {name.replace("@", "@one"): text for name, text in found.items()})
        verify(made, *files)


def test_a_pod(made: Pypod) -> None:
    found = units(made("generate", "systemd", "-n", "--new", "--format=json", "gs-p"))
    assert list(found) == ["container-gs-1", "container-gs-2", "pod-gs-p"]
    pod, first, second = found["pod-gs-p"], found["container-gs-1"], found["container-gs-2"]
    assert "container-gs-1.service container-gs-2.service" in get(pod, "Wants")
    assert get(pod, "Before") == ["container-gs-1.service container-gs-2.service"]
    assert get(pod, "PIDFile") == ["%t/pod-gs-p.pid"] and get(pod, "Type") == ["forking"]
    create, start = get(pod, "ExecStartPre")[1], command(pod)
    (words,) = systemd_words.exec_words(create, {"t": "/run"})
    assert after_verb([word.decode() for word in words], "create") == [
        *("--infra-conmon-pidfile", "/run/pod-gs-p.pid", "--pod-id-file", "/run/pod-gs-p.pod-id"),
        *("--exit-policy=stop", "--name", "gs-p", *NONE, "--replace"),
    ]
    assert start[-4:] == ["pod", "start", "--pod-id-file", "/run/pod-gs-p.pod-id"]
    for unit in (first, second):
        assert get(unit, "BindsTo") == ["pod-gs-p.service"] and "pod-gs-p.service" in get(unit, "After")
        words = after_verb(command(unit), "run")
        assert words[words.index("--pod-id-file") + 1] == "/run/pod-gs-p.pod-id"
        assert "--pod" not in words and "--pod=gs-p" not in words
    assert "container-gs-1.service" in get(second, "After")
    # Without --new the pod's service is the infra container's.
    existing = made("generate", "systemd", "-n", "gs-p").ok().out
    assert existing.startswith("# pod-gs-p.service\n") and existing.count("\n[Unit]\n") == 3
    assert command(existing.partition("\n# container-")[0])[-1].endswith("-infra")


def test_files(made: Pypod, shared_dir: Path) -> None:
    shown = made("generate", "systemd", "--files", "--new", "-n", "gs-p", cwd=shared_dir).ok().lines
    assert shown == [f"{shared_dir}/{name}.service" for name in ("pod-gs-p", "container-gs-1", "container-gs-2")]
    named = json.loads(made("generate", "systemd", "-f", "-n", "--format=json", "gs-a", cwd=shared_dir).ok().out)
    jsonschema.validate(named, made("schema", "generate", "systemd").ok().json)
    assert named == {"container-gs-a": f"{shared_dir}/container-gs-a.service"}
    text = (shared_dir / "container-gs-a.service").read_text()
    again = made("generate", "systemd", "-n", "gs-a", "--no-header").ok().out
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        line for line in again.splitlines() if not line.startswith("#")
    ]
    assert "# autogenerated by Pypod" in text and "autogenerated" not in again
    made("generate", "systemd", "-f", "gs-a", cwd="/proc").fails(125, "cannot write")


def test_refusals(made: Pypod, image: str) -> None:
    infra = made("pod", "inspect", "gs-p", "--format", "{{.InfraContainerID}}").ok().out.strip()
    for words, message in (
        (["nothing"], "does not refer to a container or pod"),
        ([infra], "belongs to its pod"),
        (["--template", "gs-p"], "--template is not supported for pods"),
        (["--template", "--new=false", "gs-a"], "--template cannot be set with --new=false"),
        (["--restart-policy", "often", "gs-a"], "often is not a valid restart policy"),
        (["--format", "yaml", "gs-a"], "unknown --format argument: yaml"),
        (["--wants", "a b", "gs-a"], "--wants"),
        (["--separator", "/", "gs-a"], "--separator"),
        (["--container-prefix", "é", "gs-a"], "--container-prefix"),
        (["--container-prefix", "%", "gs-a"], "--container-prefix"),
        (["--container-prefix", "@", "gs-a"], "@-"),
        (["--container-prefix", "p" * 240, "gs-a"], "cannot be the name of a unit"),
        (["-e", "A-B=1", "gs-a"], "A-B"),
        ([], "accepts 1 arg(s), received 0"),
        (["gs-a", "gs-b"], "accepts 1 arg(s), received 2"),
    ):
        made("generate", "systemd", *words).fails(125, message)
    made("pod", "create", "--infra=false", "--name", "gs-none").ok()
    made("generate", "systemd", "gs-none").fails(125, "has no infra container")
    made("pod", "rm", "gs-none").ok()
    # A policy of its own would start it behind systemd's back.
    assert "restart policy" in made("generate", "systemd", "gs-b").ok().err
    assert not made("generate", "systemd", "--new", "gs-b").ok().err


def test_the_unit_of_another_name_replaces_nobody(made: Pypod, image: str) -> None:
    made("create", *NONE, "--name", "gs-first", image, "true").ok()
    made("container", "clone", "gs-first", "gs-twin").ok()
    made("container", "clone", "--memory", "64m", "gs-first", "gs-small").ok()
    for name in ("gs-first", "gs-twin"):
        words = command(made("generate", "systemd", "--new", "-n", name).ok().out, "ExecStart")
        assert [words[at + 1] for at, word in enumerate(words) if word == "--name"] == [name]
    made("generate", "systemd", "--new", "-n", "gs-small").fails(125, "not known by which command it was made")
    made("rename", "gs-first", "gs-second").ok()
    words = command(made("generate", "systemd", "--new", "-n", "gs-second").ok().out, "ExecStart")
    assert [words[at + 1] for at, word in enumerate(words) if word == "--name"] == ["gs-second"]
    made("rm", "gs-second", "gs-twin", "gs-small").ok()


def test_times_that_systemd_cannot_count(made: Pypod) -> None:
    flags = ("--stop-timeout", str(2**64 - 1), "--start-timeout", str(2**50), "--restart-sec", str(2**50))
    unit = made("generate", "systemd", "--new", *flags, "gs-a").ok().out
    for key in ("TimeoutStopSec", "TimeoutStartSec", "RestartSec"):
        assert get(unit, key) == ["infinity"]


def test_environment(made: Pypod) -> None:
    unit = made(
        *("generate", "systemd", "-e", "A=1 2", "-e", "GIVEN", "-e", "UNSET", "-e", "PRE_*", "gs-a"),
        env={"GIVEN": 'q"', "PRE_1": "x", "PRE_2": "$y%z"},
    ).ok()
    found = [
        word for line in get(unit.out, "Environment") for word in systemd_words.environment_words(line, {"n": "N"})
    ]
    assert found == [b"PODMAN_SYSTEMD_UNIT=N", b"A=1 2", b'GIVEN=q"', b"PRE_1=x", b"PRE_2=$y%z"]


def test_dependencies(made: Pypod) -> None:
    """As systemctl has it, a name without the kind of unit means a service."""
    flags = ("--wants", "w1,w2.socket", "--after", "a.target", "--after=b", "--requires", "r@x,m\\x2dn.mount")
    unit = made("generate", "systemd", "--new", *flags, "gs-a").ok().out
    assert "\n\n# User-defined dependencies\nWants=w1.service w2.socket\nAfter=a.target b.service\n" in unit
    assert get(unit, "Requires") == ["r@x.service m\\x2dn.mount"]


def test_a_unit_finds_its_store_and_its_program(made: Pypod) -> None:
    """podman leaves --root out of what stops and removes the container."""
    unit = made("generate", "systemd", "--new", "-n", "gs-a").ok().out
    for key in ("ExecStart", "ExecStop", "ExecStopPost"):
        words = command(unit, key)
        assert words[0] == made.program
        assert words[1:5] == ["--root", str(made.graphroot), "--runroot", str(made.runroot)]


def test_awkward_arguments(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """Through a generated unit, read by systemd's own code, the container gets what create was given."""
    place = shared_dir / "units"
    place.mkdir()
    files: list[Path] = []
    script = 'for word; do printf "%s\\0" "$word"; done >/out/args'
    for number, arguments in enumerate([*awkward.ARGUMENTS, awkward.BYTES]):
        flags = (*NONE, "--name", f"awk-{number}", "-v", f"{shared_dir}:/out")
        pypod("create", *flags, image, "sh", "-c", script, "sh", *arguments).ok()
        found = units(pypod("generate", "systemd", "--new", "-n", "--no-header", "--format=json", f"awk-{number}"))
        (unit,) = found.values()
        words = command(unit)
        assert words[-len(arguments) :] == arguments
        files += write(place, found)
        if number % 4 == 1:
            start(pypod, place, words)
            pypod("wait", "--ignore", f"awk-{number}")
            arrived = (shared_dir / "args").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
            assert arrived == arguments
    verify(pypod, *files)
    shutil.rmtree(place)


def start(pypod: Pypod, place: Path, words: list[str]) -> None:
    """Run the command of a unit as systemd would, with its id file elsewhere."""
    cidfile = place.parent / "cid"
    cidfile.unlink(missing_ok=True)
    words = [f"--cidfile={cidfile}" if word == "--cidfile=/run/u.service.ctr-id" else word for word in words]
    raw = [word.encode("utf-8", "surrogateescape") for word in words]
    done = subprocess.run(
        raw,
        env=pypod.environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        **pypod.user.popen_options(),
    )
    assert done.returncode == 0, done.stderr
