"""The flags of the pod commands. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import FORMAT

_ALL = (("all a", "bool", False, "", "Every pod"),)
_LATEST = (("latest l", "bool", False, "", "The pod that was created last"),)
_IGNORE = (("ignore i", "bool", False, "", "A pod that does not exist is no error"),)
_ID_FILE = (("pod-id-file", "array", (), "FILE", "Read a pod's ID from this file"),)
_TIME = (("time t timeout", "uint", None, "SECONDS", "Wait this long before killing containers (default 10)"),)

CREATE = (
    ("add-host", "list", (), "NAME:IP", "Add a line to the pod's /etc/hosts"),
    ("blkio-weight", "uint", None, "WEIGHT", "Relative block I/O weight of the pod, 10 to 1000"),
    ("blkio-weight-device", "array", (), "DEVICE:WEIGHT", "Relative weight on one block device, 10 to 1000"),
    ("cgroup-parent", "str", None, "PATH", "The cgroup to make the pod's cgroup in"),
    ("cpu-shares c", "uint", None, "SHARES", "Relative CPU weight of the pod"),
    ("cpus", "float", None, "NUMBER", "How many CPUs' worth of time the pod may use"),
    ("cpuset-cpus", "str", None, "LIST", "The CPUs to run on: 0-3, 0,1"),
    ("cpuset-mems", "str", None, "LIST", "The memory nodes to use: 0-3, 0,1"),
    ("device", "list", (), "HOST[:CTR[:PERM]]", "Give every container a device of the host"),
    (
        "device-read-bps",
        "list",
        (),
        "DEVICE:RATE",
        "Limit reading from a block device: bytes a second, with the unit kb, mb or gb",
    ),
    (
        "device-write-bps",
        "list",
        (),
        "DEVICE:RATE",
        "Limit writing to a block device: bytes a second, with the unit kb, mb or gb",
    ),
    ("dns", "list", (), "IP", "Name server of the pod; none leaves /etc/resolv.conf to the images"),
    ("dns-option", "list", (), "OPTION", "Option in /etc/resolv.conf"),
    ("dns-search", "list", (), "DOMAIN", "Search domain in /etc/resolv.conf"),
    (
        "exit-policy",
        "str",
        "continue",
        "POLICY",
        "What becomes of the infra container when the last other one exits",
        ("continue", "stop"),
    ),
    ("gidmap", "list", (), "CTR:HOST:N", "Group ID mapping of the pod's user namespace"),
    ("gpus", "list", (), "GPU", ""),
    ("hostname h", "str", None, "NAME", "Host name of the pod (default its name)"),
    ("hosts-file", "str", None, "FILE", "The file that /etc/hosts starts from: a path, image or none"),
    ("infra", "bool", True, "", "Make a container that holds what the others share"),
    ("infra-command", "str", None, "COMMAND", "What the infra container runs"),
    (
        "infra-conmon-pidfile",
        "str",
        None,
        "FILE",
        "Write the process ID of the infra container's monitor to this file",
    ),
    ("infra-image", "str", None, "IMAGE", "The infra container's image (default: it needs none)"),
    ("infra-name", "str", None, "NAME", "Name the infra container"),
    ("ip", "str", None, "IPV4", "Fixed IPv4 address"),
    ("ip6", "str", None, "IPV6", "Fixed IPv6 address"),
    ("label l", "array", (), "KEY[=VALUE]", "Label the pod"),
    ("label-file", "list", (), "FILE", "Set the labels that a file lists, one a line"),
    ("mac-address", "str", None, "MAC", "Fixed MAC address"),
    ("memory m", "str", None, "SIZE", "Memory limit of the pod, with the unit b, k, m or g"),
    ("memory-swap", "str", None, "SIZE", "Limit of memory and swap together; -1 means no limit"),
    ("name n", "str", None, "NAME", "Name the pod"),
    (
        "network net",
        "array",
        (),
        "MODE",
        "Network: bridge, none, host, ns:PATH, private, pasta, slirp4netns, or a network's name",
    ),
    ("network-alias", "list", (), "NAME", "Another name of the pod on its network"),
    ("no-hostname", "bool", False, "", "Leave /etc/hostname to the images"),
    ("no-hosts", "bool", False, "", "Leave /etc/hosts to the images"),
    ("pid", "str", None, "MODE", "The infra container's PID namespace: host, private, container:ID, ns:PATH"),
    ("pod-id-file", "str", None, "FILE", "Write the pod's ID to this file; it must not exist yet"),
    ("publish p", "list", (), "[[IP:]HOST:]CTR[/PROTO]", "Publish a port, or a range of ports, to the host"),
    ("replace", "bool", False, "", "Remove the pod that has this name first"),
    (
        "restart",
        "str",
        None,
        "POLICY",
        "Restart policy of containers that name none themselves",
        ("no", "never", "on-failure", "always", "unless-stopped"),
    ),
    ("security-opt", "array", (), "OPTION", "Security option of every container: seccomp=, label=, apparmor= …"),
    (
        "share",
        "str",
        None,
        "NAMESPACES",
        "What containers share: cgroup, ipc, net, pid, uts; none; +pid adds to ipc,net,uts",
    ),
    ("share-parent", "bool", True, "", "Make the containers' cgroups in one of the pod's"),
    ("shm-size", "str", None, "SIZE", "Size of the shared /dev/shm (default 65536k)"),
    ("shm-size-systemd", "str", None, "SIZE", ""),
    ("subgidname", "str", None, "NAME", "Map the range that /etc/subgid lists under this name"),
    ("subuidname", "str", None, "NAME", "Map the range that /etc/subuid lists under this name"),
    ("sysctl", "list", (), "NAME=VALUE", "Set a kernel parameter of the shared namespaces"),
    ("uidmap", "list", (), "CTR:HOST:N", "User ID mapping of the pod's user namespace"),
    ("userns", "str", None, "MODE", "User namespace of all containers: host, keep-id, auto, nomap"),
    ("uts", "str", None, "MODE", "The infra container's UTS namespace: host, private"),
    ("volume v", "array", (), "[SRC:]DEST[:OPT]", "Mount a host directory or a named volume in every container"),
    ("volumes-from", "array", (), "CONTAINER[:OPT]", "Mount another container's volumes in every container"),
)
CLONE = (
    ("destroy", "bool", False, "", "Remove the original"),
    ("hostname", "str", None, "NAME", "Host name of the clone"),
    ("infra-name", "str", None, "NAME", "Name the clone's infra container"),
    ("label l", "array", (), "KEY[=VALUE]", "Label the clone, too"),
    ("label-file", "list", (), "FILE", "Set the labels that a file lists, one a line"),
    ("name n", "str", None, "NAME", "Name the clone (default that of the original and -clone)"),
    ("start", "bool", False, "", "Start the clone"),
)
PS = (
    ("ctr-ids", "bool", False, "", "Show the containers' IDs"),
    ("ctr-names", "bool", False, "", "Show the containers' names"),
    ("ctr-status", "bool", False, "", "Show the containers' states"),
    ("filter f", "array", (), "KEY=VALUE", "Only pods that this describes"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    *_LATEST,
    ("no-trunc", "bool", False, "", "Show IDs in full"),
    ("noheading n", "bool", False, "", "No headings"),
    ("ns namespace", "bool", False, "", "Show the namespaces of each pod"),
    ("quiet q", "bool", False, "", "Only the IDs"),
    ("sort", "str", "created", "FIELD", "Sort by this field", ("created", "id", "name", "number", "status")),
)
INSPECT = (*FORMAT, *_LATEST)
RM = (
    *_ALL,
    ("force f", "bool", False, "", "Stop what runs in the pod first"),
    *_IGNORE,
    *_LATEST,
    *_ID_FILE,
    *_TIME,
)
START = (*_ALL, *_LATEST, *_ID_FILE)
STOP = (*_ALL, *_IGNORE, *_LATEST, *_ID_FILE, *_TIME)
RESTART = (*_ALL, *_LATEST, *_TIME)
KILL = (*_ALL, *_LATEST, ("signal s", "str", "KILL", "SIGNAL", "The signal to send, by name or number"))
PAUSE = (*_ALL, *_LATEST)
PRUNE = (("force f", "bool", False, "", "Do not ask"),)
STATS = (
    *_ALL,
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    *_LATEST,
    ("no-reset", "bool", False, "", "Do not clear the screen between rounds"),
    ("no-stream", "bool", False, "", "One round only"),
)
TOP = _LATEST
LOGS = (
    ("color", "bool", False, "", "Give each container's lines a colour"),
    ("container c", "str", None, "CONTAINER", "Only this container of the pod"),
    ("follow f", "bool", False, "", "Go on as the containers write"),
    *_LATEST,
    ("names n", "bool", False, "", "Start each line with the container's name instead of its ID"),
    ("since", "str", None, "TIME", "Only lines from this time on: a date, Unix seconds, or a duration ago"),
    ("tail", "int", -1, "LINES", "Only the last lines; -1 means all"),
    ("timestamps t", "bool", False, "", "Start each line with its time"),
    ("until", "str", None, "TIME", "Only lines up to this time"),
)
