"""Names without a registry: aliases, the question on the terminal, and what is here already."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.registry import Registry
from support.remote_images import Remote, tar
from support.runner import Pypod
from support.terminal import Terminal

NO_TLS = "--tls-verify=false"
HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine, "linux/amd64")
NAME = f"pypod-short-{os.getpid()}"


class Two:
    """Two registries with an image of the same name each; nobody listens at the third place."""

    def __init__(self, first: Registry, second: Registry) -> None:
        self.first, self.second = first, second
        self.one = Remote(first.port).image(NAME, "1", [{"one": b"1"}], platform=HERE)
        self.two = Remote(second.port).image(NAME, "1", [{"two": b"2"}], platform=HERE)


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    with Registry() as first, Registry() as second:
        yield Two(first, second)


class Configured:
    """Writes registries.conf; ``env`` makes pypod read it. ``remembered`` is the file of the user's choices."""

    def __init__(self, directory: Path, pypod: Pypod) -> None:
        self._file = directory / "registries.conf"
        cache = directory / "cache"
        self.env = {"CONTAINERS_REGISTRIES_CONF": str(self._file), "XDG_CACHE_HOME": str(cache), "TERM": "xterm"}
        self.remembered = Path("/var/cache") if not pypod.rootless else cache
        self.remembered = self.remembered / "containers/short-name-aliases.conf"

    def write(self, text: str) -> None:
        self._file.write_text(text)
        self._file.chmod(0o644)

    def aliases(self) -> str:
        return self.remembered.read_text() if self.remembered.exists() else ""

    def forget(self) -> None:
        """Take the choices of this test away, and nobody else's."""
        if self.remembered.exists():
            lines = self.remembered.read_text().splitlines(keepends=True)
            kept = [line for line in lines if NAME not in line]
            if "".join(kept).strip() == "[aliases]":
                self.remembered.unlink()
                Path(f"{self.remembered}.lock").unlink(missing_ok=True)
            else:
                self.remembered.write_text("".join(kept))


@pytest.fixture
def configured(fresh: Pypod, shared_dir: Path) -> Iterator[Configured]:
    found = Configured(shared_dir, fresh)
    yield found
    found.forget()


def search(two: Two, mode: str) -> str:
    return f'unqualified-search-registries = ["{two.first.host}", "{two.second.host}"]\nshort-name-mode = "{mode}"\n'


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ("\x1b[B\r", "second"),
        ("\x1b[B\x1b[A\r", "first"),
        ("2\r", "second"),
        ("\r", "first"),
    ],
)
def test_the_user_chooses(fresh: Pypod, two: Two, configured: Configured, keys: str, chosen: str) -> None:
    configured.write(search(two, "enforcing"))
    image, registry = (two.one, two.first) if chosen == "first" else (two.two, two.second)
    with fresh.terminal("pull", NO_TLS, f"{NAME}:1", env=configured.env) as terminal:
        terminal.expect("Please select an image")
        terminal.expect(re.escape(f"{two.second.host}/{NAME}:1"))
        terminal.send(keys)
        assert terminal.wait() == 0, terminal.output
    assert image.id.encode() in terminal.output
    assert f'"{NAME}" = "{registry.host}/{NAME}"' in configured.aliases()
    # The next time nobody is asked, with or without a terminal.
    fresh("rmi", image.id).ok()
    done = fresh("pull", NO_TLS, f"{NAME}:1", env=configured.env).ok()
    assert done.lines == [image.id]
    assert f'Resolved "{NAME}" as an alias ({configured.remembered})' in done.err


def test_the_question_is_not_on_stdout(fresh: Pypod, two: Two, configured: Configured, shared_dir: Path) -> None:
    """ID=$(pypod create NAME) asks, too; on a terminal that cannot draw by numbers."""
    configured.write(search(two, "permissive"))
    out = shared_dir / "out"
    with Terminal(
        ["sh", "-c", f'exec "$0" "$@" > {out}', *fresh.argv("pull", NO_TLS, f"{NAME}:1")],
        user=fresh.user,
        env=fresh.environment({**configured.env, "TERM": "dumb"}),
    ) as terminal:
        terminal.expect(r"Number \(1-2\): ")
        terminal.send("3\n")
        terminal.expect(r"Number \(1-2\): ")
        terminal.send("2\n")
        assert terminal.wait() == 0, terminal.output
    assert out.read_text() == f"{two.two.id}\n"


