"""run's flags, seen from inside the container."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result

FAST = ("run", "--rm", "--network", "none")


class Inside:
    """Run a shell line in a container with some flags; what it prints."""

    def __init__(self, pypod: Pypod, image: str) -> None:
        self.pypod = pypod
        self.image = image

    def __call__(self, line: str, *flags: str | Path, image: str = "") -> str:
        return self.pypod(*FAST, *flags, image or self.image, "sh", "-c", line).ok().out.strip()

    def words(self, *flags: str | Path, command: tuple[str, ...] = ("true",), code: int = 125) -> str:
        return self.pypod(*FAST, *flags, self.image, *command).fails(code).err


@pytest.fixture
def inside(pypod: Pypod, image: str) -> Inside:
    return Inside(pypod, image)


@pytest.fixture
def rich(pypod: Pypod, busybox_tar: Path) -> Iterator[str]:
    """An image whose config says something about everything."""
    changes = [
        'ENTRYPOINT ["/bin/sh", "-c"]',
        'CMD ["echo from the image"]',
        "ENV FOO=image BAR=image",
        "USER user",
        "WORKDIR /srv/made",
        "VOLUME /home/user",
        "STOPSIGNAL SIGUSR1",
        "LABEL a=image b=image",
        "EXPOSE 8080",
    ]
    words = [word for change in changes for word in ("-c", change)]
    pypod("import", *words, busybox_tar, "localhost/rich:1").ok()
    yield "localhost/rich:1"
    pypod("rmi", "-f", "localhost/rich:1").ok()


# The process.


def test_what_the_image_says(pypod: Pypod, rich: str) -> None:
    assert pypod(*FAST, rich).ok().out == "from the image\n"
    out = pypod(*FAST, rich, "id -u; pwd; echo $FOO $HOME; stat -c %u:%a . ; stat -c %u /home/user").ok().lines
    assert out == ["1000", "/srv/made", "image /home/user", "1000:755", "1000"]


def test_entrypoint_replaces_both(pypod: Pypod, rich: str) -> None:
    assert pypod(*FAST, "--entrypoint", "echo", rich, "x").ok().out == "x\n"
    assert pypod(*FAST, "--entrypoint", '["echo","a b"]', rich).ok().out == "a b\n"
    assert pypod(*FAST, "--entrypoint", "", rich, "echo", "y").ok().out == "y\n"
    pypod(*FAST, "--entrypoint", "", rich).fails(125, "no command or entrypoint provided")


def test_environment(inside: Inside, shared_dir: Path) -> None:
    file = shared_dir / "env"
    file.write_text("# comment\nFILE=file\nBOTH=file\n")
    out = inside("env", "--env-file", file, "-e", "BOTH=flag", "-e", "EMPTY=", "--unsetenv", "TERM").splitlines()
    assert {"FILE=file", "BOTH=flag", "EMPTY=", "container=podman", "HOME=/root"} <= set(out)
    assert not any(line.startswith("TERM=") for line in out)


def test_environment_of_the_caller(inside: Inside, pypod: Pypod, image: str) -> None:
    env = {"MINE": "x", "https_proxy": "http://proxy"}
    out = pypod(*FAST, "-e", "MINE", "-e", "NOSUCH", image, "env", env=env).ok().lines
    assert "MINE=x" in out and "https_proxy=http://proxy" in out
    assert not any(line.startswith("NOSUCH") for line in out)
    out = pypod(*FAST, "--env-host", "--http-proxy=false", image, "env", env=env).ok().lines
    assert "MINE=x" in out
    assert "https_proxy=http://proxy" not in pypod(*FAST, "--http-proxy=false", image, "env", env=env).ok().lines


def test_env_merge_refers_to_the_image(inside: Inside, rich: str) -> None:
    out = inside.pypod(*FAST, "--env-merge", "FOO=${FOO}+more", rich, "echo $FOO").ok().out
    assert out == "image+more\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("user", "1000 1000 10 1000 /home/user"),
        ("1000:10", "1000 10 10 /home/user"),
        ("4321", "4321 0 0 /"),
        ("4321:5555", "4321 5555 5555 /"),
        ("0", "0 0 0 /root"),
    ],
)
def test_user(inside: Inside, user: str, expected: str) -> None:
    out = inside("echo $(id -u) $(id -g) $(id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' ') $HOME", "-u", user)
    assert out == expected


def test_user_gets_a_passwd_entry(inside: Inside) -> None:
    assert inside("id -un; id -gn; cat /etc/passwd | tail -1", "-u", "4321:5555") == (
        "4321\n5555\n4321:*:4321:5555:container user:/:/bin/sh"
    )
    assert "4321" not in inside("cat /etc/passwd", "-u", "4321", "--passwd=false")
    assert "container user" in inside("cat /etc/passwd", "-u", "4321", "--read-only")


def test_unknown_user_and_group(inside: Inside) -> None:
    assert "unable to find user nosuch: no matching entries in passwd file" in inside.words("-u", "nosuch", code=126)
    assert "unable to find group nosuch" in inside.words("-u", "user:nosuch", code=126)


def test_group_add(inside: Inside) -> None:
    assert inside("id -G", "--group-add", "wheel", "--group-add", "777") == "0 10 777"


def test_workdir(inside: Inside) -> None:
    assert inside("pwd", "-w", "/usr/bin") == "/usr/bin"
    assert "does not exist on container" in inside.words("-w", "/nosuch", code=126)
    assert "absolute path" in inside.words("-w", "relative")
    # A tmpfs or volume will be there when the process starts.
    assert inside("pwd", "--tmpfs", "/fresh", "-w", "/fresh") == "/fresh"


def test_init_is_pid_1(inside: Inside) -> None:
    box.need("catatonit")
    assert inside("cat /proc/1/comm; echo $$", "--init").splitlines()[0] == "podman-init"
    assert inside("echo $$") == "1"


def test_umask_hostname_timezone(inside: Inside) -> None:
    assert inside("umask; hostname; cat /etc/hostname", "--umask", "077", "-h", "box.example") == (
        "0077\nbox.example\nbox.example"
    )
    if os.path.exists("/usr/share/zoneinfo/Asia/Tokyo"):
        assert inside("date +%Z", "--tz", "Asia/Tokyo") == "JST"
    assert "zoneinfo/Nowhere" in inside.words("--tz", "Nowhere")


def test_ulimits(inside: Inside) -> None:
    assert inside("ulimit -n; ulimit -Hn; ulimit -c", "--ulimit", "nofile=100:200", "--ulimit", "core=0") == (
        "100\n200\n0"
    )
    assert inside("ulimit -n") != ""
    assert "invalid ulimit type" in inside.words("--ulimit", "nosuch=1")


def test_oom_score(inside: Inside) -> None:
    assert inside("cat /proc/self/oom_score_adj", "--oom-score-adj", "500") == "500"
    assert "oom-score-adj" in inside.words("--oom-score-adj", "2000")


# Names and files on the side.


def test_id_files(pypod: Pypod, image: str, shared_dir: Path) -> None:
    cid, pid, monitor = (shared_dir / name for name in ("cid", "pid", "monitor"))
    done = pypod(
        "run", "-d", "--network", "none", "--cidfile", cid, "--pidfile", pid, "--conmon-pidfile", monitor, image,
        "sleep", "100",
    ).ok()  # fmt: skip
    identity = done.out.strip()
    assert cid.read_text() == identity
    assert int(pid.read_text()) == pypod.pid(identity)
    assert int(monitor.read_text()) == pypod.monitor(identity)
    pypod("run", "--cidfile", cid, image, "true").fails(125, "container id file exists")


def test_labels_and_annotations(pypod: Pypod, rich: str, shared_dir: Path) -> None:
    file = shared_dir / "labels"
    file.write_text("# no\nc=file\nb=file\n")
    pypod(
        "create", "--name", "c", "-l", "b=flag", "--label", "d", "--label-file", file, "--annotation", "x=y", rich
    ).ok()
    record = pypod.inspect("c")["Config"]
    assert {"a": "image", "b": "flag", "c": "file", "d": ""}.items() <= record["Labels"].items()
    assert record["Annotations"]["x"] == "y"
    pypod("rm", "-v", "c").ok()


def test_stop_signal(pypod: Pypod, image: str) -> None:
    trap = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.1; done"
    pypod("run", "-d", "--name", "c", "--network", "none", "--stop-signal", "SIGUSR1", image, "sh", "-c", trap).ok()
    pypod.wait_log("c", "ready")
    pypod("stop", "c").ok()
    assert pypod.inspect("c")["State"]["ExitCode"] == 3
    assert "got it" in pypod("logs", "c").ok().out


def test_timeout_ends_the_container(pypod: Pypod, image: str) -> None:
    done = pypod(*FAST, "--timeout", "1", image, "sleep", "30", timeout=20)
    assert done.code != 0


# Mounts.


def test_bind_mount(inside: Inside, shared_dir: Path) -> None:
    (shared_dir / "file").write_text("hello")
    assert inside("cat /m/file; echo more > /m/new", "-v", f"{shared_dir}:/m:Z") == "hello"
    assert (shared_dir / "new").read_text() == "more\n"
    assert "Read-only" in inside("touch /m/x 2>&1 || true", "-v", f"{shared_dir}:/m:ro")
    assert inside("cat /m", "-v", f"{shared_dir}/file:/m") == "hello"


def test_mount_options_hold(inside: Inside, shared_dir: Path) -> None:
    program = shared_dir / "program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    assert inside("/m/program", "-v", f"{shared_dir}:/m") == "ran"
    assert "denied" in inside("/m/program 2>&1 || true", "-v", f"{shared_dir}:/m:noexec").lower()
    options = inside("grep ' /m ' /proc/self/mounts", "--mount", f"type=bind,src={shared_dir},dst=/m,ro,nosuid,nodev")
    assert {"ro", "nosuid", "nodev"} <= set(options.split()[3].split(","))


def test_option_u_gives_the_source_away(inside: Inside, shared_dir: Path) -> None:
    inside.pypod.as_user("touch", shared_dir / "file")
    assert inside("stat -c %u:%g /m /m/file", "-v", f"{shared_dir}:/m:U", "-u", "1000:1000") == "1000:1000\n1000:1000"


def test_a_source_that_is_not_there(inside: Inside) -> None:
    assert "no such file or directory" in inside.words("-v", "/nonexistent/dir:/m")


def test_named_volume_is_made_filled_and_kept(inside: Inside, pypod: Pypod) -> None:
    try:
        assert (
            inside("stat -c %u:%g:%a /home/user; touch /home/user/kept", "-v", "vol1:/home/user") == "1000:1000:755"
        )
        assert inside("ls /other", "-v", "vol1:/other") == "kept"
        assert inside("ls /etc2", "-v", "vol2:/etc2") == ""
        assert "passwd" in inside("ls /etc", "-v", "vol3:/etc")
        assert "passwd" not in inside("ls /home", "-v", "vol4:/home:nocopy")
        assert pypod("volume", "ls", "-q").ok().lines == ["vol1", "vol2", "vol3", "vol4"]
    finally:
        pypod("volume", "rm", "-a", "-f").ok()


def test_a_hostile_link_does_not_fill_a_volume(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """Where the volume goes the image has a link to the host's files: they are not copied."""
    outside = shared_dir / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    pypod("create", "--name", "c", "--network", "none", image, "ln", "-s", str(outside), "/link").ok()
    try:
        pypod("start", "-a", "c").ok()
        assert pypod(*FAST, "-v", f"{shared_dir}:/m", image, "ls", "/m/outside").ok().out == "secret\n"
        out = pypod(*FAST, "-v", "v:/proc/self/root/mnt", image, "ls", "/mnt")
        assert "secret" not in out.out
    finally:
        pypod("rm", "-f", "c").ok()
        pypod("volume", "rm", "-a", "-f").ok()


