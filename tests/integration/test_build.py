"""``build``: buildah in our store, as root and rootless, and what a build that was killed leaves."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result, children, cmdline, until

BASE = "localhost/bb:1"
FAST = ("build", "--network", "none")


@pytest.fixture
def builder(fresh: Pypod, busybox_tar: Path) -> Pypod:
    """pypod with a store that holds the busybox image, and nothing that another test looks at."""
    box.need("buildah")
    fresh("import", busybox_tar, BASE).ok()
    return fresh


@pytest.fixture
def context(shared_dir: Path) -> Path:
    """An empty context."""
    return directory(shared_dir / "context")


def directory(path: Path) -> Path:
    path.mkdir(parents=True)
    path.chmod(0o755)
    return path


def put(context: Path, containerfile: str, name: str = "Containerfile", **files: str) -> None:
    for file, text in {name: containerfile, **files}.items():
        (context / file).write_text(text)
        (context / file).chmod(0o644)


def built(done: Result) -> str:
    """The image's id: the last line of stdout."""
    last = done.ok().lines[-1]
    assert re.fullmatch(r"[0-9a-f]{64}", last), done
    return last


def clean(pypod: Pypod) -> None:
    """Nothing but images is left, and they are as they should be."""
    assert pypod("ps", "-a", "-q", "--external").ok().out == ""
    assert pypod("system", "check").ok().out == ""


STAGES = f"""FROM {BASE} AS first
ARG WORD=unset
ENV LASTING=yes
RUN echo $WORD > /word; id -u > /who; mkdir /empty; chown 5:7 /empty
FROM {BASE} AS second
COPY --from=first /word /who /got/
COPY file /got/
WORKDIR /got
CMD ["cat", "word", "who", "file"]
FROM second AS third
LABEL stage=third
"""


def test_an_image_is_built_seen_run_and_removed(builder: Pypod, context: Path, shared_dir: Path) -> None:
    put(context, STAGES, file="in the context\n")
    iid = shared_dir / "iid"
    done = builder(
        *FAST, "-t", "one", "--tag", "localhost/two:3", "--build-arg", "WORD=a b", "--iidfile", iid, context
    )
    id = built(done)
    assert iid.read_text() == f"sha256:{id}"
    assert "STEP 1/4: FROM localhost/bb:1 AS first" in done.out.replace("[1/3] ", "").replace("[1/2] ", "")
    [found] = builder("image", "inspect", "one").ok().json
    assert (found["Id"], sorted(found["RepoTags"])) == (id, ["localhost/one:latest", "localhost/two:3"])
    assert found["Labels"]["stage"] == "third"
    assert builder("run", "--rm", "--network", "none", "two:3").ok().out == "a b\n0\nin the context\n"
    assert any("CMD" in line for line in builder("history", "one").ok().lines)
    clean(builder)
    # Again: every step is in the cache, and no step of it with --no-cache.
    again = builder(*FAST, "--build-arg", "WORD=a b", context)
    assert built(again) == id and "Using cache" in again.out
    fresh = builder(*FAST, "--no-cache", "-q", "--target", "first", context).ok()
    assert len(fresh.lines) == 1 and built(fresh) != id
    assert builder("image", "inspect", "-f", "{{.Config.Env}}", fresh.lines[0]).ok().out.count("LASTING=yes") == 1
    assert builder("run", "--rm", "--network", "none", fresh.lines[0], "stat", "-c", "%u %g", "/empty").ok().out == (
        "5 7\n"
    )
    builder("rmi", "-f", "one", "two:3", fresh.lines[0]).ok()
    builder("image", "prune", "-f").ok()
    assert builder("images", "-a", "-n", "--format", "{{.Repository}}").ok().lines == ["localhost/bb"]
    clean(builder)


def test_the_network_of_a_step(builder: Pypod, context: Path, temporary: dict[str, str]) -> None:
    put(context, f"FROM {BASE}\nRUN ip -o addr show > /links\n")
    default = builder("run", "--rm", built(builder("build", context)), "cat", "/links").ok().out
    assert re.search(r": (tap0|eth0|\w+) +inet (?!127)", default), default
    # Without a session, too; then buildah itself chooses a place, and looks for credentials where login puts them.
    built(builder("build", "--no-cache", "-q", context, env={"XDG_RUNTIME_DIR": None, **temporary}))
    none = builder("run", "--rm", built(builder(*FAST, "--no-cache", context)), "cat", "/links").ok().out
    assert not re.search(r"inet (?!127)", none), none
    own = builder("network", "create", "mine").ok().out.strip()
    builder("build", "--network", own, context).fails(125, "buildah does not know pypod's networks")
    builder("network", "rm", own).ok()


