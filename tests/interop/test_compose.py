"""podman-compose of PyPI, unmodified, with pypod as its podman."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path

import pytest

from support import box, pypi
from support.runner import Pypod, Result, until

COMPOSE = """
services:
  web:
    image: localhost/bb:1
    command: ["sh", "-c", "echo hello > /data/index.html; exec httpd -f -p 80 -h /data"]
    volumes: ["site:/data"]
    ports: ["127.0.0.1:{port}:80"]
    stop_signal: SIGKILL
    networks: {{default: {{aliases: [shop]}}}}
    healthcheck:
      test: ["CMD", "wget", "-qO-", "http://localhost/"]
      interval: 1s
      retries: 10
  app:
    image: localhost/bb:1
    command: ["sh", "-c", "while ! wget -qO- http://web/; do sleep 0.1; done; exec sleep 1000"]
    stop_signal: SIGKILL
    depends_on:
      web:
        condition: service_healthy
volumes:
  site:
"""


@pytest.fixture(scope="session")
def podman_compose(base: Path) -> Path:
    """The directory to import it from."""
    return pypi.install(base, "podman-compose")


def test_a_project_comes_up_and_goes(pypod: Pypod, image: str, podman_compose: Path, shared_dir: Path) -> None:
    for name in ("netavark", "aardvark-dns"):
        if not os.path.exists(f"/usr/lib/podman/{name}"):
            box.missing(f"{name} is not installed")
    box.need("slirp4netns")
    port = 20100 + os.getpid() % 900
    programs = shared_dir / "bin"
    programs.mkdir()
    podman = programs / "podman"
    words = " ".join(pypod.argv())
    # Whether dependencies can be healthy it judges by podman's version: pypod has to be called so.
    link = programs / "link" / "podman"
    link.parent.mkdir()
    link.symlink_to(pypod.program)
    podman.write_text(f'#!/bin/sh\nexec {link} {words.removeprefix(pypod.program)} "$@"\n')
    podman.chmod(0o755)
    project = shared_dir / f"p{os.getpid()}"
    project.mkdir()
    (project / "compose.yaml").write_text(COMPOSE.format(port=port))
    name = project.name

    def compose(*words: str) -> Result:
        return pypi.python(pypod, podman_compose, "-m", "podman_compose", *words, cwd=project, path=str(programs))

    try:
        up = compose("up", "-d").ok()
        assert "Error" not in up.err
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            assert answer.read() == b"hello\n"
        shown = compose("ps").ok().out
        assert f"{name}_web_1" in shown and f"127.0.0.1:{port}->80/tcp" in shown and "(healthy)" in shown
        until(lambda: "hello" in compose("logs", "app").ok().out, 10, "the service to find the other")
        assert compose("exec", "-T", "app", "wget", "-qO-", "http://shop/").ok().out == "hello\n"
        assert compose("port", "web", "80").ok().out.strip().endswith(str(port))
        assert pypod("volume", "ls", "-q").ok().lines == [f"{name}_site"]
        assert pypod("pod", "ps", "--format", "{{.Name}} {{.Status}}").ok().lines == [f"pod_{name} Running"]
    finally:
        down = compose("down", "-v")
    assert "Error" not in down.ok().err
    assert pypod("pod", "ps", "-q").ok().out == ""
    assert pypod.names() == [] and pypod("volume", "ls", "-q").ok().lines == []
    assert pypod("network", "ls", "-q").ok().lines == ["podman"]