def test_anonymous_volumes_go_with_rm(inside: Inside, pypod: Pypod, rich: str) -> None:
    inside("touch /data/x", "-v", "/data")
    pypod(*FAST, rich, "touch x").ok()
    assert pypod("volume", "ls", "-q").ok().lines == []
    pypod("create", "--name", "c", "-v", "/data", rich).ok()
    assert len(pypod("volume", "ls", "-q").ok().lines) == 2
    pypod("rm", "-v", "c").ok()
    assert pypod("volume", "ls", "-q").ok().lines == []


def test_image_volume_modes(pypod: Pypod, rich: str) -> None:
    out = pypod(*FAST, "--image-volume", "tmpfs", rich, "grep ' /home/user ' /proc/mounts").ok().out
    assert out.startswith("tmpfs")
    done = pypod(*FAST, "--image-volume", "ignore", rich, "grep ' /home/user ' /proc/mounts")
    assert done.code == 1 and done.out == ""


def test_volumes_from(inside: Inside, pypod: Pypod, image: str, shared_dir: Path) -> None:
    pypod("create", "--name", "c", "-v", "/data", "-v", f"{shared_dir}:/m", image, "true").ok()
    assert inside("touch /data/x /m/y; ls /data", "--volumes-from", "c") == "x"
    assert inside("ls /data; touch /m/z 2>&1 || true", "--volumes-from", "c:ro").startswith("x\n")
    assert sorted(os.listdir(shared_dir)) == ["y"]
    pypod("rm", "-v", "c").ok()


