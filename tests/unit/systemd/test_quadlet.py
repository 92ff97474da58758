"""Quadlet files become units: text in, text out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypod.cli import invocation, table
from pypod.systemd import quadlet_convert, quoting, unit_file
from pypod.systemd.quadlet_model import SECTIONS, Service, Setting, Source
from support import box, systemd_words
from support.awkward import ARGUMENTS

PROGRAM = "/bin/true"  # systemd-analyze looks whether it is there
EVERYTHING = frozenset(table.COMMANDS)


def sources(files: dict[str, str]) -> dict[str, Source]:
    found = {}
    for name, text in files.items():
        unit, complaints = unit_file.parse(text, f"/q/{name}")
        assert not complaints
        found[name] = Source(name, f"/q/{name}", unit)
    return found


def convert(files: dict[str, str], *, user: bool = False) -> tuple[dict[str, Service], list[str]]:
    read = sources(files)
    made = quadlet_convert.convert(read, Setting((PROGRAM,), user, EVERYTHING))
    return made, [str(problem) for source in read.values() for problem in source.problems]


def services(files: dict[str, str], *, user: bool = False) -> dict[str, Service]:
    made, problems = convert(files, user=user)
    assert not problems and set(made) == set(files)
    return made


def parsed(found: list[str]) -> list[str]:
    """The arguments of a pypod command, by pypod's own parser; what it does not know is an error."""
    count = next(count for count in (2, 1) if table.canonical(" ".join(found[:count])))
    name = table.canonical(" ".join(found[:count]))
    assert name
    return invocation.invocation(table.Command(name, name), found[count:], {}, found).args


def get(service: Service, section: str, key: str) -> list[str]:
    unit, complaints = unit_file.parse(service.text, service.name)
    assert not complaints
    return [entry.value for entry in unit.entries(section, key)]


def words(service: Service, key: str = "ExecStart") -> list[str]:
    (value,) = get(service, "Service", key)
    values = {"t": "/run", "N": service.name.removesuffix(".service"), "n": service.name, "i": "%i", "h": "/home"}
    (found,) = systemd_words.exec_words(value, values)
    assert found[0].lstrip(b"-") == PROGRAM.encode()
    return [word.decode("utf-8", "surrogateescape") for word in found[1:]]


def options(found: list[str], flag: str) -> list[str]:
    return [found[place + 1] for place, word in enumerate(found) if word == flag]


def one(kind: str, *lines: str, name: str = "a", more: str = "") -> Service:
    filename = f"{name}.{kind}"
    return services({filename: "\n".join([f"[{SECTIONS[kind]}]", *lines, more, ""])})[filename]


def test_a_container() -> None:
    service = one("container", "Image=img", "Exec=sleep 5", name="web")
    assert service.name == "web.service" and not service.links
    assert words(service) == [
        *("run", "--name", "systemd-web", "--cidfile=/run/web.cid", "--replace", "--rm", "--cgroups", "split"),
        *("--sdnotify=conmon", "-d", "img", "sleep", "5"),
    ]
    assert words(service, "ExecStop") == ["rm", "-v", "-f", "-i", "--cidfile=/run/web.cid"]
    assert get(service, "Service", "ExecStopPost")[0].startswith("-/")
    for key, value in {
        "Type": "notify",
        "NotifyAccess": "all",
        "KillMode": "mixed",
        "Delegate": "yes",
        "SyslogIdentifier": "%N",
        "Environment": "PODMAN_SYSTEMD_UNIT=%n",
        "SuccessExitStatus": "143",
    }.items():
        assert get(service, "Service", key) == [value]
    assert get(service, "Unit", "SourcePath") == ["/q/web.container"]
    assert get(service, "Unit", "After") == ["network-online.target"]
    assert get(service, "X-Container", "Image") == ["img"]


@pytest.mark.parametrize("key", ["Exec", "PodmanArgs"])
@pytest.mark.parametrize("number", range(len(ARGUMENTS)))
def test_awkward_words_arrive(number: int, key: str) -> None:
    arguments = ARGUMENTS[number]
    found = words(one("container", "Image=img", f"{key}=" + " ".join(map(quoting.word, arguments))))
    at = found.index("img")
    assert (found[at + 1 :] if key == "Exec" else found[at - len(arguments) : at]) == arguments


