"""The command lines of test_parity.py, in the order in which both tools run them, each with how they are compared.

``out``   exit code, stdout, and the first words of an error
``json``  exit code, and the keys and types of the JSON on stdout
``code``  exit code, and the first words of an error
``lines`` as out, but the order of the lines is nobody's promise

``@`` is a directory of the tool's own, ``{n}`` is --network none, ``I`` the image. The text after ``<<<`` is stdin.
"""

from __future__ import annotations

COMPARED = """
out   run --rm {n} I echo hello
out   run --rm {n} I sh -c "echo out; echo err >&2; exit 3"
code  run --rm {n} I nothing-there
code  run --rm {n} I /etc
out   run --rm {n} I sh -c "kill -9 $$"
out   run --rm {n} -e A=1 -e B I sh -c "echo $A.$B.$container"
out   run --rm {n} --env-file @/env I sh -c "echo $FROM_FILE"
lines run --rm {n} --unsetenv PATH -e X=y I /bin/env
out   run --rm {n} -w /usr I pwd
out   run --rm {n} -w /not/there I pwd
out   run --rm {n} -u 1000:10 I id
out   run --rm {n} -u user I sh -c "id -un; echo $HOME"
out   run --rm {n} -u nosuch I id
out   run --rm {n} --entrypoint /bin/echo I a b
out   run --rm {n} --entrypoint "[\\"/bin/echo\\",\\"x\\"]" I a b
out   run --rm {n} --hostname other I hostname
out   run --rm {n} --read-only I touch /x
out   run --rm {n} -v @:/m:ro I cat /m/env
out   run --rm {n} -v /not/there/at/all:/m I true
out   run --rm {n} --mount type=bind,src=@,dst=/m,ro=true I ls /m
out   run --rm {n} --mount type=nonsense,dst=/m I true
out   run --rm {n} --cap-drop all I grep CapEff /proc/self/status
out   run --rm {n} --cap-add sys_admin I grep CapEff /proc/self/status
out   run --rm {n} --cap-add nonsense I true
out   run --rm {n} --security-opt no-new-privileges I grep NoNewPrivs /proc/self/status
out   run --rm {n} --security-opt nonsense=1 I true
out   run --rm {n} --ulimit nofile=64:64 I sh -c "ulimit -n"
out   run --rm {n} --ulimit nonsense I true
out   run --rm {n} --shm-size 1m I sh -c "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2"
out   run --rm {n} --userns keep-id I id -u
out   run --rm {n} --uidmap 0:1:2000 I cat /proc/self/uid_map
code  run --rm {n} --uidmap 0:1:100 I true
out   run --rm {n} --rm=false --name leftover I true
out   run --rm {n} --timeout 1 I sleep 20
out   run --rm {n} -i I cat <<< some text
out   run --rm -a stdout {n} I sh -c "echo out; echo err >&2"
out   run --rm {n} --cidfile @/cid I true
out   run --rm {n} --cidfile @/cid I true
out   run --rm {n} --restart always I true
out   create {n} --restart nonsense I true
out   run --rm --network nonsense I true
out   run --rm {n} --log-driver nonsense I true
out   run --rm {n} --pull never localhost/none:1 true
out   run --rm {n} --pull sometimes I true
out   run --rm {n} --nonsense I true
out   run --rm {n} --name "bad name" I true
out   run --rm {n} -p 80 I true
out   run --rm {n} -p nonsense I true
out   run --rm {n} -e =x I true
out   run --rm {n} -v nonsense I true
out   run --rm {n} --env-file /not/there I true
out   run
out   run {n}
out   run {n} -d --name sleeper -l k=v -e A=1 -v vol1:/vol I sleep 1000
out   run {n} --name sleeper I true
out   run {n} --name ended I sh -c "echo one; echo two >&2; echo > /new; exit 4"
out   create {n} --name made -l k=w -t -i --expose 99/udp I sh
out   create {n} --name made I true
out   create {n} --name replaced I true
out   create {n} --name replaced --replace I true
out   create localhost/none:1
out   ps
out   ps -a --format "{{.Names}} {{.State}} {{.Image}}"
out   ps -a --format "{{.Names}}|{{.Command}}|{{.Status}}|{{.Ports}}"
out   ps -a --format "table {{.Names}} {{.Status}}"
out   ps -a --format "{{.ID}} {{.ImageID}} {{.Pod}} {{.IsInfra}} {{.Exited}} {{.ExitCode}}"
out   ps -a --format "{{.Names}} {{.RunningFor}} {{.CreatedHuman}} {{.Mounts}} {{.Networks}}"
out   ps -a --format "{{.Label \\"k\\"}}{{range .Labels}}{{.}}{{end}}"
json  ps -a --format json
json  ps -a --size --format json
json  ps --ns --format json
json  container ls --format "{{json .}}"
out   ps -aq
out   ps -aq --no-trunc
out   ps --noheading
out   ps -a --filter name=ended --format "{{.Names}}"
out   ps -a --filter label=k=v --format "{{.Names}}"
out   ps -a --filter label=k --format "{{.Names}}"
out   ps -a --filter status=exited --format "{{.Names}}"
out   ps -a --filter exited=4 --format "{{.Names}}"
out   ps -a --filter ancestor=localhost/bb:1 --sort names --format "{{.Names}}"
out   ps -a --filter before=ended --format "{{.Names}}"
out   ps -a --filter since=ended --format "{{.Names}}"
out   ps -a --filter volume=vol1 --format "{{.Names}}"
out   ps -a --filter network=none --sort names --format "{{.Names}}"
out   ps -a --filter nonsense=1
out   ps -a --filter status=nonsense
out   ps -a --sort nonsense
out   ps -a --format "{{.Nonsense}}"
out   ps -a --format "{{.Names"
out   ps -n 1 --format "{{.Names}}"
out   ps -l --format "{{.Names}}"
out   ps --last 2 -q --latest
out   ps nonsense
json  inspect sleeper
json  inspect ended made
json  container inspect --size sleeper
json  inspect --format json sleeper
out   inspect --format "{{.Name}} {{.State.Status}} {{.State.Running}} {{.State.ExitCode}}" sleeper ended made
out   inspect -f "{{len .Config.Env}} {{.Config.Cmd}} {{.Config.Labels}} {{.Config.Image}}" made
out   inspect -f "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}" sleeper
out   inspect -f "{{json .HostConfig.RestartPolicy}} {{.HostConfig.NetworkMode}}" sleeper
out   inspect -f "{{index .Config.Labels \\"k\\"}}{{len .Mounts}}{{if .State.Running}}yes{{end}}" sleeper
out   inspect -f "{{.Path}} {{.Args}} {{.ImageName}} {{.RestartCount}} {{.Driver}}" sleeper
out   inspect -f "{{.HostConfig.Binds}} {{.HostConfig.Privileged}} {{.HostConfig.IpcMode}}" sleeper
out   inspect -f "{{.HostConfig.ShmSize}}" sleeper
out   inspect -f "{{.Config.StopSignal}} {{.Config.WorkingDir}} {{.Config.User}}|{{.Config.Tty}}" made
out   inspect -f "{{.State.StartedAt}} {{.Created}}" made
out   inspect -f "{{.Nonsense}}" sleeper
out   inspect nobody
out   inspect sleeper nobody -f "{{.Name}}"
out   inspect --type image sleeper
out   inspect --type nonsense sleeper
out   inspect
out   container exists sleeper
out   container exists nobody
out   exec sleeper echo hi
out   exec sleeper sh -c "exit 7"
code  exec sleeper nothing-there
code  exec sleeper /etc
out   exec -e X=1 -w /usr sleeper sh -c "echo $X; pwd"
out   exec -u user sleeper id -un
out   exec -i sleeper cat <<< text
out   exec ended true
out   exec nobody true
out   exec sleeper
out   exec -d sleeper true
out   logs ended
out   logs --tail 1 ended
out   logs -t ended
out   logs --since 1h ended
out   logs --until 1h ended
out   logs nobody
out   logs
out   logs -n ended
out   top sleeper
out   top sleeper pid comm
out   top sleeper nonsense
out   top ended
out   port sleeper
out   port nobody
out   diff ended
json  diff --format json ended
out   diff nobody
out   cp @/env sleeper:/tmp/env
out   exec sleeper cat /tmp/env
out   cp sleeper:/tmp/env @/back
out   cp sleeper:/nothing @/back
out   cp @/nothing sleeper:/tmp
out   cp nobody:/x @/back
out   cp @/env @/back
out   wait ended
out   wait ended nobody
out   wait --condition nonsense ended
out   start sleeper
out   start -a ended
out   start nobody
out   start
out   stop -t 0 ended
out   stop nobody
out   stop --ignore nobody
out   stop
out   kill -s nonsense sleeper
out   kill ended
out   kill nobody
out   pause nobody
out   unpause sleeper
out   rename made renamed
out   rename nobody x
out   rename renamed sleeper
out   restart nobody
out   restart -t 0 sleeper
out   attach ended
out   attach nobody
out   commit -q ended localhost/committed:1
out   commit nobody localhost/x:1
code  export -o @/export.tar ended
out   export nobody
code  import @/export.tar localhost/imported:1
out   import /not/there.tar x
out   container prune --filter label=nothing -f
out   init renamed
out   inspect -f "{{.State.Status}}" renamed
out   stop -t 0 sleeper
out   inspect -f "{{.State.Status}} {{.State.ExitCode}}" sleeper
lines images
out   images --format "{{.Repository}}:{{.Tag}}" --sort repository
lines images -q --no-trunc localhost/bb
out   images --noheading localhost/committed
out   images --filter reference=*committed*  --format "{{.Tag}}"
out   images --filter nonsense=1
out   images --format "{{.Nonsense}}"
out   images nothing
json  images --format json
json  image ls -a --format json
json  image inspect I
json  inspect --type image I
out   image inspect -f "{{.RepoTags}} {{.Os}} {{.Architecture}} {{len .RootFS.Layers}} {{.Comment}}" I
out   image inspect nothing
out   image exists I
out   image exists nothing
out   history --format "{{.CreatedBy}} {{.Comment}}" localhost/committed:1
json  history --format json I
out   history nothing
out   tag I localhost/other:2
out   tag nothing x
out   untag localhost/other:2
out   untag nothing
out   rmi nothing
out   rmi I
out   rmi
out   save -o @/saved.tar localhost/committed:1
out   save -o @/saved.tar nothing
out   untag localhost/committed:1
out   load -i @/saved.tar
out   load -i /not/there
out   image prune -f
out   search
out   pull localhost:1/nothing
out   push localhost/none:1
json  image trust show --json
out   volume create vol2
out   volume create vol2
out   volume create --label a=b --opt o=uid=5 vol3
out   volume create --driver nonsense vol4
out   volume create "bad name"
lines volume ls -q
lines volume ls --format "{{.Name}} {{.Driver}} {{.Scope}}"
out   volume ls --filter label=a --format "{{.Name}}"
out   volume ls --filter name=vol2
out   volume ls --filter nonsense=1
out   volume ls --filter dangling=true --filter name=vol2 -q
json  volume ls --format json
json  volume inspect vol2 vol3
out   volume inspect -f "{{.Name}} {{.Labels}} {{.Options}} {{.Mountpoint}}" vol3
out   volume inspect nothing
out   volume exists vol2
out   volume exists nothing
out   volume rm vol1
out   volume rm nothing
out   volume rm
out   volume export -o @/vol.tar vol2
out   volume import vol2 @/vol.tar
out   volume rm vol2 vol3
out   volume prune -f
out   network create --subnet 10.97.{k}.0/24 --label a=b net1
out   network create net1
out   network create --driver nonsense net2
out   network create --subnet nonsense net2
out   network ls --format "{{.Name}} {{.Driver}}" --filter name=net1
out   network ls --filter nonsense=1
out   network ls -q --filter name=net1
json  network ls --format json
json  network inspect net1
out   network inspect -f "{{.Name}} {{.Driver}} {{.DNSEnabled}} {{.Internal}} {{.Labels}}" net1
out   network inspect nothing
out   network exists net1
out   network exists nothing
out   network rm nothing
out   network rm net1
out   network rm podman
out   secret create sec1 @/env
out   secret create sec1 @/env
out   secret create sec2 /not/there
out   secret ls --format "{{.Name}} {{.Driver}}"
out   secret ls --noheading
json  secret inspect sec1
out   secret inspect -f "{{.Spec.Name}} {{.Spec.Driver.Name}}" sec1
out   secret inspect nothing
out   run --rm {n} --secret sec1 I cat /run/secrets/sec1
out   run --rm {n} --secret nothing I true
out   secret rm sec1
out   secret rm nothing
out   pod create --name pod1 --network none --infra=false
out   pod create --name pod1
out   pod ps --format "{{.Name}} {{.Status}} {{.NumberOfContainers}}"
json  pod ps --format json
json  pod inspect pod1
out   pod inspect nothing
out   pod exists pod1
out   pod exists nothing
out   pod rm nothing
out   pod rm pod1
out   manifest create localhost/list:1
out   manifest create localhost/list:1
json  manifest inspect localhost/list:1
out   manifest inspect nothing
out   manifest rm localhost/list:1
out   healthcheck run sleeper
out   healthcheck run nobody
json  info --format json
out   info -f "{{.Host.OS}} {{.Host.Arch}} {{.Store.GraphDriverName}} {{.Store.GraphRoot}}"
out   info -f "{{.Nonsense}}"
json  version --format json
out   version -f "{{.Client.Os}} {{.Client.OsArch}}"
json  system df --format json
out   system df --format "{{.Type}} {{.Total}} {{.Active}}"
out   unshare id -u
out   unshare cat /proc/self/uid_map
out   events --stream=false --filter container=ended --filter event=create --format "{{.Name}} {{.Status}}"
out   rm ended
out   rm ended
out   rm -f nobody
out   rm --ignore nobody
out   rm
lines rm -f -t 0 sleeper renamed leftover replaced
out   ps -a -q
out   rmi -f I
out   nonsense
out   container nonsense
out   --nonsense ps
"""