def test_tmpfs(inside: Inside) -> None:
    out = inside("grep ' /t ' /proc/mounts; stat -c %a /t", "--tmpfs", "/t:size=1m,mode=700,noexec").splitlines()
    assert out[0].startswith("tmpfs") and "size=1024k" in out[0] and "noexec" in out[0]
    assert out[1] == "700"
    assert "passwd" in inside("ls /etc", "--tmpfs", "/etc")


def test_mount_types(inside: Inside, shared_dir: Path) -> None:
    assert inside("stat -c %a /t", "--mount", "type=tmpfs,destination=/t,tmpfs-mode=711,tmpfs-size=1m") == "711"
    assert "ptmx" in inside("ls /p", "--mount", "type=devpts,destination=/p")
    assert "passwd" in inside("ls /i/etc", "--mount", f"type=image,source={inside.image},destination=/i")
    for name in ("a1", "a2", "b"):
        (shared_dir / name).touch()
    assert inside("ls /g", "--mount", f"type=glob,src={shared_dir}/a*,dst=/g") == "a1\na2"
    assert "invalid filesystem type" in inside.words("--mount", "type=nosuch,dst=/x")
    assert "duplicate mount destination" in inside.words("--tmpfs", "/x", "--tmpfs", "/x")


def test_user_mounts_hide_our_own(inside: Inside, shared_dir: Path) -> None:
    (shared_dir / "hosts").write_text("1.2.3.4 mine\n")
    assert inside("cat /etc/hosts", "-v", f"{shared_dir}/hosts:/etc/hosts:ro") == "1.2.3.4 mine"
    assert inside("ls /dev/shm", "-v", f"{shared_dir}:/dev/shm") == "hosts"