VALUES = st.lists(st.sampled_from([*" \t\n;#'\"\\%$-=,é日\x7f", "%n", "${HOME}", "$$", "\\x41"]), max_size=8).map(
    "".join
)


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_values_arrive(first: str, second: str) -> None:
    given = [quoting.word(f"A={first}"), quoting.word(f"B={second}")]
    lines = [f"{key}={' '.join(given)}" for key in ("Environment", "Label", "Annotation")]
    lines += [f"Secret={given[0]}", f"HostName={quoting.word('x' + first)}"]
    found = words(one("container", "Image=img", *lines))
    for flag in ("--env", "--label", "--annotation"):
        assert options(found, flag) == [f"A={first}", f"B={second}"]
    assert options(found, "--secret") == [f"A={first}"]
    assert options(found, "--hostname") == [f"x{first}"]


def test_specifiers_and_variables_are_left_to_systemd() -> None:
    service = one("container", "Image=img", "Environment=A=%h/x", "Exec=echo %n ${VAR} %%")
    (start,) = get(service, "Service", "ExecStart")
    assert "--env A=%h/x" in start and start.endswith("img echo %n ${VAR} %%")


def test_every_key_of_a_table_has_a_flag_of_pypods() -> None:
    command = {
        "container": "run",
        "pod": "pod create",
        "volume": "volume create",
        "network": "network create",
        "kube": "kube play",
        "image": "pull",
        "build": "build",
    }
    for kind, keys in quadlet_convert.TABLES.items():
        if command[kind] not in table.COMMANDS:
            continue
        known = {"--" + name for flag in table.Command(command[kind], "").flags() for name in flag[0].split()}
        for key, (how, flag, _) in keys.items():
            assert how in ("own", "no") or flag in known, f"{key} of .{kind}"


SAMPLES = {"bool": "true", "on": "true", "pairs": "A=b", "path": "./x", "paths": "./x", "value": "7"}


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_key_becomes_its_flag(kind: str) -> None:
    needed = {
        "container": ["Image=img"],
        "image": ["Image=img"],
        "build": ["ImageTag=img", "SetWorkingDirectory=unit"],
        "kube": ["Yaml=a.yaml"],
    }
    for key, (how, flag, prefix) in quadlet_convert.TABLES[kind].items():
        lines = [line for line in needed.get(kind, []) if not line.startswith(key + "=")]
        if how == "no":
            made, problems = convert({f"a.{kind}": "\n".join([f"[{SECTIONS[kind]}]", *lines, f"{key}=x"])})
            assert not made and "is not supported" in problems[0] and flag in problems[0]
        elif how != "own":
            sample = SAMPLES.get(how, "v")
            service = one(kind, *lines, f"{key}={sample}")
            found = words(service, "ExecStart") if kind != "pod" else pod_words(service)
            if how == "bool":
                assert flag in found, key
            else:
                shown = prefix if how == "on" else prefix + sample.replace("./", "/q/")
                assert shown in options(found, flag), key
            if kind != "kube":
                assert parsed(found) in (["img"], ["systemd-a"], ["/q"], []), key


def pod_words(service: Service) -> list[str]:
    (found,) = systemd_words.exec_words(get(service, "Service", "ExecStartPre")[1], {"t": "/run", "N": "a-pod"})
    return [word.decode() for word in found[1:]]


def test_files_that_name_each_other() -> None:
    files = {
        "web.container": (
            "[Unit]\nAfter=db.container x.service\n[Container]\nImage=i.image\nVolume=data.volume:/srv:ro\n"
            "Volume=./conf:/etc/x\nVolume=%h/x:/y\nMount=type=volume,source=data.volume,destination=/d\n"
            "Network=net.network:alias=w\n"
        ),
        "db.container": "[Container]\nImage=b.build\nContainerName=db\nNetwork=web.container\n",
        "data.volume": "[Volume]\nVolumeName=%N-x\n",
        "net.network": "[Network]\nServiceName=other\n",
        "i.image": "[Image]\nImage=quay.io/x\nImageTag=localhost/x\n",
        "b.build": "[Build]\nImageTag=localhost/b\nFile=./Containerfile\n",
    }
    found = services(files)
    web = found["web.container"]
    assert options(words(web), "--volume") == ["data-volume-x:/srv:ro", "/q/conf:/etc/x", "/home/x:/y"]
    assert options(words(web), "--mount") == ["type=volume,source=data-volume-x,destination=/d"]
    assert options(words(web), "--network") == ["systemd-net:alias=w"]
    assert words(web)[-1] == "localhost/x"
    assert get(web, "Unit", "Requires") == ["other.service", "data-volume.service", "i-image.service"]
    assert get(web, "Unit", "After") == [
        *("network-online.target", "db.service x.service"),
        *("other.service", "data-volume.service", "i-image.service"),
    ]
    assert words(found["data.volume"])[-1] == "data-volume-x"
    assert found["net.network"].name == "other.service" and words(found["net.network"])[-1] == "systemd-net"
    db = words(found["db.container"])
    assert options(db, "--network") == ["container:systemd-web"] and db[-1] == "localhost/b"
    assert words(found["b.build"]) == ["build", "--tag", "localhost/b", "--file", "/q/Containerfile", "/q"]


