"""``kube play``, ``down`` and ``generate``: pods out of YAML and back, all of them or none."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import box
from support.runner import Pypod, until

TRAP = '["/bin/sh", "-c", "trap \\"exit 0\\" TERM; sleep 1000 & wait"]'
QUIET = ("--network", "none")


@pytest.fixture(autouse=True)
def _gone(pypod: Pypod) -> Iterator[None]:
    yield
    pypod("pod", "rm", "-af", "-t", "0").ok()
    pypod("volume", "rm", "-af").ok()
    pypod("secret", "rm", "-a").ok()
    pypod("network", "rm", "-f", "podman-default-kube-network")


def play(pypod: Pypod, text: str, *flags: str, net: tuple[str, ...] = QUIET) -> Any:
    return pypod("kube", "play", *net, *flags, "-", input=text)


def pod(name: str = "web", spec: str = "", **fields: str) -> str:
    """A pod with one container c; ``fields`` are more of the container's, YAML in one line each."""
    more = "".join(f", {key}: {value}" for key, value in {"command": TRAP, **fields}.items() if value)
    return (
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\n"
        f"spec: {{containers: [{{name: c, image: 'localhost/bb:1'{more}}}]{', ' + spec if spec else ''}}}\n"
    )


MAP = "---\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {FOO: bar, file: hello}\n"
SECRET = "---\nkind: Secret\nmetadata: {name: sec}\nstringData: {pw: topsecret}\n"
CLAIM = (
    "---\nkind: PersistentVolumeClaim\n"
    "metadata: {name: data, labels: {l: m}, annotations: {volume.podman.io/uid: '5'}}\n"
)


def made(pypod: Pypod) -> tuple[list[str], ...]:
    """All that there is: pods, containers, volumes, secrets, networks."""
    return tuple(
        sorted(pypod(*words).ok().lines)
        for words in (
            ("pod", "ps", "-q"),
            ("ps", "-aq"),
            ("volume", "ls", "-q"),
            ("secret", "ls", "-q"),
            ("network", "ls", "-q"),
        )
    )