def test_what_podman_does_otherwise_than_buildah(builder: Pypod, context: Path) -> None:
    put(context, f"FROM {BASE}\nRUN echo 1 > /1\nRUN echo 2 > /2\n", name="Dockerfile")
    base = len(builder("image", "inspect", BASE).ok().json[0]["RootFS"]["Layers"])

    def layers(*flags: str) -> int:
        id = built(builder(*FAST, "-q", *flags, context))
        return len(builder("image", "inspect", id).ok().json[0]["RootFS"]["Layers"])

    assert [layers(), layers("--squash"), layers("--squash-all"), layers("--layers=false")] == [
        *(base + 2, base + 1, 1, base + 1),
    ]
    # The context is the current directory, or that of the Containerfile.
    assert built(builder(*FAST, "-q", cwd=context)) == built(builder(*FAST, "-q", "-f", context / "Dockerfile"))
    # A pipe of its own: another user's could not be opened anew, as /dev/stdin.
    command = shlex.join(builder.argv("image", *FAST, "-q", "-f", "-", context))
    stdin = builder.as_user("sh", "-c", f"printf 'FROM {BASE}\\nCOPY Dockerfile /x\\n' | {command}")
    assert "echo 2" in builder("run", "--rm", "--network", "none", built(stdin), "cat", "/x").ok().out
    no_context = builder(*FAST, "-q", "-", input=f"FROM {BASE}\nLABEL x=y\n")
    assert builder("image", "inspect", "-f", "{{.Labels.x}}", built(no_context)).ok().out == "y\n"
    clean(builder)


def test_secrets_are_in_no_layer(builder: Pypod, context: Path) -> None:
    put(context, f"FROM {BASE}\nRUN --mount=type=secret,id=word cp /run/secrets/word /copy\n", secret="hidden")
    found = built(builder(*FAST, "-q", "--secret", f"id=word,src={context}/secret", context))
    shown = builder("run", "--rm", "--network", "none", found, "sh", "-c", "cat /copy; ls /run/secrets").ok().out
    assert shown == "hidden"


def test_failures(builder: Pypod, context: Path, shared_dir: Path) -> None:
    before = builder("images", "-a", "-q").ok().out
    put(context, f"FROM {BASE}\nRUN exit 7\n")
    done = builder(*FAST, "-t", "never", context)
    assert done.code == 7 and done.err.splitlines()[-1].startswith('Error: building at STEP "RUN exit 7"'), done
    put(context, f"FROM {BASE}\nCOPY nothing /\n")
    done = builder(*FAST, context)
    assert done.code == 125 and "Error: " in done.err.splitlines()[-1], done
    put(context, "FROM localhost/nothing:1\n")
    done = builder(*FAST, "--pull=never", context)
    assert done.code == 125 and "localhost/nothing:1" in done.err, done
    empty = directory(shared_dir / "empty")
    builder("build", empty).fails(125, f"cannot build {empty}: it has neither Containerfile nor Dockerfile", "--file")
    builder("build", "/nowhere").fails(125, "cannot build /nowhere: No such file or directory")
    builder("build", context / "Containerfile").fails(125, "context must be a directory")
    builder("build", "-f", "nothing", context).fails(125, "cannot read Containerfile nothing")
    builder("build", "--nothing", context).fails(125, "unknown flag: --nothing")
    builder("build", context, context).fails(125, "accepts at most 1 arg(s), received 2")
    builder("build", "--pull=sometimes", context).fails(125, "sometimes")
    assert builder("images", "-a", "-q").ok().out == before
    clean(builder)


def test_without_buildah(builder: Pypod, context: Path, shared_dir: Path) -> None:
    put(context, f"FROM {BASE}\n")
    bin = directory(shared_dir / "bin")
    for name in ("sh", "dirname", "readlink", "env"):
        (bin / name).symlink_to(f"/usr/bin/{name}")
    builder("build", context, env={"PATH": str(bin)}).fails(
        125, "cannot build: buildah is not installed", "apt install buildah"
    )


def test_awkward_names(builder: Pypod, shared_dir: Path) -> None:
    for name in ("-o ther", 'it\'s "two" $HOME', "a\nb", "é%n,x=y", "--"):
        context = directory(shared_dir / name)
        put(context, f'FROM {BASE}\nARG A\nRUN printf %s "$A" > /a\nCOPY f /f\n', name="--File 'x'", f=name)
        arg = f"{name} ${{A}} \\ \"'`id`"
        words = ["-q", "--build-arg", f"A={arg}", "-f", "--File 'x'", "--", f"{shared_dir}/{name}"]
        found = built(builder(*FAST, *words))
        shown = builder("run", "--rm", "--network", "none", found, "cat", "/a", "/f").ok().out
        assert shown == arg + name
    relative = builder(*FAST, "-q", "-f", "./--File 'x'", cwd=shared_dir / "-o ther")
    built(relative)
    clean(builder)


def test_other_stores(fresh: Pypod, busybox_tar: Path, context: Path) -> None:
    box.need("buildah")
    put(context, f"FROM {BASE}\nRUN echo x > /x\n")
    vfs = fresh.with_options("--storage-driver", "vfs")
    vfs("import", busybox_tar, BASE).ok()
    id = built(vfs(*FAST, "-q", context))
    assert vfs("run", "--rm", "--network", "none", id, "cat", "/x").ok().out == "x\n"
    clean(vfs)
    separate = fresh.with_options("--imagestore", str(context / "images"))
    separate("build", context).fails(125, "buildah knows no --imagestore")