def test_a_pod_and_its_containers() -> None:
    found = services(
        {
            "p.pod": "[Pod]\nPublishPort=80:80\n",
            "a.container": "[Container]\nImage=img\nPod=p.pod\n",
            "b.container": "[Container]\nImage=img\nPod=p.pod\nStartWithPod=false\n",
        }
    )
    pod = found["p.pod"]
    assert pod.name == "p-pod.service"
    assert get(pod, "Unit", "Wants") == ["network-online.target", "a.service"]
    assert get(pod, "Unit", "Before") == ["a.service"]
    assert options(pod_words(pod), "--name") == ["systemd-p"]
    for name in "ab":
        member = found[f"{name}.container"]
        assert options(words(member), "--pod-id-file") == ["/run/p-pod.pod-id"]
        assert get(member, "Unit", "BindsTo") == ["p-pod.service"]


def test_templates_in_pods() -> None:
    """A pod wants the services that are there when it is: of a template those of its own instance."""
    found = services(
        {
            "p@.pod": "[Pod]\n",
            "q.pod": "[Pod]\n",
            "a@.container": "[Container]\nImage=img\nPod=p@%i.pod\n",
            "b.container": "[Container]\nImage=img\nPod=p@one.pod\n",
            "c@.container": "[Container]\nImage=img\nPod=q.pod\n",
            "c@one.container": "[Container]\nImage=img\nPod=q.pod\n",
        }
    )
    for pod, member in (("p@.pod", "a@%i.service"), ("q.pod", "c@one.service")):
        assert get(found[pod], "Unit", "Wants")[1:] == get(found[pod], "Unit", "Before") == [member]


def test_file_systems_of_the_host_are_mounted_before() -> None:
    lines = (
        *("Volume=/srv/a b:/x", "Volume=/srv/a b:/y:ro", "Volume=../q/./c:/c", "Volume=/d.volume:/d", "Volume=n:/e"),
        *("Mount=type=bind,src=/f%%,dst=/f", "Mount=type=tmpfs,dst=/g", "Volume=/$$h:/h", "Volume=/${I}:/i"),
    )
    expected = ["/run/containers", "/srv/a b", "/q/c", "/d.volume", "/$h", "/f%"]
    for service in (one("container", "Image=img", *lines), one("pod", *lines[:4], *lines[7:])):
        values = get(service, "Unit", "RequiresMountsFor")
        found = [path for value in values for path in systemd_words.listed_paths(value, {"t": "/run"})]
        assert found == [path for path in expected if path != "/f%" or "Image=img" in service.text]
    kube = one("kube", "Yaml=a.yaml", "SetWorkingDirectory=/a/../b/./c")
    assert get(kube, "Service", "WorkingDirectory") == ["/b/c"]
    volume = one("volume", "Type=bind", "Device=/srv/x/../v", "Options=rbind")
    assert get(volume, "Unit", "RequiresMountsFor") == ["%t/containers", "/srv/v"]


def test_an_images_tag_means_the_same_elsewhere() -> None:
    found = services(
        {
            "i.image": "[Image]\nImage=quay.io/x\nImageTag=localhost/%N\n",
            "j@.image": "[Image]\nImage=quay.io/%i\n",
            "b.build": "[Build]\nImageTag=localhost/%p\nFile=./f\n",
            "i.container": "[Container]\nImage=i.image\n",
            "j.container": "[Container]\nImage=j@y.image\n",
            "b.container": "[Container]\nImage=b.build\n",
        }
    )
    images = [words(found[f"{name}.container"])[-1] for name in "ijb"]
    assert images == ["localhost/i-image", "quay.io/y", "localhost/b-build"]


