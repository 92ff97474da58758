"""Whatever is wrong: one clear line on stderr, podman's exit code, and nothing half-made on disk."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import leaks
from support.runner import Pypod, Result

IMAGES = "{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}"


@pytest.fixture
def unchanged(pypod: Pypod) -> Iterator[Pypod]:
    """pypod, with the demand that the test leaves the store exactly as it found it."""
    before = leaks.snapshot(pypod)
    images = pypod("images", "--no-trunc", "--format", IMAGES).ok().out
    yield pypod
    left = leaks.since(pypod, before, patience=2)
    assert not left, left
    assert pypod("images", "--no-trunc", "--format", IMAGES).ok().out == images


@pytest.mark.parametrize("verb", ["run", "create"])
def test_an_unknown_image(unchanged: Pypod, verb: str) -> None:
    unchanged(verb, "--pull", "never", "localhost/nosuch:7", "true").fails(125, "localhost/nosuch:7")


def test_an_unknown_short_name(unchanged: Pypod) -> None:
    done = unchanged("run", "--rm", "nosuchimage", "true")
    done.fails(125, "nosuchimage")


@pytest.mark.parametrize("verb", ["run", "create", "ps", "exec", "images", "import", "logs", "rm", "container"])
def test_an_unknown_flag(unchanged: Pypod, verb: str) -> None:
    done = unchanged(verb, "--nosuch")
    assert done.code == 125
    assert "--nosuch" in done.err and "Traceback" not in done.err
    assert done.out == ""


def test_an_unknown_global_flag(unchanged: Pypod) -> None:
    done = unchanged("--nosuch", "ps")
    assert done.code == 125 and "--nosuch" in done.err


def test_an_unknown_command_suggests_another(unchanged: Pypod) -> None:
    done = unchanged("imagse")
    assert done.code == 125
    assert "imagse" in done.err and "images" in done.err
    assert unchanged("container", "nosuch").code == 125


def test_a_flag_without_its_value(unchanged: Pypod) -> None:
    assert unchanged("run", "--name").code == 125
    assert unchanged("run").code == 125


VERBS_OF_A_CONTAINER = [
    "start", "stop", "restart", "kill", "logs", "wait", "pause", "unpause", "top", "port", "diff", "init", "attach",
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS_OF_A_CONTAINER)
def test_an_unknown_container(unchanged: Pypod, verb: str) -> None:
    unchanged(verb, "nosuch").fails(125, "nosuch")


def test_unknown_objects_of_other_verbs(unchanged: Pypod) -> None:
    unchanged("rename", "nosuch", "other").fails(125, "nosuch")
    unchanged("cp", "nosuch:/x", "/tmp").fails(125, "nosuch")
    done = unchanged("inspect", "nosuch")
    assert (done.code, done.out.strip()) == (125, "[]")
    assert "nosuch" in done.err
    unchanged("rmi", "nosuch").fails(1, "nosuch")
    unchanged("tag", "nosuch", "other").fails(125, "nosuch")
    unchanged("history", "nosuch").fails(125, "nosuch")
    assert unchanged("container", "exists", "nosuch").code == 1
    assert unchanged("image", "exists", "nosuch").code == 1


@pytest.mark.parametrize("where", ["global", "run"])
def test_an_unknown_runtime(unchanged: Pypod, image: str, where: str) -> None:
    flags = ["--runtime", "/no/such/runtime"]
    words = [*flags, "run", "--rm", image, "true"] if where == "global" else ["run", "--rm", *flags, image, "true"]
    unchanged(*words).fails(125, "/no/such/runtime")


def test_an_unknown_monitor(unchanged: Pypod, image: str) -> None:
    unchanged("--conmon", "/no/such/monitor", "run", "--rm", image, "true").fails(125, "/no/such/monitor")


def test_a_runtime_that_fails(unchanged: Pypod, image: str) -> None:
    done = unchanged("--runtime", "/bin/false", "run", "--rm", image, "true")
    done.fails(126 if done.code == 126 else 125)


BAD_VALUES = [
    ["--memory", "lots"],
    ["--cpus", "-1"],
    ["--pids-limit", "x"],
    ["--publish", "nonsense:x"],
    ["--publish", "70000:80"],
    ["--volume", "relative/../x:y"],
    ["--volume", "/:/x:nosuchoption"],
    ["--volume", "/nosuch-on-host:/x"],
    ["--mount", "type=nosuch,target=/x"],
    ["--mount", "nonsense"],
    ["--device", "/dev/nosuch"],
    ["--cap-add", "NOSUCH"],
    ["--security-opt", "nosuch=1"],
    ["--security-opt", "seccomp=/no/such/file"],
    ["--ulimit", "nosuch=1:1"],
    ["--ulimit", "nofile=2:1"],
    ["--env-file", "/no/such/file"],
    ["--network", "container:nosuch"],
    ["--pid", "container:nosuch"],
    ["--ipc", "nosuch"],
    ["--add-host", "nocolon"],
    ["--dns", "not-an-address"],
    ["--stop-signal", "NOSUCH"],
    ["--shm-size", "x"],
    ["--tmpfs", "relative"],
    ["--pull", "sometimes"],
    ["--sysctl", "noequals"],
    ["--umask", "9x"],
    ["--tz", "Nowhere/Land"],
    ["--hostname", "a" * 300],
    ["--ip", "300.1.1.1"],
    ["--mac-address", "zz"],
    ["--cgroupns", "nosuch"],
    ["--uts", "nosuch"],
    ["--workdir", "relative"],
    ["--label-file", "/no/such/file"],
    ["--health-interval", "soon", "--health-cmd", "true"],
    ["--stop-timeout", "soon"],
    ["--log-driver", "nosuch"],
]


def test_a_number_of_thousands_of_digits(unchanged: Pypod, image: str) -> None:
    """int() refuses it, also where a table of flags has not looked."""
    for flag in ("--stop-signal", "--publish", "--ulimit=nofile"):
        name, equals, rest = flag.partition("=")
        unchanged("create", name, f"{rest}{equals}{'9' * 5000}", image, "true").fails(125, "too many digits")


@pytest.mark.parametrize("flags", BAD_VALUES, ids=" ".join)
def test_a_bad_value_of_a_flag(unchanged: Pypod, image: str, flags: list[str]) -> None:
    done = unchanged("run", "--rm", *flags, image, "true")
    done.fails(126 if done.code == 126 else 125)  # 126: only the runtime can know, and refuses


@pytest.mark.parametrize("kind", ["containers.conf", "storage.conf"])
def test_a_configuration_that_does_not_parse(unchanged: Pypod, shared_dir: Path, image: str, kind: str) -> None:
    file = shared_dir / kind
    file.write_text("[engine]\nthis is not TOML\n")
    name = "CONTAINERS_CONF" if kind == "containers.conf" else "CONTAINERS_STORAGE_CONF"
    unchanged("run", "--rm", image, "true", env={name: str(file)}).fails(125, str(file), "line 2")


def test_a_configuration_of_the_wrong_type(unchanged: Pypod, shared_dir: Path, image: str) -> None:
    file = shared_dir / "containers.conf"
    file.write_text("engine = 5\n")
    unchanged("run", "--rm", image, "true", env={"CONTAINERS_CONF": str(file)}).fails(125, "engine")
    unchanged("run", "--rm", image, "true", env={"CONTAINERS_CONF": "/no/such/file"}).fails(125, "/no/such/file")


def test_without_xdg_runtime_dir(pypod: Pypod, image: str) -> None:
    done = pypod("run", "--rm", image, "echo", "fine", env={"XDG_RUNTIME_DIR": None})
    assert (done.code, done.out, done.err) == (0, "fine\n", "")


def test_an_xdg_runtime_dir_that_is_not_there(unchanged: Pypod, image: str) -> None:
    if not unchanged.rootless:
        return
    unchanged("run", "--rm", image, "true", env={"XDG_RUNTIME_DIR": "/no/such/dir"}).fails(125, "XDG_RUNTIME_DIR")


def test_default_places_without_xdg_runtime_dir(pypod: Pypod, busybox_tar: Path) -> None:
    """A user from cron or su: no session, no --root, no --runroot."""
    if not pypod.user.switch:
        return
    plain = Pypod(pypod.program, pypod.user, graphroot=None, runroot=None)
    env = {"XDG_RUNTIME_DIR": None}
    plain("import", busybox_tar, "bb", env=env).ok()
    assert plain("run", "--rm", "bb", "echo", "x", env=env).ok().out == "x\n"
    plain("run", "-d", "--name", "c", "bb", "sleep", "100", env=env).ok()
    assert plain("ps", "--format", "{{.Names}}", env=env).ok().out == "c\n"
    plain("rm", "-f", "-t", "0", "c", env=env).ok()
    plain("rmi", "bb", env=env).ok()


def test_a_graphroot_that_cannot_be_written(fresh: Pypod, busybox_tar: Path) -> None:
    assert fresh.graphroot
    fresh("import", busybox_tar, "bb").ok()
    if os.geteuid():
        pytest.skip("needs root to mount")
    subprocess.run(["mount", "--bind", fresh.graphroot, fresh.graphroot], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", fresh.graphroot], check=True)
        fresh("run", "--rm", "bb", "true").fails(125, "read-only")
        done = fresh("create", "bb", "true").fails(125, "read-only")
        assert "remove" not in done.err
        fresh("save", "-q", "-o", "/dev/null", "bb").ok()
        fresh("import", busybox_tar, "other").fails(125, "read-only")
        assert len(fresh("images", "-q").ok().lines) == 1
        assert fresh("ps", "-a", "-q").ok().out == ""
    finally:
        subprocess.run(["umount", fresh.graphroot], check=True)
    fresh("run", "--rm", "bb", "true").ok()


def test_a_root_that_is_not_ones_own(pypod: Pypod) -> None:
    if not pypod.rootless:
        return
    other = Pypod(pypod.program, pypod.user, graphroot=Path("/usr/share/nosuch"), runroot=pypod.runroot)
    other("create", "bb").fails(125, "/usr/share/nosuch")


def test_a_full_disk(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> None:
    """An image, a container's start, and output into the log, on a disk without room."""
    if os.geteuid():
        pytest.skip("needs root to mount")
    assert fresh.graphroot
    owner = f"uid={fresh.user.uid},gid={fresh.user.gid},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=6m,{owner}", "none", fresh.graphroot], check=True)
    try:
        fresh("import", busybox_tar, "bb").ok()
        big = shared_dir / "big.tar"
        with tarfile.open(big, "w") as archive:
            entry = tarfile.TarInfo("big")
            entry.size = 20 << 20
            archive.addfile(entry, io.BytesIO(bytes(entry.size)))
        big.chmod(0o644)
        before = leaks.snapshot(fresh)
        fresh("import", big, "big").fails(125, "no space")
        assert len(fresh("images", "-q").ok().lines) == 1
        assert not leaks.since(fresh, before, patience=2)
        # The room that the failed import took is free again.
        assert fresh("run", "--rm", "bb", "echo", "x").ok().out == "x\n"
        done = fresh("run", "--rm", "bb", "sh", "-c", "dd if=/dev/zero of=/x bs=64k 2>/dev/null; echo status=$?")
        assert done.ok().out == "status=1\n"
        filler = fresh.graphroot / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False, capture_output=True)
        fresh("run", "--rm", "bb", "true").fails(125, "no space")
        fresh("create", "bb", "true").fails(125, "no space")
        filler.unlink()
        assert fresh("ps", "-a", "-q").ok().out == ""
        fresh("run", "--rm", "bb", "true").ok()
        assert not leaks.since(fresh, before, patience=5)
    finally:
        fresh("rm", "-f", "-a", "-t", "0")
        subprocess.run(["umount", fresh.graphroot], check=True)


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_no_room_for_other_owners(fresh: Pypod, busybox_tar: Path) -> None:
    """A copy for --userns that cannot fit is refused before it is begun, with what it needs and what there is.

    As root nothing is copied.
    """
    if os.geteuid():
        pytest.skip("root must mount")
    assert fresh.graphroot
    owner = f"uid={fresh.user.uid},gid={fresh.user.gid},mode=700"
    room = busybox_tar.stat().st_size * 3 // 2 + (256 << 10)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room},{owner}", "none", fresh.graphroot], check=True)
    try:
        fresh("import", busybox_tar, "bb").ok()
        before = leaks.snapshot(fresh)
        words = ("run", "--rm", "--network", "none", "--userns", "keep-id", "bb", "true")
        done = fresh(*words)
        done.fails(125, "map the ids of image localhost/bb:latest: it needs", "free: no space left")
        assert "Mapping" not in done.err
        assert not leaks.since(fresh, before, patience=2)
        assert fresh("ps", "-aq").ok().out == ""
        subprocess.run(["mount", "-o", f"remount,size={2 * room}", fresh.graphroot], check=True)
        fresh(*words).ok()
    finally:
        fresh("rm", "-f", "-a", "-t", "0")
        subprocess.run(["umount", fresh.graphroot], check=True)


