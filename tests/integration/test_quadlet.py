"""quadlet install, list, print, rm, verify and generator, on files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pypod.systemd import unit_file
from support import systemd_words
from support.runner import Pypod, Result

ROOT = Path(__file__).parents[2]
GOOD = "[Container]\nImage=localhost/bb:1\nExec=sleep 9\n[Install]\nWantedBy=default.target\n"

# Root's files would be those of this machine, in /etc: tests/vm has them.
pytestmark = pytest.mark.parametrize("mode", ["rootless"], indirect=True)


@pytest.fixture
def place(shared_dir: Path) -> Path:
    """Where a user's Quadlet files are."""
    config = shared_dir / "config"
    config.mkdir(mode=0o777)
    config.chmod(0o777)
    return config / "containers" / "systemd"


def call(pypod: Pypod, place: Path, *words: str | Path) -> Result:
    return pypod("quadlet", *words, env={"XDG_CONFIG_HOME": str(place.parents[1]), "QUADLET_UNIT_DIRS": ""})


def put(place: Path, files: dict[str, str]) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    for path in (place, *place.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return place


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_life(pypod: Pypod, place: Path, shared_dir: Path) -> None:
    source = put(shared_dir / "in", {"web.container": GOOD, "env": "A=b\n", "data.volume": "[Volume]\n"})
    done = call(pypod, place, "install", source / "web.container", source / "env", source / "data.volume").ok()
    assert done.lines == [str(place / "web.container"), str(place / "data.volume")]
    assert names(place) == [".web.container.asset", "data.volume", "env", "web.container"]
    call(pypod, place, "install", source / "data.volume").fails(125, "exists already")
    call(pypod, place, "install", "--replace", "--reload-systemd=false", source / "data.volume").ok()
    listed = call(pypod, place, "list", "--format", "json").ok().json
    assert [(one["Name"], one["UnitName"], one["Path"]) for one in listed] == [
        ("data.volume", "data-volume.service", str(place / "data.volume")),
        ("web.container", "web.service", str(place / "web.container")),
    ]
    shown = call(pypod, place, "list", "--filter", "name=w*", "--format", "{{.Name}} {{.Status}}").ok()
    assert shown.lines == ["web.container Not loaded"]
    assert (
        call(pypod, place, "list").ok().lines[0].split() == "NAME UNIT NAME PATH ON DISK STATUS APPLICATION".split()
    )
    assert call(pypod, place, "print", "web.container").ok().out == GOOD
    call(pypod, place, "print", "wbe.container").fails(125, "no such quadlet: wbe.container", "web.container")
    call(pypod, place, "rm", "nothing.pod").fails(125, "no such quadlet")
    call(pypod, place, "rm", "--ignore", "nothing.pod").ok()
    assert call(pypod, place, "rm", "web.container").ok().lines == ["web.container"]
    assert names(place) == ["data.volume"]
    assert call(pypod, place, "rm", "--all", "--force").ok().lines == ["data.volume"]
    assert names(place) == []


def test_a_directory_is_installed_as_a_whole(pypod: Pypod, place: Path, shared_dir: Path) -> None:
    files = {"a.container": GOOD, "b.container": GOOD, "conf": "x", "p.pod": "[Pod]\n"}
    source = put(shared_dir / "shop", {**files, ".git/config": "x"})
    call(pypod, place, "install", source).ok()
    assert names(place) == [".shop.app", *sorted(files)]
    assert {one["App"] for one in call(pypod, place, "list", "--format", "json").ok().json} == {"shop"}
    call(pypod, place, "rm", "a.container").ok()
    assert "a.container" not in (place / ".shop.app").read_text() and (place / "conf").exists()
    assert call(pypod, place, "rm", "shop.app").ok().lines == ["b.container", "p.pod"]
    assert names(place) == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.container": GOOD.replace("Image", "Imgae")}, "in/a.container:2: Imgae= is no key"),
        ({"a.container": "[Container]\n"}, "in/a.container: [Container] has neither Image= nor Rootfs="),
        ({"a.txt": "x"}, "is no Quadlet file"),
        ({"a.container": GOOD, "missing": ""}, "cannot read"),
    ],
)
def test_what_is_wrong_is_not_installed(
    pypod: Pypod, place: Path, shared_dir: Path, files: dict[str, str], message: str
) -> None:
    source = put(shared_dir / "in", files)
    (source / "missing").unlink(missing_ok=True)
    call(pypod, place, "install", *(source / name for name in files)).fails(125, message)
    assert not place.exists()