def test_templates() -> None:
    found = services(
        {
            "w@.container": (
                "[Container]\nImage=img\nVolume=d@%i.volume:/d\n[Install]\nDefaultInstance=one\n"
                "WantedBy=multi-user.target\n"
            ),
            "w@two.container": "[Container]\nImage=img\nVolume=d@two.volume:/d\n[Install]\nRequiredBy=%i.target\n",
            "d@.volume": "[Volume]\n",
        }
    )
    template, instance = found["w@.container"], found["w@two.container"]
    assert template.name == "w@.service" and instance.name == "w@two.service"
    assert template.links == {"multi-user.target.wants/w@one.service": "../w@.service"}
    assert instance.links == {"two.target.requires/w@two.service": "../w@two.service"}
    assert "--name systemd-w_%i" in template.text and "--name systemd-w_two" in instance.text
    assert get(template, "Unit", "Requires") == ["d-volume@%i.service"]
    assert get(instance, "Unit", "Requires") == ["d-volume@two.service"]
    assert found["d@.volume"].name == "d-volume@.service"
    assert "--volume systemd-d_%i:/d" in template.text and "--volume systemd-d_two:/d" in instance.text


def test_install() -> None:
    service = one(
        "container",
        "Image=img",
        more="[Install]\nAlias=b.service c.service\nWantedBy=a.target x.service\nRequiredBy=r.target\n"
        "UpheldBy=u.target",
    )
    assert service.links == {
        "b.service": "a.service",
        "c.service": "a.service",
        "a.target.wants/a.service": "../a.service",
        "x.service.wants/a.service": "../a.service",
        "r.target.requires/a.service": "../a.service",
        "u.target.upholds/a.service": "../a.service",
    }


NAMES = ("b.service", "b.target", "b@.service", "b@i.service", "b@j.service")


@pytest.mark.parametrize("name", ["a", "a@", "a@i"])
def test_an_alias_is_one_that_systemd_takes(name: str) -> None:
    for alias in NAMES:
        file = f"{name}.container"
        made, problems = convert({file: f"[Container]\nImage=img\n[Install]\nAlias={alias}\n"})
        if systemd_words.can_alias(alias, name + ".service"):
            assert not problems and made[file].links == {alias: name + ".service"}
        else:
            assert not made and f":4: Alias= {alias} cannot be another name of {name}.service" in problems[0]


def test_an_alias_takes_no_units_place() -> None:
    alias = "[Container]\nImage=img\n[Install]\nAlias="
    made, problems = convert(
        {
            "a.container": alias + "a.service x.service\n",
            "b.container": alias + "a.service c.service x.service\n",
            "c.container": "[Container]\nImage=img\n",
        }
    )
    assert [service.links for service in made.values()] == [{"x.service": "a.service"}, {}, {}]
    assert problems == [
        "/q/a.container:4: Alias= a.service is the service itself",
        "/q/b.container:4: Alias= a.service is left out: /q/a.container has that name",
        "/q/b.container:4: Alias= c.service is left out: /q/c.container has that name",
        "/q/b.container:4: Alias= x.service is left out: /q/a.container has that name",
    ]


@pytest.mark.parametrize("name", ["../x.target", "x", "%H.target", "a/b.target", "%", "é.target", "a+b.target"])
def test_links_lead_nowhere_else(name: str) -> None:
    made, problems = convert({"a.container": f"[Container]\nImage=img\n[Install]\nWantedBy={name}\nAlias={name}\n"})
    assert not made and len(problems) == 2


def test_notify_and_oneshot() -> None:
    for value, meant in (("true", "container"), ("healthy", "healthy"), ("no", "conmon")):
        assert f"--sdnotify={meant}" in words(one("container", "Image=img", f"Notify={value}"))
    job = one("container", "Image=img", more="[Service]\nType=oneshot\nRemainAfterExit=yes")
    assert "-d" not in words(job) and not any(word.startswith("--sdnotify") for word in words(job))
    assert get(job, "Service", "Type") == ["oneshot"] and not get(job, "Service", "NotifyAccess")


