"""Pods, Kubernetes YAML, images, templates and drop-ins under a real systemd, by way of `quadlet install`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.runner import Result
from support.unit_scripts import ENDS, HELPERS, facts
from support.vm import Machine

PLACE = "/var/tmp/kinds"
PATIENCE = 500.0  # seconds: two dozen pypod commands of ours, and more of systemd's
# ImageTag= of an archive is the name that the image has in there.
FILES = {
    "x.pod": "[Pod]\nPodName=x\nNetwork=none\n",
    "x-one.container": f"""[Container]
Image=localhost/bb:1
ContainerName=x-one
Pod=x.pod
Environment=WHO=file WHERE=file
Exec=sh -c '{ENDS}'
[Service]
Restart=always
RestartSec=0
""",
    "x-two.container": f"""[Container]
Image=localhost/bb:1
ContainerName=x-two
Pod=x.pod
Exec=sh -c '{ENDS}'
""",
    "saved.image": f"[Image]\nImage=oci-archive:{PLACE}/saved.tar\nImageTag=localhost/kinds:saved\n",
    "t@.container": """[Container]
Image=saved.image
Environment=WHO=%i
Exec=sh -c 'trap exit TERM; while :; do sleep 0.1; done'
""",
    "k.kube": "[Kube]\nYaml=k.yml\nNetwork=none\n",
    "k.yml": f"""apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: kdata}}
---
apiVersion: v1
kind: Pod
metadata: {{name: k}}
spec:
  containers:
  - name: a
    image: localhost/bb:1
    command: [sh, -c, 'echo written >/d/f; {ENDS}']
    volumeMounts: [{{name: v, mountPath: /d}}]
  - name: b
    image: localhost/bb:1
    command: [sh, -c, '{ENDS}']
    volumeMounts: [{{name: v, mountPath: /d}}]
  volumes: [{{name: v, persistentVolumeClaim: {{claimName: kdata}}}}]
""",
}
DROP_INS = {
    "x-one.container.d/10.conf": "[Container]\nEnvironment=WHERE=drop-in\n",
    "t@.container.d/10.conf": "[Container]\nStopTimeout=9\n",
}
PRELUDE = f"""{HELPERS}
set -u
if [ "$(id -u)" = 0 ]; then
    ctl="systemctl" units=/etc/containers/systemd
else
    ctl="systemctl --user" units=$HOME/.config/containers/systemd
fi
show() {{ $ctl show -P $2 $1; }}                                    # show SERVICE PROPERTY
look() {{ pypod inspect $infra x-one x-two systemd-t_a k-a k-b \
    --format '{{{{.Name}}}} {{{{.State.Pid}}}} {{{{.State.ConmonPid}}}}' | sed s/.*-infra/infra/ >$seen; }}