def test_what_cannot_be_written_is_not_installed_in_part(pypod: Pypod, place: Path, shared_dir: Path) -> None:
    source = put(shared_dir / "in", {"a.container": GOOD, "b.container": GOOD})
    put(place, {"b.container/x": ""})
    for path in (place.parent, place):
        path.chmod(0o777)
    call(pypod, place, "install", "--replace", source).fails(125, "cannot write to", "Is a directory")
    assert names(place) == ["b.container"]


def test_verify(pypod: Pypod, place: Path, shared_dir: Path) -> None:
    source = put(shared_dir / "in", {"a.container": GOOD, "b.container": "[Container]\nImage=x\nVolumes=y:/y\n"})
    assert call(pypod, place, "verify", source / "a.container").ok().out == ""
    done = call(pypod, place, "verify", source / "b.container").fails(
        1, f"{source}/b.container:3: Volumes= is no key"
    )
    assert "did you mean Volume?" in done.err
    call(pypod, place, "verify", source).fails(1, "b.container:3")
    call(pypod, place, "verify", source / "c.txt").fails(125, "is no Quadlet file")
    call(pypod, place, "verify", source / "c.container").fails(1, "cannot be read")
    # Of a directory, also what is below; files of one name each stand for themselves.
    deep = put(shared_dir / "deep", {"x/b.container": "[Container]\nImage=x\nVolumes=z\n"})
    call(pypod, place, "verify", deep).fails(1, f"{deep}/x/b.container:3: Volumes=")
    done = call(pypod, place, "verify", deep / "x/b.container", source / "b.container", deep)
    assert done.code == 1 and done.err.count("Error: ") == 2
    call(pypod, place, "verify", put(shared_dir / "none", {})).fails(125, "there is no Quadlet file in")


def test_drop_ins_precedence_and_masks(pypod: Pypod, place: Path, shared_dir: Path) -> None:
    put(
        place,
        {
            "web-a.container": GOOD,
            "web-a.container.d/20-x.conf": "[Container]\nEnvironment=FROM=own\n",
            "web-.container.d/20-x.conf": "[Container]\nEnvironment=FROM=prefix\n",
            "web-.container.d/30-y.conf": "[Container]\nLabel=b=2\n",
            "container.d/10-z.conf": "[Container]\nLabel=a=1\nExec=\nExec=top\n",
            "below/deep/n.network": "[Network]\n",
            "masked.container": "",
            "broken.container": "[Container]\nImage\n",
        },
    )
    (place / "t@.container").write_text("[Container]\nImage=x\nHostName=%i\n")
    (place / "t@one.container").symlink_to("t@.container")
    (place / "below/loop").symlink_to("..")
    done = call(pypod, place, "generator", "--user", "--dryrun").fails(1, "broken.container:2: not an assignment")
    units = dict(block.split("---\n", 1) for block in ("\n" + done.out).split("\n---")[1:])
    assert list(units) == ["n-network.service", "t@.service", "t@one.service", "web-a.service"]
    assert "--env FROM=own --label a=1 --label b=2" in units["web-a.service"]
    assert "localhost/bb:1 top\n" in units["web-a.service"]
    assert "--name systemd-t_one" in units["t@one.service"]
    out = shared_dir / "out"
    out.mkdir()
    out.chmod(0o777)
    # As systemd calls it, nothing fails.
    done = call(pypod, place, "generator", "--user", out, out, out).ok()
    assert "broken.container:2" in done.err
    assert sorted(path.name for path in out.iterdir()) == ["default.target.wants", *units]
    assert os.readlink(out / "default.target.wants/web-a.service") == "../web-a.service"
    assert (out / "web-a.service").read_text() == units["web-a.service"].rstrip("\n") + "\n"


def test_the_generator_that_systemd_calls(pypod: Pypod, place: Path, shared_dir: Path) -> None:
    dest = shared_dir / "dest"
    install = ROOT / "contrib/systemd/install"
    env = {"PATH": os.environ["PATH"], "DESTDIR": str(dest), "PREFIX": "/usr"}
    subprocess.run([install, str(pypod.program)], env=env, check=True, capture_output=True)
    generator = dest / "usr/lib/systemd/user-generators/pypod-user-generator"
    out = shared_dir / "out"
    out.mkdir()
    out.chmod(0o777)

    def generate(*words: str | Path) -> Result:
        return pypod.as_user("env", f"XDG_CONFIG_HOME={place.parents[1]}", generator, *words)

    generate(out, out, out).ok()  # there is nothing
    put(place, {"a.container": GOOD, "b.container": "[Container]\n"})
    assert "b.container" in generate(out, out, out).ok().err
    assert sorted(path.name for path in out.iterdir()) == ["a.service", "default.target.wants"]
    assert "---a.service---" in generate("-dryrun").fails(1, "b.container").out