def test_the_administrators_settings_stand() -> None:
    service = one(
        "container",
        "Image=img",
        "ReloadSignal=HUP",
        "StopSignal=KILL",
        "GlobalArgs=--log-level debug",
        "ContainersConfModule=/m.conf",
        more="[Service]\nKillMode=control-group\nEnvironment=X=y\nRestart=always\n[Quadlet]\nDefaultDependencies=no",
    )
    assert get(service, "Service", "KillMode") == ["control-group"]
    assert get(service, "Service", "Environment") == ["X=y", "PODMAN_SYSTEMD_UNIT=%n"]
    assert words(service)[:5] == ["--module", "/m.conf", "--log-level", "debug", "run"]
    assert words(service, "ExecReload")[4:] == ["kill", "--cidfile=/run/a.cid", "--signal", "HUP"]
    assert not get(service, "Unit", "After") and not get(service, "Service", "SuccessExitStatus")


def test_what_is_reset_is_ours_again() -> None:
    service = one("container", "Image=img", more="[Service]\nType=oneshot\nKillMode=none\nType=\nKillMode=")
    assert get(service, "Service", "Type") == ["notify"] and get(service, "Service", "KillMode") == ["mixed"]


def test_devices_that_need_not_be_there() -> None:
    read = sources(
        {"a.container": "[Container]\nImage=x\nAddDevice=-/dev/one:/dev/x -/dev/two\nAddDevice=/dev/three:r\n"}
    )
    setting = Setting((PROGRAM,), False, EVERYTHING, lambda path: path == "/dev/one")
    made = quadlet_convert.convert(read, setting)["a.container"]
    assert options(words(made), "--device") == ["/dev/one:/dev/x", "/dev/three:r"]


def test_units_of_a_user_do_not_wait_for_a_target_that_is_not_there() -> None:
    files = {"a.container": "[Container]\nImage=img\n"}
    assert "network-online" not in services(files, user=True)["a.container"].text