def test_read_only(inside: Inside) -> None:
    out = inside("touch /x 2>&1; touch /tmp/y /run/y /var/tmp/y /dev/shm/y && echo written", "--read-only")
    assert "Read-only" in out and out.endswith("written")
    assert "Read-only" in inside("touch /tmp/y 2>&1 || true", "--read-only", "--read-only-tmpfs=false")


def test_shm_size(inside: Inside) -> None:
    assert "size=1024k" in inside("grep /dev/shm /proc/mounts", "--shm-size", "1m")
    assert "invalid size" in inside.words("--shm-size", "x")


def test_device(inside: Inside) -> None:
    assert inside("echo x > /dev/other && echo ok", "--device", "/dev/null:/dev/other") == "ok"
    assert "no such file or directory" in inside.words("--device", "/dev/nosuch")


# Security.


def status(text: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_default_privileges(inside: Inside) -> None:
    found = status(inside("cat /proc/self/status"))
    assert found["CapEff"] == found["CapBnd"] == "00000000800405fb"
    assert found["Seccomp"] == "2"
    assert found["NoNewPrivs"] == "0"


def test_capabilities(inside: Inside) -> None:
    found = status(inside("cat /proc/self/status", "--cap-drop", "all", "--cap-add", "net_raw"))
    assert found["CapEff"] == "0000000000002000"
    found = status(inside("cat /proc/self/status", "--cap-add", "CAP_NET_RAW", "-u", "user"))
    assert found["CapEff"] == found["CapAmb"] == "0000000000002000"
    found = status(inside("cat /proc/self/status", "-u", "user"))
    assert found["CapEff"] == "0000000000000000"
    assert '"CAP_NOSUCH": unknown capability' in inside.words("--cap-add", "nosuch")


def test_security_options(inside: Inside, shared_dir: Path) -> None:
    found = status(
        inside("cat /proc/self/status", "--security-opt", "seccomp=unconfined", "--security-opt", "no-new-privileges")
    )
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("0", "1")
    profile = shared_dir / "profile.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":'
        ' [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}'
    )
    assert "not permitted" in inside("mkdir /x 2>&1 || true", "--security-opt", f"seccomp={profile}")
    profile.write_text("{}")
    assert "seccomp profile" in inside.words("--security-opt", f"seccomp={profile}")
    assert "seccomp profile" in inside.words("--security-opt", "seccomp=/nonexistent.json")
    assert "security-opt" in inside.words("--security-opt", "nosuch=1")