def store(pypod: Pypod, *kinds: str) -> dict[str, str]:
    """Drop-ins for all files of these kinds that name the store of these tests."""
    words = " ".join(pypod.argv()[1:])
    return {f"{kind.lower()}.d/store.conf": f"[{kind}]\nGlobalArgs={words}\n" for kind in kinds}


def runner(pypod: Pypod, source: Path, shared_dir: Path) -> Callable[[str, str], None]:
    """Makes the units of ``source``; what is returned runs the commands of a service's setting."""
    out = shared_dir / "out"
    out.mkdir()
    out.chmod(0o777)  # the user makes files in it, as in /run/user/UID
    pypod("quadlet", "generator", "--user", out, env={"QUADLET_UNIT_DIRS": str(source)}).ok()

    def run(service: str, key: str) -> None:
        unit, _ = unit_file.parse((out / f"{service}.service").read_text())
        for entry in unit.entries("Service", key):
            (words,) = systemd_words.exec_words(entry.value.lstrip("-"), {"t": str(out), "N": service})
            pypod.as_user(*(word.decode() for word in words)).ok()

    return run


def test_the_commands_of_a_unit_run(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """Without systemd: in its order, with its words, twice. tests/vm lets systemd do it."""
    source = put(
        shared_dir / "in",
        {
            **store(pypod, "Container", "Network", "Volume"),
            "qd-data.volume": "[Volume]\nLabel=a='b c'\n",
            "qd-net.network": "[Network]\nNetworkDeleteOnStop=true\n",
            # Outside of a unit there is no cgroup to split.
            "qd-web.container": (
                f"[Container]\nImage={image}\nCgroupsMode=enabled\nNetwork=none\nVolume=qd-data.volume:/d\n"
                "Environment='A=b  c' B=100%%\n"
                "Exec=sh -c 'echo \"$$A $$B $$0 $$1\" >>/d/out; exec sleep 60' 'x y' %%n\n"
                "ReloadCmd=sh -c 'echo reloaded >>/d/out'\nStopTimeout=0\n"
            ),
        },
    )
    run = runner(pypod, source, shared_dir)
    for service in ("qd-data-volume", "qd-net-network"):
        run(service, "ExecStart")
        run(service, "ExecStart")
    for _ in range(2):
        for key in ("ExecStartPre", "ExecStart", "ExecReload", "ExecStop", "ExecStopPost"):
            run("qd-web", key)
    mounted = Path(pypod("volume", "inspect", "--format", "{{.Mountpoint}}", "systemd-qd-data").ok().out.strip())
    assert (mounted / "out").read_text() == "b  c 100% x y %n\nreloaded\n" * 2
    assert pypod("volume", "inspect", "--format", "{{.Labels}}", "systemd-qd-data").ok().out == "map[a:b c]\n"
    run("qd-net-network", "ExecStopPost")
    assert pypod("network", "exists", "systemd-qd-net").code == 1
    pypod("volume", "rm", "systemd-qd-data").ok()


def test_the_commands_of_a_pods_units_run(pypod: Pypod, image: str, shared_dir: Path) -> None:
    member = f"[Container]\nImage={image}\nCgroupsMode=enabled\nPod=qd-p.pod\nExec=sleep 60\nStopTimeout=0\n"
    files = {**store(pypod, "Container", "Pod"), "qd-p.pod": "[Pod]\nNetwork=none\nStopTimeout=0\n"}
    run = runner(pypod, put(shared_dir / "in", {**files, "qd-a.container": member}), shared_dir)
    for _ in range(2):
        for service, key in (("qd-p-pod", "ExecStartPre"), ("qd-p-pod", "ExecStart"), ("qd-a", "ExecStart")):
            run(service, key)
        listed = pypod("ps", "--filter", "pod=systemd-qd-p", "--format", "{{.Names}} {{.State}}").ok().lines
        assert "systemd-qd-a running" in listed and len(listed) == 2
        for service, key in (("qd-a", "ExecStop"), ("qd-a", "ExecStopPost"), ("qd-p-pod", "ExecStop")):
            run(service, key)
        run("qd-p-pod", "ExecStopPost")
        assert pypod("pod", "exists", "systemd-qd-p").code == 1
        run("qd-a", "ExecStartPre")