def test_inside_the_user_namespace(builder: Pypod, context: Path) -> None:
    if not builder.rootless:
        builder("unshare", "true").fails(125, "rootless")
        return
    put(context, f"FROM {BASE}\nRUN echo x > /x\n")
    id = built(builder("unshare", *builder.argv(*FAST, "-q", context)))
    assert builder("run", "--rm", "--network", "none", id, "cat", "/x").ok().out == "x\n"
    clean(builder)


# Builds that end before their time.


@pytest.fixture
def temporary(shared_dir: Path) -> Iterator[dict[str, str]]:
    """The environment of a buildah whose temporary files, and its runtime's records, are removed."""
    place = directory(shared_dir / "tmp")
    shutil.chown(place, shared_dir.stat().st_uid, shared_dir.stat().st_gid)
    yield {"TMPDIR": str(place)}
    for path in place.iterdir():
        shutil.rmtree(f"/run/runc/buildah-{path.name}", ignore_errors=True)
        shutil.rmtree(f"/run/crun/buildah-{path.name}", ignore_errors=True)


def sleeping(
    pypod: Pypod, context: Path, env: dict[str, str], seconds: str, *flags: str
) -> tuple[subprocess.Popen[bytes], int]:
    """A build that is at a step which lasts, and the pid of that step's process."""
    put(context, f"FROM {BASE}\nRUN echo x > /x\nRUN sleep {seconds}\n")
    process = pypod.popen(*FAST, "-t", "never", *flags, context, env=env)

    def step() -> int:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and cmdline(int(entry)) == ["sleep", seconds]:
                return int(entry)
        assert process.poll() is None, process.communicate()
        return 0

    return process, until(step, 30, "the step to run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flags", [(), ("--iidfile", "never-written")], ids=["buildah", "child"])
def test_a_build_that_is_stopped_leaves_nothing(
    builder: Pypod, context: Path, temporary: dict[str, str], number: int, flags: tuple[str, ...]
) -> None:
    process, step = sleeping(builder, context, temporary, f"{os.getpid()}{number}", *flags)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    until(lambda: not cmdline(step), 10, "the step to end")
    clean(builder)


def test_what_a_killed_build_leaves(builder: Pypod, context: Path, temporary: dict[str, str]) -> None:
    # A working container of somebody who works with buildah stays.
    places = ["--root", str(builder.graphroot), "--runroot", str(builder.runroot), "--storage-driver", "overlay"]
    [mine] = builder.as_user(box.need("buildah"), *places, "from", BASE).ok().lines
    process, step = sleeping(builder, context, temporary, f"{os.getpid()}9")
    # As long as the build goes on, its working containers are nobody's to remove, but the other is.
    assert builder("system", "check").ok().out == ""
    running = builder("ps", "-a", "--external", "--format", "{{.Names}}").ok().lines
    assert mine in running and len(running) > 1
    builder("system", "prune", "-f", "--build").ok()
    running.remove(mine)
    assert builder("ps", "-a", "--external", "--format", "{{.Names}}").ok().lines == running
    [mine] = builder.as_user(box.need("buildah"), *places, "from", BASE).ok().lines
    process.kill()
    process.communicate(timeout=30)
    until(lambda: not children(process.pid), 10, "its child to end")
    found = builder("system", "check").fails(125, "leftovers")
    assert sorted(found.lines) == sorted(f"leftover working container {name} of a build" for name in running)
    done = builder("system", "check", "--repair").ok()
    assert sorted(done.lines) == sorted(f"removed working container {name} of a build" for name in running)
    until(lambda: not cmdline(step), 10, "the step to end")
    assert builder("system", "check").ok().out == ""
    assert builder("ps", "-a", "--external", "--format", "{{.Names}}").ok().lines == [mine]
    builder("system", "prune", "-f", "--build").ok()
    clean(builder)
    with open("/proc/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        assert not [line for line in mounts if f"{builder.graphroot}/overlay/" in line]


def test_the_cache_of_mounts(builder: Pypod, context: Path, temporary: dict[str, str]) -> None:
    put(context, f"FROM {BASE}\nRUN --mount=type=cache,target=/c echo x >> /c/x; cat /c/x > /seen\n")

    def seen() -> str:
        id = built(builder(*FAST, "-q", "--no-cache", context, env=temporary))
        return builder("run", "--rm", "--network", "none", id, "cat", "/seen").ok().out

    assert [seen(), seen()] == ["x\n", "x\nx\n"]
    builder("image", "prune", "-f", env=temporary).ok()
    assert seen() == "x\nx\nx\n"
    other = Path(temporary["TMPDIR"]) / "buildah-cache-"
    other.mkdir()
    builder("image", "prune", "-f", "--build-cache", env=temporary).ok()
    assert other.exists()
    assert seen() == "x\n"
    clean(builder)