def test_volumes_and_networks() -> None:
    volume = one("volume", "Device=tmpfs", "Type=tmpfs", "Options=size=1m", "User=7", "Group=8", "Label=a=b")
    assert words(volume) == [
        *("volume", "create", "--ignore", "--label", "a=b", "--opt", "device=tmpfs", "--opt", "type=tmpfs"),
        *("--opt", "o=uid=7,gid=8,size=1m", "systemd-a"),
    ]
    network = one("network", "Subnet=10.1.0.0/24", "Gateway=10.1.0.1", "Internal=yes", "NetworkDeleteOnStop=true")
    assert words(network) == [
        *("network", "create", "--ignore", "--internal", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.1"),
        "systemd-a",
    ]
    assert words(network, "ExecStopPost") == ["network", "rm", "systemd-a"]
    assert get(network, "Service", "Type") == ["oneshot"] and get(network, "Service", "RemainAfterExit") == ["yes"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.container",
            "[Container]\nImage=i\n\nImgae=x\n",
            "/q/a.container:4: Imgae= is no key of [Container] (did",
        ),
        (
            "a.container",
            "[Container]\nImage=i\nRestart=no\n",
            ":3: Restart= is no key of [Container] (it is one of [S",
        ),
        ("a.pod", "[Pod]\nWantedBy=a.target\n", ":2: WantedBy= is no key of [Pod] (it is one of [Install])"),
        ("a.container", "[Container]\nExec=x\n", "/q/a.container: [Container] has neither Image= nor Rootfs="),
        ("a.container", "[Contianer]\nImage=x\n", "there is no section [Container]"),
        ("a.container", "[Container]\nImage=x\nRootfs=/r\n", ":3: Rootfs= and Image= cannot both be given"),
        ("a.container", "[Container]\nImage=x\nVolume=b.volume:/b\n", ":3: Volume= names b.volume"),
        ("a.container", "[Container]\nImage=x\nExec=a 'b\n", ":3: Exec= cannot be split into words"),
        ("a.container", "[Container]\nImage=x\nReadOnly=maybe\n", ":3: ReadOnly= is neither true nor false: 'maybe'"),
        ("a.container", "[Container]\nImage=x\nGroup=1\n", ":3: Group= needs User="),
        ("a.container", "[Container]\nImage=x\nPod=p\n", ":3: Pod= must name a .pod file"),
        ("a.container", "[Container]\nImage=x\n[Service]\nType=forking\n", ":4: Type= forking cannot be"),
        ("a.container", "[Container]\nImage=x\n[Service]\nKillMode=none\n", ":4: KillMode= none cannot be"),
        ("a.container", "[Container]\nImage=x\n[Service]\nExecStart=x\n", ":4: ExecStart= cannot be"),
        ("a.container", "[Container]\nImage=x\nServiceName=a/b\n", ":3: ServiceName= 'a/b' cannot be"),
        ("a+b.container", "[Container]\nImage=x\n", "/q/a+b.container: 'a+b' cannot be the name of a unit"),
        ("a.container", "[Container]\nImage=x\nServiceName=50%\n", ":3: ServiceName= '50%' cannot be"),
        ("é@.container", "[Container]\nImage=x\n", "'é@' cannot be the name of a unit"),
        ("a.container", "[Container]\nImage=x\n[Unit]\nAfter=n.network\n", ":4: After= names n.network"),
        ("a.kube", "[Kube]\nYaml=x\nSetWorkingDirectory=/a\x07\n", "systemd cannot read this path: '/a\\x07'"),
        ("a.volume", "[Volume]\nType=ext4\n", ":2: Type= needs Device="),
        ("a.volume", "[Volume]\nUser=me\n", ":2: User= must be a number: 'me'"),
        ("a.network", "[Network]\nGateway=10.0.0.1\n", ":2: Gateway= needs a Subnet="),
        ("a.image", "[Image]\nArch=x\n", "[Image] has no Image="),
        ("a.build", "[Build]\nFile=x\n", "[Build] has no ImageTag="),
        ("a.build", "[Build]\nImageTag=x\n", "neither File= nor SetWorkingDirectory="),
        ("a.kube", "[Kube]\nUserNS=x\n", "[Kube] has no Yaml="),
        ("a.container", "[Container]\nImage=x\nVolatileTmp=yes\n", ":3: VolatileTmp= is not supported (Tmpfs=/tmp)"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(name: str, text: str, message: str) -> None:
    made, problems = convert({name: text, "good.container": "[Container]\nImage=x\n"})
    assert list(made) == ["good.container"]
    assert any(message in problem for problem in problems), problems


def test_what_does_nothing_is_told() -> None:
    made, problems = convert({"a.container": "[Container]\nImage=x\n[Servcie]\nRestart=always\n"})
    assert list(made) == ["a.container"]
    assert problems == ["/q/a.container:3: a .container file has no section [Servcie] (did you mean Service?)"]


def test_two_files_for_one_service() -> None:
    made, problems = convert({"a.container": "[Container]\nImage=x\n", "a.kube": "[Kube]\nYaml=a.yaml\n"})
    assert list(made) == ["a.container"] and "a.service is what /q/a.container becomes" in problems[0]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("File=./sub/f", (["/q/sub/f"], "/q/sub", "/q/sub")),
        ("File=/x/f", (["/x/f"], "/x", "/x")),
        ("File=./sub/f\nSetWorkingDirectory=unit", (["/q/sub/f"], "/q", "/q")),
        ("File=/x/f\nSetWorkingDirectory=file", (["/x/f"], "/x", "/x")),
        ("SetWorkingDirectory=unit", ([], "/q", "/q")),
        ("SetWorkingDirectory=./ctx", ([], "/q/ctx", "/q/ctx")),
        ("File=f\nSetWorkingDirectory=/a b", (["f"], "/a b", "/a b")),
        ("SetWorkingDirectory=%h/x", ([], "%h/x", "")),
        ("SetWorkingDirectory=https://e.org/x.git", ([], "https://e.org/x.git", "")),
        ("File=https://e.org/f", ([], "https://e.org/f", "")),
        ("File=https://e.org/f\nSetWorkingDirectory=/a", (["https://e.org/f"], "/a", "/a")),
        ("[Service]\nWorkingDirectory=/w", ([], "/w", "/w")),
        ("File=f\n[Service]\nWorkingDirectory=-/w", (["f"], "/w", "-/w")),
        ("[Service]\nWorkingDirectory=~", ([], "%h", "~")),
    ],
)
def test_what_is_built_and_where(lines: str, expected: tuple[list[str], str, str]) -> None:
    files, context, directory = expected
    service = services({"a.build": f"[Build]\nImageTag=x\n{lines}\n"})["a.build"]
    (start,) = get(service, "Service", "ExecStart")
    (argv,) = systemd_words.exec_words(start, {"h": "%h"})
    found = [word.decode() for word in argv]
    assert options(found, "--file") == files
    assert found[-1] == context
    assert get(service, "Service", "WorkingDirectory") == ([directory] if directory else [])
    assert (service.name, get(service, "Service", "Type")) == ("a-build.service", ["oneshot"])
    assert get(service, "Service", "RemainAfterExit") == ["yes"]