def test_play_and_down(pypod: Pypod, image: str, shared_dir: Path) -> None:
    text = (
        MAP + SECRET + CLAIM + "---\nkind: Service\nmetadata: {name: s}\n"
        + pod(
            spec="initContainers: [{name: i, image: 'localhost/bb:1', command: [sh, -c, 'echo ready > /data/sub/f'],"
            " volumeMounts: [{name: data, mountPath: /data/sub, subPath: sub}]}],"
            " volumes: [{name: data, persistentVolumeClaim: {claimName: data}}, {name: cm, configMap: {name: cm}},"
            " {name: sec, secret: {secretName: sec, defaultMode: 0400}}, {name: tmp, emptyDir: {}},"
            " {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}},"
            f" {{name: host, hostPath: {{path: {shared_dir}/new, type: DirectoryOrCreate}}}}],"
            " hostAliases: [{ip: 1.2.3.4, hostnames: [friend]}], hostname: shop",
            env="[{name: A, value: '1'}, {name: B, value: '$(A)2'},"
            " {name: PW, valueFrom: {secretKeyRef: {name: sec, key: pw}}}]",
            envFrom="[{configMapRef: {name: cm}}]",
            volumeMounts="[{name: data, mountPath: /data}, {name: cm, mountPath: /cm}, {name: sec, mountPath: /sec},"
            " {name: tmp, mountPath: /tmp/x}, {name: mem, mountPath: /mem},"
            " {name: host, mountPath: /host, readOnly: true}]",
            livenessProbe="{exec: {command: ['true']}, periodSeconds: 1}",
        )
    )  # fmt: skip
    found = play(pypod, text).ok()
    assert found.err == "Warning: document 4: kube kind Service is not supported, skipped\n"
    secret = pypod("secret", "ls", "-q").ok().out.strip()
    identity = pypod("pod", "inspect", "--format", "{{.ID}}", "web").ok().out.strip()
    member = pypod("inspect", "--format", "{{.Id}}", "web-c").ok().out.strip()
    lines = found.out.split("\n")
    assert lines[:5] == ["Volumes:", "data", "Secrets:", secret, "Pod:"]
    assert lines[5:] == [identity, "Container:", member, "", ""]
    assert pypod("pod", "inspect", "--format", "{{.State}}", "web").ok().out == "Running\n"
    assert not pypod.exists("web-i")
    show = (
        "env; cat /data/sub/f /cm/file /sec/pw; echo; stat -c %a /sec/pw /tmp/x; hostname; ls /host; touch /tmp/x/y"
    )
    shown = pypod("exec", "web-c", "sh", "-c", show).ok().lines
    for line in ("A=1", "B=12", "PW=topsecret", "FOO=bar", "ready", "hellotopsecret", "400", "777", "shop"):
        assert line in shown, (line, shown)
    assert "friend" in pypod("exec", "web-c", "cat", "/etc/hosts").ok().out
    assert pypod("exec", "web-c", "touch", "/host/x").code == 1
    assert pypod("exec", "web-c", "touch", "/cm/x").code == 1
    until(lambda: pypod.inspect("web-c")["State"]["Health"]["Status"] == "healthy", 15, "the probe to pass")
    assert pypod.inspect("web-c")["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert (shared_dir / "new").is_dir()

    play(pypod, text).fails(125, 'name "web" is in use')
    assert pypod("kube", "play", *QUIET, "--replace", "-", input=text).ok().out.count("Pod:") == 1
    fresh = pypod("pod", "inspect", "--format", "{{.ID}}", "web").ok().out.strip()
    assert fresh != identity
    down = pypod("kube", "down", "-", input=text).ok()
    assert down.lines == ["Pods stopped:", fresh, "Pods removed:", fresh, "Secrets removed:", secret]
    pods, ids, volumes, secrets, _ = made(pypod)
    assert (pods, ids, volumes, secrets) == ([], [], ["data"], [])
    [volume] = pypod("volume", "inspect", "data").ok().json
    assert volume["Labels"] == {"l": "m"} and volume["UID"] == 5
    assert pypod("play", "kube", "--down", "--force", "-", input=text).ok().lines == [
        *("Pods stopped:", "Pods removed:", "Volumes removed:", "data"),
    ]
    assert pypod("kube", "down", "-", input=text).ok().lines == ["Pods stopped:", "Pods removed:"]


def test_a_play_that_fails_leaves_nothing(pypod: Pypod, image: str, shared_dir: Path) -> None:
    pypod("volume", "create", "mine").ok()
    pypod("secret", "create", "-l", "a=b", "sec", "-", input="kind: Secret\ndata: {old: b2xk}\n").ok()
    shown = ("secret", "inspect", "--showsecret", "--format", "{{.SecretData}} {{.Spec.Labels}}", "sec")
    old = pypod(*shown).ok().out
    assert "a:b" in old
    before = made(pypod)
    first = pod("first", f"volumes: [{{name: h, hostPath: {{path: {shared_dir}/a/b, type: DirectoryOrCreate}}}}]")
    whole = MAP + SECRET + CLAIM + first
    too_long = f"{shared_dir}/a/c/{'n' * 300}"
    late = {
        pod("bad", command="[/no/such/program]"): (127, "/no/such/program"),
        pod("bad", "initContainers: [{name: i, image: 'localhost/bb:1', command: ['false']}]"): (125, "bad-i: it ex"),
        pod("bad", imagePullPolicy="Never").replace("bb:1", "none:1"): (125, "none:1"),
        pod("bad", f"volumes: [{{name: h, hostPath: {{path: {too_long}, type: DirectoryOrCreate}}}}]"): (
            125,
            "File name too long",
        ),
    }
    early = {
        pod("bad", volumeMounts="[{name: x, mountPath: /x}]", spec="volumes: [{name: x, hostPath: {path: /no}}]"): (
            "spec.volumes[0].hostPath: /no: No such file"
        ),
        pod("bad", comand="[x]"): "document 5 (Pod bad): spec.containers[0].comand: no such field",
        pod("bad", envFrom="[{secretRef: {name: sek}}]"): "no secret sek",
        pod("first"): "Pod first is described twice",
        "---\na: [": "YAML cannot be read: line",
        "---\nkind: Secret\nmetadata: {name: a/b}\ndata: {x: eA==}": "document 5 (Secret a/b)",
    }

    def nothing(text: str) -> None:
        now = made(pypod)
        assert (now[:3], now[4]) == (before[:3], before[4]), text
        assert pypod(*shown).ok().out == old, text
        assert not (shared_dir / "a").exists(), text

    for text, (code, cause) in late.items():
        found = play(pypod, whole + text)
        assert (found.code, found.out) == (code, ""), (text, found)
        assert cause in found.err and "Traceback" not in found.err, (cause, found.err)
        nothing(text)
    for text, cause in early.items():
        play(pypod, whole + text).fails(125, cause)
    nothing("early")
    pypod("secret", "rm", "sec").ok()
    pypod("secret", "create", "sec", "-", input="a password").ok()
    play(pypod, whole).fails(125, "secret sec cannot be used in a pod")
    assert made(pypod)[:3] == before[:3]


def test_a_play_that_is_interrupted_leaves_nothing(pypod: Pypod, image: str, shared_dir: Path) -> None:
    file = shared_dir / "slow.yaml"
    init = "initContainers: [{name: i, image: 'localhost/bb:1', command: [sleep, '100']}]"
    file.write_text(CLAIM + pod("slow", init + ", terminationGracePeriodSeconds: 0"))
    for number in (signal.SIGTERM, signal.SIGINT):
        process = pypod.popen("kube", "play", *QUIET, file)
        until(lambda: pypod.exists("slow-i") and pypod.state("slow-i") == "running", 20, "the init container to run")
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == -number and b"Traceback" not in err
        pods, ids, volumes, *_ = made(pypod)
        assert (pods, ids, volumes) == ([], [], [])


def test_deployments_and_flags(pypod: Pypod, image: str, shared_dir: Path) -> None:
    spec = pod().partition("spec: ")[2].strip()
    deployment = (
        "kind: Deployment\nmetadata: {name: dep}\n"
        f"spec: {{replicas: 2, template: {{metadata: {{labels: {{a: b}}}}, spec: {spec}}}}}\n"
    )
    (shared_dir / "dep.yaml").write_text(deployment)
    (shared_dir / "cm.yaml").write_text(MAP)
    flags = ("--start=false", "--no-pod-prefix", "--annotation", "x=y", "--log-driver", "none")
    pypod("kube", "play", *QUIET, *flags, shared_dir / "dep.yaml").fails(125, "c")  # two of one name
    assert pypod("kube", "play", *QUIET, "--start=false", "--annotation", "x=y", shared_dir / "dep.yaml").ok()
    assert sorted(pypod("pod", "ps", "--format", "{{.Name}} {{.Status}}").ok().lines) == [
        "dep-pod-0 Created",
        "dep-pod-1 Created",
    ]
    assert pypod.inspect("dep-pod-1-c")["Config"]["Annotations"]["x"] == "y"
    assert pypod.inspect("dep-pod-1-c")["Config"]["Labels"] == {"a": "b"}
    pypod("kube", "down", shared_dir / "dep.yaml").ok()

    text = pod(envFrom="[{configMapRef: {name: cm}}]")
    play(pypod, text).fails(125, "no config map cm")
    play(pypod, text, "--configmap", str(shared_dir / "cm.yaml"), "--no-pod-prefix").ok()
    assert "FOO=bar" in pypod.inspect("c")["Config"]["Env"]
    play(pypod, MAP + text, "--configmap", str(shared_dir / "cm.yaml")).fails(125, "there is a config map cm already")
    play(pypod, MAP).fails(125, "ConfigMaps in pypod are not a standalone object")
    play(pypod, "a: b").fails(125, "YAML document does not contain any supported kube kind")
    pypod("kube", "play", "/nope").fails(125, "open /nope: no such file or directory")
    play(pypod, text, "--context-dir", "/").fails(125, "--build must be specified when using --context-dir option")
    play(pypod, text, "--build", "--context-dir", "/nope").fails(125, "--context-dir /nope is not a directory")
    play(pypod, text, "--force").fails(125, "--force may be specified only with --down")
    play(pypod, pod("two"), "--ip", "1.2.3.4", "--ip", "1.2.3.5").fails(125, "--ip was given 2 times for 1 pods")
    # Two networks of the same machine may clash on a busy one: only that the flag counts.
    host = play(pypod, pod("open", "hostNetwork: true"), net=()).ok()
    assert pypod.inspect("open-c")["HostConfig"]["NetworkMode"] == "host", host


def test_pods_find_each_other_by_name(pypod: Pypod, image: str) -> None:
    play(pypod, pod("one") + pod("two"), net=()).ok()
    until(lambda: "Name:\ttwo" in pypod("exec", "one-c", "nslookup", "two").out, 10, "one pod to know the other")
    play(pypod, pod("three", command="[/nope]"), net=()).fails(127, "/nope")
    assert sorted(pypod("pod", "ps", "--format", "{{.Name}}").ok().lines) == ["one", "two"]
    pypod("pod", "rm", "-af", "-t", "0").ok()
    pypod("network", "rm", "podman-default-kube-network").ok()
    play(pypod, pod("three", command="[/nope]"), net=()).fails(127, "/nope")
    assert pypod("network", "exists", "podman-default-kube-network").code == 1


def test_wait(pypod: Pypod, image: str, shared_dir: Path) -> None:
    file = shared_dir / "job.yaml"
    file.write_text(CLAIM + pod("job", "restartPolicy: Never", command="[sh, -c, 'sleep 1']"))
    found = pypod("kube", "play", *QUIET, "--wait", "--force", file).ok()
    assert found.lines[-2:] == ["Volumes removed:", "data"] and "Pods removed:" in found.lines
    assert made(pypod)[:3] == ([], [], [])
    file.write_text(pod("stay"))
    process = pypod.popen("kube", "play", *QUIET, "--wait", file)
    until(lambda: pypod.exists("stay-c") and pypod.state("stay-c") == "running", 20, "the pod to run")
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert made(pypod)[:2] == ([], [])


def test_a_unit_is_told_when_all_runs(pypod: Pypod, image: str, shared_dir: Path) -> None:
    file, more, address = shared_dir / "a.yaml", shared_dir / "b.yaml", shared_dir / "notify"
    file.write_text(pod("one", "restartPolicy: Never", command="[sh, -c, 'sleep 2; exit 3']"))
    more.write_text(pod("two", "restartPolicy: Never", command="[sh, -c, 'sleep 1']"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        address.chmod(0o777)
        listener.settimeout(30)
        flags = (*QUIET, "--service-container=true", "--service-exit-code-propagation", "any")
        process = pypod.popen("kube", "play", *flags, file, more, env={"NOTIFY_SOCKET": str(address)})
        assert listener.recv(4096).decode().split("\n") == [f"MAINPID={process.pid}", "READY=1"]
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 3 and out.count(b"Pod:") == 2
    assert made(pypod)[:2] == ([], [])


def test_hostile_yaml(pypod: Pypod, image: str) -> None:
    bomb = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    for text in (bomb, "[" * 100_000, "!!python/object/apply:os.system [id]", "a: &a [*a]", "\0", "#" * (5 << 20)):
        play(pypod, text).fails(125, "YAML")


def config(pypod: Pypod, name: str) -> dict[str, Any]:
    """What makes two containers of the same YAML equal: all that is neither an id, a time nor a volume's own name."""
    identity = pypod("inspect", "--format", "{{.Id}}", name).ok().out.strip()
    path = Path(f"{pypod.graphroot}/overlay-containers/{identity}/userdata/container.json")
    found: dict[str, Any] = json.loads(path.read_text())
    for key in ("id", "name", "created", "create_command", "pod", "needs", "dependencies", "cgroup_parent"):
        found.pop(key, None)
    for key in ("network", "ipc", "uts", "pid", "cgroupns"):
        if isinstance(found.get(key), dict):
            found[key].pop("value", None)
    found["mounts"] = sorted(
        (item["destination"], item["type"], sorted(item.get("options", ())), item.get("subpath", ""))
        for item in found.get("mounts", ())
    )
    found["env"] = sorted(found.get("env", ()))
    return found


def test_generate_and_play_again(pypod: Pypod, image: str, shared_dir: Path) -> None:
    pypod("volume", "create", "-o", "o=uid=3", "--label", "a=b", "vol").ok()
    pypod(
        *("pod", "create", "--name", "shop", "--hostname", "hh", "--label", "app=shop", "--label", "x=y"),
        *("--share", "+pid", "--add-host", "friend:1.2.3.4", *QUIET),
    ).ok()
    common = ["--pod", "shop", "--stop-timeout", "3", "--label", "x=y", "--label", "app=shop"]
    flags = (
        "-v vol:/data:ro -u 1000:10 --tmpfs /mem:size=1m -v /anon -w /tmp --cap-add NET_ADMIN --cap-drop CHOWN"
        " --read-only --security-opt no-new-privileges --security-opt seccomp=unconfined --ulimit nofile=64:64"
        " --restart on-failure --pids-limit 99 --health-retries 5 --health-interval 7s --health-timeout 2s"
        " --health-on-failure kill --annotation n=o --mount type=volume,src=vol,dst=/part,subpath=p"
    ).split()
    more = ["-v", f"{shared_dir}:/host", "-e", "A=$(B) $$(C)", "--health-cmd", "test 1 = 1 || exit 1"]
    words = ["sh", "-c", "echo $(date) $$"]
    pypod("create", *common, "--name", "shop-one", *flags, *more, image, *words).ok()
    flags = "--restart on-failure -it --privileged".split()
    pypod("create", *common, "--name", "shop-two", *flags, "--entrypoint", '["sleep","9"]', image).ok()
    pypod("create", *common, "--name", "shop-ini", "--init-ctr", "always", image, "true").ok()
    before = {name: config(pypod, f"shop-{name}") for name in ("one", "two")}
    file = shared_dir / "shop.yaml"
    pypod("kube", "generate", "-f", file, "shop", "vol").ok()
    pypod("kube", "generate", "-f", file, "shop").fails(125, "file exists")
    first = file.read_text()
    assert first.startswith("# Save the output of this file")
    assert "kind: PersistentVolumeClaim" in first and "kind: Pod" in first
    pypod("pod", "rm", "-f", "shop").ok()
    pypod("volume", "rm", "vol").ok()
    pypod("kube", "play", *QUIET, "--start=false", file).ok()
    for name, was in before.items():
        now = config(pypod, f"shop-{name}")
        different = {key: (was.get(key), now.get(key)) for key in {*was, *now} if was.get(key) != now.get(key)}
        # An anonymous volume and a tmpfs are an emptyDir's; a command without an image's entrypoint has one.
        different.pop("mounts", None)
        assert [item[:2] for item in was["mounts"]] == [item[:2] for item in now["mounts"]]
        assert set(different) <= {"entrypoint", "command", "copy", "security_options"}, different
        assert [*was["entrypoint"], *was["command"]] == [*now["entrypoint"], *now["command"]]
    again = pypod("kube", "generate", "shop", "vol").ok().out

    def still(text: str) -> str:
        return "\n".join(line for line in text.split("\n") if "creationTimestamp" not in line)

    assert still(again) == still(first)
    assert pypod("volume", "inspect", "vol").ok().json[0]["UID"] == 3


def test_generate_reads_files_of_others(pypod: Pypod, image: str) -> None:
    """A pod's ids need not be those of who asks, and nobody else may read the file."""
    spec = "volumes: [{name: v, configMap: {name: cm, defaultMode: 0400}}]"
    text = MAP + pod(spec=spec, volumeMounts="[{name: v, mountPath: /v}]")
    play(pypod, text, "--userns", "keep-id" if pypod.rootless else "host", "--start=false").ok()
    assert "file: hello" in pypod("kube", "generate", "web").ok().out


def test_generate_other_forms(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "lone", *QUIET, "--expose", "80", image, "sleep", "9").ok()
    pypod("create", "--name", "other", *QUIET, image, "sleep", "9").ok()
    text = pypod("generate", "kube", "lone", "other").ok().out
    assert "name: lone-pod" in text and text.count("image: ") == 2
    deployment = pypod("kube", "generate", "--type", "deployment", "-r", "3", "lone").ok().out
    for word in ("kind: Deployment", "replicas: 3", "name: lone-pod-deployment", "restartPolicy: Always"):
        assert word in deployment
    found = pypod("kube", "generate", "-s", "lone").ok()
    assert "publishes no port" in found.err and "kind: Service" not in found.out
    pypod("kube", "generate", "nope").fails(125, 'name or ID "nope" not found')
    pypod("kube", "generate", "-r", "2", "lone").fails(125, "--replicas can only be set")
    pypod("kube", "generate").fails(125, "requires at least 1 arg(s), only received 0")
    pypod("create", "--name", "never", "--restart", "no", *QUIET, image, "true").ok()
    pypod("kube", "generate", "-t", "deployment", "never").fails(125, "can only have restartPolicy set to Always")
    pypod("pod", "create", "--name", "p", *QUIET).ok()
    pypod("kube", "generate", "p").fails(125, "pod p has no containers")
    pypod("create", "--pod", "p", "--name", "in", image, "true").ok()
    pypod("kube", "generate", "in").fails(125, "is associated with pod")


def test_images_are_built_of_directories_that_are_named_like_them(
    fresh: Pypod, shared_dir: Path, busybox_tar: Path
) -> None:
    box.need("buildah")
    fresh("import", busybox_tar, "localhost/bb:1").ok()

    def source(text: str) -> None:
        place = shared_dir / "shop"
        place.mkdir(mode=0o755, exist_ok=True)
        (place / "Containerfile").write_text(f"FROM localhost/bb:1\nENV WORD={text}\n")
        (place / "Containerfile").chmod(0o644)

    def word(*flags: str, cwd: Path = shared_dir) -> str:
        text = pod("built", imagePullPolicy="Never").replace("localhost/bb:1", "shop:1")
        played = fresh("kube", "play", "--replace", *QUIET, *flags, "-", input=text, cwd=cwd).ok()
        assert played.lines[0] == "Pod:"
        env = dict(item.split("=", 1) for item in fresh.inspect("built-c")["Config"]["Env"])
        return env["WORD"]

    try:
        source("one")
        text = pod("built", imagePullPolicy="Never").replace("localhost/bb:1", "shop:1")
        off = fresh("kube", "play", *QUIET, "--build=false", "-", input=text, cwd=shared_dir)
        assert off.code == 125 and not fresh("pod", "ps", "-q").ok().out
        assert word() == "one"
        source("two")
        assert word() == "one"  # it is here
        assert word("--build") == "two"
        source("three")
        assert word("--build", "--context-dir", str(shared_dir), cwd=Path("/")) == "three"
        (shared_dir / "shop" / "Containerfile").write_text("FROM localhost/bb:1\nRUN exit 3\n")
        before = made(fresh)
        failed = fresh("kube", "play", *QUIET, "--build", "-", input=text, cwd=shared_dir)
        assert failed.code == 125 and "buildah exited with status 3" in failed.err.splitlines()[-1]
        assert failed.out == "" and made(fresh) == before
    finally:
        fresh("pod", "rm", "-af", "-t", "0").ok()