def test_more_registries_than_lines(fresh: Pypod, two: Two, configured: Configured) -> None:
    """The list moves under a small window; numbers may have two digits."""
    none = ", ".join(f'"r{number}.example"' for number in range(30))
    configured.write(f'unqualified-search-registries = [{none}, "{two.second.host}"]\n')
    for keys in ("\x1b[A\r", "31\r"):
        with fresh.terminal("pull", NO_TLS, f"{NAME}:1", env=configured.env, rows=8, columns=30) as terminal:
            terminal.expect("r5.example")
            assert b"r6.example" not in terminal.output
            terminal.send(keys)
            assert terminal.wait() == 0, terminal.output
        assert two.two.id.encode() in terminal.output
        fresh("rmi", two.two.id).ok()
        configured.forget()


def test_run_asks_before_the_container_has_the_terminal(
    fresh: Pypod, two: Two, configured: Configured, busybox_tar: Path
) -> None:
    name = f"{NAME}-shell"
    Remote(two.second.port).image(name, "1", [busybox_tar.read_bytes()], platform=HERE)
    configured.write(search(two, "enforcing"))
    with fresh.terminal(
        "run", "--rm", "-it", "--network=none", NO_TLS, f"{name}:1", "sh", env=configured.env
    ) as terminal:
        terminal.expect("Please select an image")
        terminal.expect(re.escape(f"{two.second.host}/{name}:1"))
        terminal.send("2\r")
        terminal.expect("# ")
        terminal.send("echo x$((1 + 1))y\n")
        terminal.expect("x2y")
        terminal.send("exit 7\n")
        assert terminal.wait() == 7, terminal.output


@pytest.mark.parametrize(("key", "code"), [("\x03", -2), ("\x04", 125)])
def test_nothing_is_chosen(fresh: Pypod, two: Two, configured: Configured, key: str, code: int) -> None:
    configured.write(search(two, "enforcing"))
    with fresh.terminal("create", NO_TLS, f"{NAME}:1", "true", env=configured.env) as terminal:
        before = terminal.attributes()
        terminal.expect("Please select an image")
        terminal.send(key)
        assert terminal.wait() == code, terminal.output
        assert terminal.attributes() == before
    assert fresh("images", "-q").ok().out == "" and NAME not in configured.aliases()


def test_without_a_terminal(fresh: Pypod, two: Two, configured: Configured) -> None:
    configured.write(search(two, "enforcing"))
    fresh("pull", NO_TLS, f"{NAME}:1", env=configured.env).fails(125, "cannot prompt without a TTY", NAME)
    for mode in ("permissive", "disabled"):
        configured.write(search(two, mode))
        done = fresh("pull", NO_TLS, f"{NAME}:1", env=configured.env).ok()
        assert done.lines == [two.one.id] and "unqualified-search registries" in done.err
        fresh("rmi", two.one.id).ok()  # a name that is here says itself which registry is meant
    assert NAME not in configured.aliases()
    configured.write("unqualified-search-registries = []\n")
    fresh("pull", NO_TLS, f"{NAME}:2", env=configured.env).fails(125, NAME, "no unqualified-search registries")


def test_the_next_registry_is_tried(fresh: Pypod, two: Two, configured: Configured) -> None:
    Remote(two.second.port).image(f"{NAME}-two", "1", [{"x": b"x"}], platform=HERE)
    configured.write(search(two, "permissive"))
    fresh("pull", "-q", NO_TLS, f"{NAME}-two:1", env=configured.env).ok()
    names = [f"{two.second.host}/{NAME}-two:1"]
    assert fresh("images", "--format", "{{.Repository}}:{{.Tag}}").ok().lines == names
    failed = fresh("pull", NO_TLS, f"{NAME}-none:1", env=configured.env)
    assert failed.code == 125 and two.first.host in failed.err and two.second.host in failed.err


def test_what_is_here(fresh: Pypod, two: Two, configured: Configured) -> None:
    """podman's order: the alias, localhost, the unqualified-search registries, docker.io, then anything else."""
    configured.write(search(two, "enforcing") + f'[aliases]\n"{NAME}" = "alias.example/other"\n')
    places = {
        "alias.example/other": "a",
        f"localhost/{NAME}": "b",
        f"{two.first.host}/{NAME}": "c",
        f"{two.second.host}/{NAME}": "d",
        f"docker.io/library/{NAME}": "e",
        f"elsewhere.example/deep/{NAME}": "f",
    }
    # An alias counts where nothing has the name itself, or more than one.
    for name, text in reversed(places.items()):
        archive = Path(configured.env["CONTAINERS_REGISTRIES_CONF"]).with_name("layer.tar")
        archive.write_bytes(tar({"file": text.encode()}))
        archive.chmod(0o644)
        places[name] = fresh("import", "-q", archive, f"{name}:latest").ok().lines[-1].removeprefix("sha256:")
    for name, image in places.items():
        found = fresh("image", "inspect", NAME, env=configured.env).ok().json[0]
        assert found["Id"] == image, name
        fresh("rmi", f"{name}:latest").ok()
    assert fresh("image", "exists", NAME, env=configured.env).code == 1