def test_masks(inside: Inside) -> None:
    assert inside("wc -c < /etc/passwd; ls /home", "--security-opt", "mask=/etc/passwd:/home") == "0"
    masked = inside("wc -c < /proc/timer_list")
    assert masked == "0"
    assert "ro" in inside("grep ' /proc/sys ' /proc/mounts").split()[3].split(",")
    assert inside("grep ' /proc/sys ' /proc/mounts || echo none", "--security-opt", "unmask=ALL") == "none"
    assert (
        inside("grep ' /proc/sys ' /proc/mounts || echo none", "--security-opt", "systempaths=unconfined") == "none"
    )


def test_privileged(inside: Inside) -> None:
    found = status(inside("cat /proc/self/status", "--privileged"))
    assert found["Seccomp"] == "0"
    assert int(found["CapEff"], 16).bit_count() > 35
    assert inside("mount -t tmpfs x /mnt && echo mounted; cat /run/.containerenv", "--privileged").startswith(
        "mounted"
    )
    assert int(inside("ls /dev | wc -l", "--privileged")) > int(inside("ls /dev | wc -l"))


def test_proc_options(inside: Inside) -> None:
    assert "hidepid" in inside("grep ' /proc ' /proc/mounts", "--security-opt", "proc-opts=hidepid=2")


# Namespaces.


@pytest.mark.parametrize(("flag", "kind"), [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("network", "net")])
def test_host_namespaces(pypod: Pypod, image: str, flag: str, kind: str) -> None:
    mine = os.readlink(f"/proc/self/ns/{kind}")
    out = pypod("run", "--rm", f"--{flag}", "host", image, "readlink", f"/proc/self/ns/{kind}").ok().out.strip()
    assert out == mine
    out = pypod(*FAST, image, "readlink", f"/proc/self/ns/{kind}").ok().out.strip()
    assert out != mine