def test_an_image_that_a_file_builds() -> None:
    found = services(
        {
            "w.container": "[Container]\nImage=x.build\nMount=type=image,source=x.build,destination=/x\n",
            "v.volume": "[Volume]\nDriver=image\nImage=x.build\n",
            "x.build": (
                "[Build]\nImageTag=localhost/x:1\nImageTag=quay.io/x\nSetWorkingDirectory=unit\n"
                "Pull=never\nNetwork=host\nVolume=./v:/v\nVolume=d.volume:/d\nPodmanArgs=--squash 'a b'\n"
            ),
            "d.volume": "[Volume]\n",
        }
    )
    assert words(found["w.container"])[-1] == "localhost/x:1"
    assert "source=localhost/x:1" in options(words(found["w.container"]), "--mount")[0]
    assert get(found["w.container"], "Unit", "Requires") == ["x-build.service"]
    assert get(found["w.container"], "Unit", "After")[-1] == "x-build.service"
    built = words(found["x.build"])
    assert options(built, "--tag") == ["localhost/x:1", "quay.io/x"]
    assert options(built, "--network") == ["host"]
    assert options(built, "--volume") == ["/q/v:/v", "systemd-d:/d"]
    assert built[-4:] == ["--pull=never", "--squash", "a b", "/q"]
    with_pull = services({"a.build": "[Build]\nImageTag=x\nPull=newer\nSetWorkingDirectory=unit\n"})["a.build"]
    assert parsed(words(with_pull)) == ["/q"]
    assert get(found["x.build"], "Unit", "Requires") == ["d-volume.service"]


def test_a_kind_that_pypod_cannot_run_yet() -> None:
    read = sources({"a.build": "[Build]\nImageTag=x\nFile=./f\n"})
    assert not quadlet_convert.convert(read, Setting((PROGRAM,), False, frozenset()))
    assert "does not have" in read["a.build"].problems[0].text


def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    files = {
        "w.container": (
            "[Unit]\nDescription=a\n[Container]\nImage=i.image\nVolume=d.volume:/d\nNetwork=n.network\nPod=p.pod\n"
            "Environment=\"A=b 'c'\"\nReloadCmd=x y\nExec=sh -c 'echo \"$$HOME\" %% \\x01 é'\n[Service]\n"
            "Restart=always\n[Install]\nWantedBy=multi-user.target\n"
        ),
        "j.container": "[Container]\nImage=b.build\n[Service]\nType=oneshot\n",
        "t@.container": "[Container]\nImage=x\n",
        "p.pod": "[Pod]\n",
        "d.volume": "[Volume]\n",
        "n.network": "[Network]\nNetworkDeleteOnStop=true\n",
        "i.image": "[Image]\nImage=quay.io/x\n",
        "b.build": "[Build]\nImageTag=x\nSetWorkingDirectory=unit\n",
        "k.kube": "[Kube]\nYaml=./a.yaml\nSetWorkingDirectory=unit\n",
    }
    for number, arguments in enumerate(ARGUMENTS):
        exec = " ".join(map(quoting.word, arguments))
        files[f"awk{number}.container"] = f"[Container]\nImage=x\nExec={exec}\n"
    paths = []
    for service in services(files).values():
        # Templates are verified as an instance of theirs.
        paths.append(tmp_path / service.name.replace("@.", "@one."))
        paths[-1].write_text(service.text)
    analyze = box.need("systemd-analyze", "systemd")
    done = subprocess.run([analyze, "--system", "verify", "--man=no", *paths], capture_output=True, text=True)
    assert not done.returncode and not done.stderr, done.stderr