pid() {{ awk -v name=$1 '$1 == name {{print $2}}' $seen; }}           # pid CONTAINER, when it was looked at
monitor() {{ awk -v name=$1 '$1 == name {{print $3}}' $seen; }}
field() {{ pypod inspect $1 --format "{{{{.State.$2}}}}"; }}            # field CONTAINER FIELD
active() {{ $ctl is-active "$@" | paste -sd ' '; }}
mains() {{ fact main_$1 "$(show $1 MainPID) $(monitor ${{2:-$1}})"; }}
spaces() {{ for kind in net ipc uts; do readlink /proc/$(pid $1)/ns/$kind; done | paste -sd ' '; }}
again() {{ now=$(field $1 Pid) && [ "$now" != 0 ] && [ "$now" != $(pid $1) ]; }}     # again CONTAINER
restarted() {{ [ "$(show $1 NRestarts)" = 1 ] && $ctl is-active -q $1; }}
gone() {{ ! $ctl is-active -q "$@"; }}
"""


@pytest.fixture(scope="module")
def sources(vm_session: Machine, generators: Machine) -> Machine:
    """The files, and an image in an archive."""
    for name, text in FILES.items():
        vm_session.put(text.encode(), f"{PLACE}/{name}")
    vm_session.root(
        f"""set -e
        pypod tag localhost/bb:1 localhost/kinds:saved
        pypod save -q --format oci-archive -o {PLACE}/saved.tar localhost/kinds:saved
        pypod untag localhost/bb:1 localhost/kinds:saved
        """
    ).ok()
    return vm_session


def drop_ins() -> str:
    """The script that writes them: only files are installed."""
    lines = [
        f"mkdir -p $units/{name.rpartition('/')[0]}; printf '{text}' >$units/{name}"
        for name, text in DROP_INS.items()
    ]
    return "\n".join(lines)


def test_kinds_of_files(sources: Machine, run: Callable[..., Result]) -> None:
    script = f"""{PRELUDE}
{drop_ins()}
cd {PLACE}
pypod quadlet install x.pod x-one.container x-two.container saved.image t@.container k.kube k.yml >&2
$ctl start x-pod t@a k >&2
until_true $ctl is-active -q x-one; until_true $ctl is-active -q x-two
fact active "$(active x-pod x-one x-two k t@a saved-image)"
infra=$(pypod pod inspect x --format '{{{{.InfraContainerID}}}}')
seen=$(mktemp); look
mains x-one; mains x-two; mains t@a systemd-t_a; mains x-pod infra
fact infra "$(spaces infra)"; fact one "$(spaces x-one)"; fact two "$(spaces x-two)"
fact env "$(pypod inspect x-one systemd-t_a --format '{{{{.Config.Env}}}}' | grep -o 'WH[^] ]*' | paste -sd ' ')"
fact stop "$(pypod inspect systemd-t_a --format '{{{{.Config.StopTimeout}}}} {{{{.ImageName}}}}')"
fact status "$($ctl status --no-pager k | grep -o 'Active: active (running)')"
fact kube "$([ "$(spaces k-a)" = "$(spaces k-b)" ] && pypod exec k-b cat /d/f)"
fact listed "$(pypod quadlet list --format '{{{{.UnitName}}}} {{{{.Status}}}}' | sort | paste -sd ,)"
pypod quadlet print x.pod | cmp - x.pod && fact printed same
pypod quadlet rm x.pod 2>&1 | sed -n 's/^Error: /refused /p'

kill -9 $(pid x-one) $(pid k-a)
until_true restarted x-one; until_true again k-a
fact again "$(active x-pod x-one x-two k) $(show x-one NRestarts) $(show x-pod NRestarts)"
fact mainagain "$(show x-one MainPID) $(field x-one ConmonPid)"

$ctl stop x-pod t@a k >&2
until_true gone x-one x-two
fact ends "$(show x-one ExecMainStatus) $(show x-two ExecMainStatus)"
fact results "$(for one in x-pod k t@a; do show $one Result; done | paste -sd ' ')"
fact left "$(pypod ps -aq | wc -l) $(pypod pod ps -q | wc -l) $(pypod volume ls -q | paste -sd ' ')"
pypod quadlet rm --force x.pod x-one.container x-two.container saved.image t@.container k.kube >&2
fact files "$(find $units -type f | sed "s|$units/||" | sort | paste -sd ' ')"
fact gone "$(show x-pod LoadState) $(show k LoadState)"
pypod volume rm kdata >&2; pypod untag localhost/bb:1 localhost/kinds:saved >&2
rm -r $units/*.d $seen
"""
    found = facts(run(script, timeout=PATIENCE))
    assert found["active"] == " ".join(["active"] * 6)
    for key in (key for key in found if key.startswith("main")):
        one, other = found[key].split()
        assert one == other != "0", found
    assert found["infra"] == found["one"] == found["two"]
    assert found["env"] == "WHO=file WHERE=drop-in WHO=a" and found["stop"] == "9 localhost/kinds:saved"
    assert found["status"] == "Active: active (running)" and found["kube"] == "written"
    assert found["listed"].split(",") == [
        "k.service active/running",
        "saved-image.service active/exited",
        "t@.service Not loaded",
        "x-one.service active/running",
        "x-pod.service active/running",
        "x-two.service active/running",
    ]
    assert found["printed"] == "same" and "x.pod is running" in found["refused"]
    assert found["again"] == "active active active active 1 0"
    assert found["ends"] == "7 7" and found["results"] == "success success success"
    assert found["left"] == "0 0 kdata"
    assert found["files"] == " ".join(sorted(DROP_INS)) and found["gone"] == "not-found not-found"