def test_namespaces_of_another_container(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "a", "--network", "none", "-h", "first", image, "sleep", "100").ok()
    line = "hostname; for kind in pid ipc uts net; do readlink /proc/self/ns/$kind; done; touch /dev/shm/x; ps"
    flags = [f"--{name}=container:a" for name in ("pid", "ipc", "uts", "network")]
    out = pypod("run", "--rm", *flags, image, "sh", "-c", line).ok().lines
    pid = pypod.pid("a")
    assert out[0] == "first"
    assert out[1:5] == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "ipc", "uts", "net")]
    assert any("sleep 100" in line for line in out)
    assert pypod("exec", "a", "ls", "/dev/shm").ok().out == "x\n"
    pypod("run", "--rm", "--pid", "container:nosuch", image, "true").fails(125, "nosuch")


def test_namespace_by_path(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "a", "--network", "none", "-h", "first", image, "sleep", "100").ok()
    path = f"/proc/{pypod.pid('a')}/ns/uts"
    assert pypod(*FAST, "--uts", f"ns:{path}", image, "hostname").ok().out == "first\n"
    pypod(*FAST, "--uts", "ns:/nonexistent", image, "true").fails(125, "/nonexistent")


def test_sysctl(inside: Inside) -> None:
    assert inside("cat /proc/sys/net/ipv4/ip_forward", "--sysctl", "net.ipv4.ip_forward=1") == "1"
    assert inside("cat /proc/sys/kernel/msgmax", "--sysctl", "kernel.msgmax=9000") == "9000"
    assert "not allowed" in inside.words("--sysctl", "vm.swappiness=1")
    assert "KEY=VALUE" in inside.words("--sysctl", "net.ipv4.ip_forward")


def test_cgroup_namespace(inside: Inside) -> None:
    for line in inside("cat /proc/self/cgroup", "--cgroupns", "private").splitlines():
        assert line.endswith(":/")


def test_systemd_mode(inside: Inside) -> None:
    out = inside(
        "grep -c -E ' (/run|/run/lock|/tmp|/var/log/journal) tmpfs ' /proc/mounts; env", "--systemd", "always"
    )
    assert out.splitlines()[0] == "4"
    assert "container_uuid=" in out


# Resources.


def test_limits(pypod: Pypod, image: str) -> None:
    flags = ("--memory", "64m", "--pids-limit", "50", "--cpus", "0.5", "--cpu-shares", "512")
    if box.cgroup2():
        line = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max"
        expected = ["67108864", "50", "50000 100000"]
    else:
        line = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares"
        expected = ["67108864", "50", "50000", "512"]
    if pypod.rootless and not box.cgroup2():
        done = pypod(*FAST, *flags, image, "true").ok()
        assert "Resource limits are not supported and ignored on cgroups V1 rootless systems" in done.err
        return
    assert pypod(*FAST, *flags, image, "sh", "-c", line).ok().lines == expected


def test_bad_limits(inside: Inside) -> None:
    assert "invalid value for memory: invalid size: 'abc'" in inside.words("--memory", "abc")
    assert "memoryswap" in inside.words("--memory", "64m", "--memory-swap", "1m")
    assert "cpuset-cpus" in inside.words("--cpuset-cpus", "x")
    assert "cpus" in inside.words("--cpus", "1", "--cpu-quota", "1000")


# Network names and ports; the network itself is tested elsewhere.


def test_hosts_and_dns(pypod: Pypod, image: str) -> None:
    flags = (
        "--add-host",
        "other:10.9.8.7",
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "example",
        "--dns-option",
        "ndots:3",
    )
    out = pypod("run", "--rm", *flags, image, "cat", "/etc/hosts", "/etc/resolv.conf").ok().out
    for words in (["10.9.8.7", "other"], ["nameserver", "192.0.2.53"], ["search", "example"]):
        assert any(line.split()[: len(words)] == words for line in out.splitlines()), out
    assert "ndots:3" in out
    pypod("run", "--rm", "--dns", "x", image, "true").fails(125, "x is not an ip address")
    pypod("run", "--rm", "--add-host", "x", image, "true").fails(125, "add-host")