def test_a_closed_stdout_is_no_traceback(pypod: Pypod) -> None:
    process = pypod.popen("ps", "-a", stdout=os.open("/dev/full", os.O_WRONLY))
    _, err = process.communicate(timeout=20)
    assert b"Traceback" not in err
    for words in (["images"], ["--help"], ["info"]):
        reader, writer = os.pipe()
        os.close(reader)
        process = pypod.popen(*words, stdout=writer)
        os.close(writer)
        _, err = process.communicate(timeout=20)
        assert b"Traceback" not in err and b"BrokenPipe" not in err, err


def test_control_c_is_no_traceback(pypod: Pypod, image: str) -> None:
    process = pypod.popen("run", "--rm", "-i", image, "sh", "-c", "echo ready; sleep 100", stdin=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.send_signal(2)
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        # The signal went to sleep's parent, a shell that is pid 1 and has no handler for it.
        process.send_signal(15)
        pypod("kill", "-a")
        process.wait(10)
    assert b"Traceback" not in process.stderr.read()


def test_a_name_that_is_a_path(unchanged: Pypod, image: str) -> None:
    for name in ("../x", "/abs", "a/../../b"):
        assert unchanged("create", "--name", name, image).code == 125
        assert unchanged("inspect", name).code == 125
        assert unchanged("rm", name).code in (1, 125)


def test_a_directory_in_the_image_that_is_a_link_to_the_host(pypod: Pypod, shared_dir: Path) -> None:
    """What pypod makes inside a root file system must not follow the image's links out of it."""
    outside = shared_dir / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    tar = shared_dir / "evil.tar"
    with tarfile.open(tar, "w") as archive:
        for name, target in (
            ("etc", str(outside)),
            ("work", str(outside)),
            ("tmp", "/../../../../../.." + str(outside)),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    tar.chmod(0o644)
    pypod("import", tar, "evil").ok()
    try:
        pypod("run", "--rm", "-w", "/work/made", "-v", f"{shared_dir}:/tmp/vol", "evil", "/nothing")
        assert list(outside.iterdir()) == []
    finally:
        pypod("rmi", "-f", "evil").ok()


def test_a_broken_archive_is_named(pypod: Pypod, shared_dir: Path) -> None:
    path = shared_dir / "broken.tar"
    path.write_bytes(b"garbage")
    pypod("load", "-i", path).fails(125, f"broken archive {path}: it ends")
    pypod("import", path).fails(125, f"broken archive {path}: it ends")
    pypod("load", input=b"garbage").fails(125, "broken archive on stdin: it ends")
    pypod("import", "-", input=b"\x1f\x8b\x08rest of gzip").fails(125, "archive on stdin: gzip")


def told(done: Result) -> list[str]:
    """What stderr says, as JSON: the ref of each error."""
    return [one["ref"] for one in map(json.loads, done.err.splitlines())]


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_errors_for_programs(pypod: Pypod, image: str) -> None:
    as_json = pypod.with_options("--log-format", "json")
    assert told(as_json("inspect", "nosuch")) == ["not-found"]
    assert told(as_json("start", "nosuch")) == ["no-such-container"]
    assert told(as_json("rmi", "nosuch", "neither")) == ["no-such-image"] * 2
    assert told(as_json("run", "--no-such-flag")) == ["usage"]
    assert told(as_json("run", "--rm", "--network", "none", image, "nosuch")) == ["command-not-found"]
    assert told(pypod("--log-format=json", "nosuch")) == ["usage"]
    assert told(pypod("logs", "nosuch", env={"PYPOD_LOG_FORMAT": "json"})) == ["no-such-container"]
    pypod("--log-format", "xml", "ps").fails(125, "log format")