# What differs on purpose: words of the row in docs/from-podman.md that says why, and the lines.
_REASONS: dict[str, str] = {
    "the words of an error": """
run --rm {n} --mount type=nonsense,dst=/m I true
run --rm {n} --name "bad name" I true
run --rm {n} -p nonsense I true
create {n} --restart nonsense I true
run --rm {n} --env-file /not/there I true
ps -a --filter status=nonsense
cp nobody:/x @/back
cp @/env @/back
unpause sleeper
rename renamed sleeper
import /not/there.tar x
load -i /not/there
volume create "bad name"
network create --subnet nonsense net2
secret create sec2 /not/there
healthcheck run nobody
inspect nobody
inspect sleeper nobody -f "{{.Name}}"
inspect --type image sleeper
image inspect nothing
network inspect nothing
""",
    "where in a template an error is": """
ps -a --format "{{.Nonsense}}"
ps -a --format "{{.Names"
inspect -f "{{.Nonsense}}" sleeper
images --format "{{.Nonsense}}"
info -f "{{.Nonsense}}"
""",
    "fields of `ps` templates": """
ps -a --format "{{.Names}} {{.State}} {{.Image}}"
ps -a --format "{{.Names}}|{{.Command}}|{{.Status}}|{{.Ports}}"
ps -a --format "{{.Names}} {{.RunningFor}} {{.CreatedHuman}} {{.Mounts}} {{.Networks}}"
ps -a --format "{{.Label \\"k\\"}}{{range .Labels}}{{.}}{{end}}"
""",
    "`run --replace`": "create {n} --name replaced --replace I true",
    "`ps --filter network=none`": 'ps -a --filter network=none --sort names --format "{{.Names}}"',
    "`.Config.Annotations` of a container that was never started": "inspect ended made",
    "the size of /dev/shm": 'inspect -f "{{.HostConfig.ShmSize}}" sleeper',
    "`--uidmap` without an owner of the image's files": "run --rm {n} --uidmap 0:1:100 I true",
    "`top` with flags of ps": "top sleeper nonsense",
    "several containers of which one does not exist": "wait ended nobody",
    "`start` of what runs": "start sleeper",
    "`NeedsCopyUp` of a volume": "volume ls --format json",
    "`volume ls` with filters of several keys": "volume ls --filter dangling=true --filter name=vol2 -q",
    "`secret rm` of one that does not exist": "secret rm nothing",
    "`manifest inspect` of an empty list": "manifest inspect localhost/list:1",
    "a short name where no file says": "manifest inspect nothing",
    "`system df --format json`": "system df --format json",
    "`system df` | an image counts": 'system df --format "{{.Type}} {{.Total}} {{.Active}}"',
    "`pod inspect` without an infra container": "pod inspect pod1",
}
DIFFERENT = {line: reason for reason, lines in _REASONS.items() for line in lines.strip().splitlines()}