def test_publish(pypod: Pypod, image: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pypod(
        "create", "--name", "c", "-p", f"127.0.0.1:{port}:80", "-p", "90", "--expose", "7", "-P", image, "true"
    ).ok()
    bindings = pypod.inspect("c")["HostConfig"]["PortBindings"]
    assert bindings["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
    assert set(bindings) == {"80/tcp", "90/tcp", "7/tcp"}
    for bad in ("x", "70000:1", "1-2:1", "1.2.3:1:1"):
        pypod("create", "-p", bad, image, "true").fails(125)


@pytest.mark.parametrize(
    "flags",
    [
        ("--secret", "x"),
        ("--pod", "x"),
        ("--restart", "sometimes"),
        ("--restart", "always:3"),
        ("--pid", "nosuch"),
        ("--userns", "nosuch"),
        ("--ip", "x"),
        ("--mac-address", "x"),
        ("--umask", "9"),
        ("--stop-signal", "NOSUCH"),
        ("--log-driver", "nosuch"),
        ("--log-opt", "nosuch=1"),
        ("--health-cmd", "true", "--health-interval", "x"),
        ("--annotation", "x"),
        ("--env-file", "/nonexistent"),
        ("--label-file", "/nonexistent"),
        ("--cgroups", "nosuch"),
        ("-v", "a b:/x"),
        ("--group-add", "keep-groups", "--group-add", "wheel"),
    ],
)
def test_refused(pypod: Pypod, image: str, flags: tuple[str, ...]) -> None:
    pypod("run", "--rm", *flags, image, "true").fails(125)
    assert pypod.names() == []


def test_a_path_inside_a_volume(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """No link that a container leaves in its volume leads the next one out of it."""
    pypod("volume", "create", "parts").ok()
    try:
        make = "cd /v; mkdir a; echo in > a/file; ln -s /etc out; ln -s ../../../../../../../etc up; ln -s a b"
        pypod("run", "--rm", "--network", "none", "-v", "parts:/v", image, "sh", "-c", make).ok()

        def run(sub: str, *words: str, more: str = "") -> Result:
            mount = f"type=volume,source=parts,target=/s,subpath={sub}{more}"
            return pypod("run", "--rm", "--network", "none", "--mount", mount, image, *words)

        assert run("a", "cat", "/s/file").ok().out == "in\n"
        assert run("a/file", "cat", "/s").ok().out == "in\n"
        assert run("b", "ls", "/s").ok().out == "file\n"
        assert run("a", "touch", "/s/x", more=",ro").code == 1
        assert run("new/deep", "sh", "-c", "touch /s/x; stat -c %u /s").ok().out == "0\n"
        # As if the volume were /: there is no /etc in it, so nothing is found there, and nothing of the host's.
        for link in ("out", "up"):
            found = run(link, "ls", "/s")
            assert "passwd" not in found.out and found.code in (0, 125, 126), found
        bind = f"type=bind,source={shared_dir},target=/s,subpath=d"
        (shared_dir / "d").mkdir()
        (shared_dir / "d" / "f").touch()
        (shared_dir / "d").chmod(0o755)
        assert pypod("run", "--rm", "--network", "none", "--mount", bind, image, "ls", "/s").ok().out == "f\n"
        run("../x", "true").fails(125, "must be a path inside the source")
        pypod("create", "--name", "kept", "--mount", "type=volume,src=parts,dst=/s,subpath=a", image, "true").ok()
        assert pypod.inspect("kept")["Mounts"][0]["SubPath"] == "a"
        pypod("rm", "kept").ok()
    finally:
        pypod("volume", "rm", "-f", "parts").ok()
