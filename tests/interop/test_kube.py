"""YAML of pypod in podman's hands, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.peer import Podman
from support.runner import Pypod, Result

COMMAND = ["/bin/sh", "-c", "trap 'exit 0' TERM; echo $A; sleep 1000 & wait"]
FLAGS = (
    "-e A=a=b -v vol:/data -u 1000:10 -w /tmp --cap-add NET_ADMIN --cap-drop CHOWN --security-opt no-new-privileges"
    " --restart on-failure"
).split()
CONF = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'


class Player(Podman):
    """podman with limits that may be set here: ``kube play`` has no flag for them."""

    conf: Path

    def __call__(self, *args: str | Path, timeout: float = 90, input: bytes | None = None) -> Result:
        words = self.argv(*args)
        if self.limits:
            words = ["env", f"CONTAINERS_CONF={self.conf}", *words]
        return self.pypod.as_user(*words, timeout=timeout, input=input)


@pytest.fixture
def podman(pypod: Pypod, busybox_tar: Path, shared_dir: Path) -> Iterator[Player]:
    Player.conf = shared_dir / "containers.conf"
    Player.conf.write_text(CONF)
    made = Player(pypod, busybox_tar)
    yield made
    made("pod", "rm", "-f", "-a", "-t", "0")
    made("volume", "rm", "-a")
    made.close()
    pypod("pod", "rm", "-af", "-t", "0").ok()
    pypod("volume", "rm", "-af").ok()
    pypod("secret", "rm", "-a").ok()


def make(tool: Pypod | Podman, image: str, shared_dir: Path) -> None:
    """A pod of two containers, by hand."""
    limits = tool.limits if isinstance(tool, Podman) else []
    tool("pod", "create", "--name", "shop", "--network", "none", "--hostname", "hh", "--label", "x=y").ok()
    place = f"{shared_dir}:/host:ro"
    tool("create", "--pod", "shop", "--name", "shop-one", *limits, *FLAGS, "-v", place, image, *COMMAND).ok()
    more = [
        "--entrypoint",
        '["/bin/sleep","1000"]',
        "--read-only",
        "--read-only-tmpfs=false",
        "--restart",
        "on-failure",
    ]
    tool("create", "--pod", "shop", "--name", "shop-two", *limits, *more, image).ok()


def described(tool: Pypod | Podman, name: str) -> dict[str, Any]:
    """What both tools say of a container in the same words."""
    [found] = tool("inspect", name).ok().json
    config, host = found["Config"], found["HostConfig"]
    entrypoint = config["Entrypoint"] or []
    return {
        # An entrypoint is shown as one text.
        "words": " ".join([*([entrypoint] if isinstance(entrypoint, str) else entrypoint), *(config["Cmd"] or [])]),
        "env": [entry for entry in config["Env"] if entry.startswith("A=")],
        "user": config["User"],
        "workdir": config["WorkingDir"],
        "mounts": sorted((item["Destination"], item["Type"], item["RW"]) for item in found["Mounts"]),
        "restart": host["RestartPolicy"]["Name"],
        "read-only": host["ReadonlyRootfs"],
        "added": [cap for cap in host["CapAdd"] or () if cap == "CAP_NET_ADMIN"],
        "dropped": [cap for cap in host["CapDrop"] or () if cap == "CAP_CHOWN"],
        "image": found["ImageName"],
    }


def test_each_plays_what_the_other_generates(pypod: Pypod, podman: Player, image: str, shared_dir: Path) -> None:
    make(pypod, image, shared_dir)
    ours = {name: described(pypod, f"shop-{name}") for name in ("one", "two")}
    text = pypod("kube", "generate", "shop", "vol").ok().out
    played = podman("kube", "play", "--network", "none", "-", input=text.encode()).ok()
    assert played.lines[:3] == ["Volumes:", "vol", "Pod:"]
    for name, expected in ours.items():
        assert described(podman, f"shop-{name}") == expected
    [pod] = [podman("pod", "inspect", "shop").ok().json]
    assert (pod["Hostname"], pod["Labels"]) == ("hh", {"app": "shop", "x": "y"})
    podman("pod", "rm", "-f", "-t", "0", "shop").ok()
    pypod("pod", "rm", "-f", "-t", "0", "shop").ok()
    make(podman, image, shared_dir)
    theirs = {name: described(podman, f"shop-{name}") for name in ("one", "two")}
    assert theirs == ours
    text = podman("kube", "generate", "shop").ok().out
    found = pypod("kube", "play", "--network", "none", "--no-pod-prefix", "--start=false", "-", input=text).ok()
    assert found.err == ""
    for name, expected in theirs.items():
        assert described(pypod, f"shop-{name}") == expected
    assert pypod("pod", "inspect", "--format", "{{.Hostname}}", "shop").ok().out == "hh\n"


FILE = """
kind: PersistentVolumeClaim
metadata: {name: vol}
---
kind: ConfigMap
metadata: {name: cm}
data: {FOO: bar}
---
kind: Secret
metadata: {name: sec}
data: {pw: c2VjcmV0}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: localhost/bb:1
    command: [/bin/sh, -c, "sleep 1000"]
    envFrom: [{configMapRef: {name: cm}}]
    volumeMounts: [{name: v, mountPath: /v}, {name: s, mountPath: /s}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: vol}}, {name: s, secret: {secretName: sec, optional: false}}]
"""


def shape(text: str) -> list[str]:
    """The output with ids as such."""
    return ["ID" if len(line) >= 25 and set(line) <= set("0123456789abcdef") else line for line in text.split("\n")]


def test_both_say_the_same(pypod: Pypod, podman: Player, image: str) -> None:
    # podman 4 stumbles over the removal of init containers that are quick, and does not list them.
    init = '  initContainers: [{name: i, image: "localhost/bb:1", command: [/bin/true]}]\n'
    ours = pypod("kube", "play", "--network", "none", "-", input=FILE.replace("spec:\n", "spec:\n" + init)).ok()
    theirs = podman("kube", "play", "--network", "none", "-", input=FILE.encode()).ok()
    mine = shape(ours.out)
    at = mine.index("Secrets:")  # podman 4 does not list them
    assert mine[:at] + mine[at + 2 :] == shape(theirs.out)
    assert pypod("exec", "web-c", "/bin/sh", "-c", "cat /s/pw; echo $FOO").ok().out == "secretbar\n"
    # podman 4 shows the base64.
    assert podman("exec", "web-c", "/bin/sh", "-c", "cat /s/pw; echo $FOO").ok().out == "c2VjcmV0bar\n"
    # The secret is kept in the same form.
    kept = [tool.graphroot if isinstance(tool, Pypod) else tool.place / "podman-g" for tool in (pypod, podman)]
    assert all((place / "secrets/filedriver/secretsdata.json").exists() for place in kept)
    down = shape(pypod("kube", "down", "-", input=FILE).ok().out)
    assert down[:4] == shape(podman("kube", "down", "-", input=FILE.encode()).ok().out)[:4]
    assert down[4:] == ["Secrets removed:", "ID", ""]
    podman("secret", "rm", "sec").ok()
    for text in ("a: b", "a: [", "kind: Service", "kind: ConfigMap\nmetadata: {name: x}", "kind: Pod"):
        refused = (pypod("kube", "play", "-", input=text), podman("kube", "play", "-", input=text.encode()))
        assert [(found.code, found.out) for found in refused] == [(125, "")] * 2, text
