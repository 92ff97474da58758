"""The flags of ``run`` and ``create`` (podman-run(1), podman-create(1)). The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import IMPLICIT_PULL

_PROCESS = (
    ("annotation", "list", (), "KEY=VALUE", "Add an annotation to the container's OCI config"),
    ("attach a", "list", (), "STREAM", "Attach to stdin, stdout or stderr", ("stdin", "stdout", "stderr")),
    ("cidfile", "str", None, "FILE", "Write the container's ID to this file; it must not exist yet"),
    ("conmon-pidfile", "str", None, "FILE", "Write the monitor's process ID to this file"),
    (
        "dry-run",
        "form",
        None,
        "FORM",
        "Print what would be done and change nothing",
        ("text", "json"),
    ),
    ("entrypoint", "str", None, "COMMAND", "Replace the image's entrypoint: a word, or a JSON array of words"),
    ("env e", "array", (), "NAME[=VALUE]", "Set an environment variable; without a value, take the caller's"),
    ("env-file", "list", (), "FILE", "Set the environment variables that a file lists"),
    ("env-host", "bool", False, "", "Hand the caller's whole environment to the container"),
    ("env-merge", "array", (), "NAME=VALUE", "Set a variable whose value refers to the image's variables"),
    ("group-add", "list", (), "GROUP", "Add a supplementary group; keep-groups keeps the caller's"),
    ("group-entry", "str", None, "ENTRY", "The line to add to /etc/group"),
    ("hostuser", "list", (), "USER", "Add a user of the host to /etc/passwd"),
    ("init", "bool", False, "", "Run a small init as PID 1: it forwards signals and reaps processes"),
    ("init-path", "str", None, "FILE", "The init program to use"),
    ("interactive i", "bool", False, "", "Keep stdin open"),
    ("label l", "array", (), "KEY[=VALUE]", "Label the container"),
    ("label-file", "list", (), "FILE", "Set the labels that a file lists, one a line"),
    (
        "log-driver",
        "str",
        None,
        "DRIVER",
        "Where the output is logged",
        ("k8s-file", "json-file", "journald", "none", "passthrough", "passthrough-tty"),
    ),
    ("log-opt", "list", (), "KEY=VALUE", "Option of the log driver: path, max-size, tag, label"),
    ("name", "str", None, "NAME", "Name the container"),
    ("passwd", "bool", True, "", "Add the container's user to /etc/passwd and /etc/group"),
    ("passwd-entry", "str", None, "ENTRY", "The line to add to /etc/passwd"),
    ("pidfile", "str", None, "FILE", "Write the process ID of the container's PID 1 to this file"),
    ("replace", "bool", False, "", "Remove the container that has this name first"),
    ("requires", "list", (), "CONTAINER", "Containers to start before this one"),
    (
        "restart",
        "str",
        None,
        "POLICY",
        "What to do when the container exits",
        ("no", "never", "on-failure", "always", "unless-stopped"),
    ),
    ("rm", "bool", False, "", "Remove the container when it exits"),
    (
        "sdnotify",
        "str",
        "container",
        "MODE",
        "Who tells systemd that the start is done",
        ("container", "conmon", "healthy", "ignore"),
    ),
    ("stop-signal", "str", None, "SIGNAL", "The signal that stops the container (default the image's, or SIGTERM)"),
    ("stop-timeout", "uint", None, "SECONDS", "How long stop waits before it kills (default 10)"),
    ("systemd", "str", "true", "MODE", "Prepare for systemd as PID 1", ("true", "false", "always")),
    ("timeout", "uint", None, "SECONDS", "Kill the container after this time"),
    ("tty t", "bool", False, "", "Give the container a terminal"),
    ("tz", "str", None, "ZONE", "Time zone: a zoneinfo name or local"),
    ("umask", "str", None, "MODE", "File mode creation mask in the container (default 0022)"),
    ("unsetenv", "array", (), "NAME", "Leave out one of the default environment variables"),
    ("unsetenv-all", "bool", False, "", "Leave out all default environment variables"),
    ("user u", "str", None, "USER[:GROUP]", "Run as this user, by name or number"),
    ("workdir w", "str", None, "DIR", "Working directory inside the container"),
    ("http-proxy", "bool", True, "", "Hand the caller's proxy variables to the container"),
)

_IMAGE = (
    (
        "image-volume",
        "str",
        None,
        "MODE",
        "What becomes of the volumes that the image declares (default anonymous)",
        ("anonymous", "bind", "tmpfs", "ignore"),
    ),
    *IMPLICIT_PULL,
    (
        "pull",
        "str",
        None,
        "POLICY",
        "When to pull the image (default missing)",
        ("always", "missing", "never", "newer"),
    ),
    ("quiet q", "bool", False, "", "No progress output while pulling"),
    ("rootfs", "bool", False, "", "The first argument is a directory with a root file system, not an image"),
)

_NAMESPACES = (
    ("cgroupns", "str", None, "MODE", "cgroup namespace: host, private, container:ID, ns:PATH"),
    ("gidmap", "list", (), "CTR:HOST:N", "Group ID mapping of the user namespace"),
    ("hostname h", "str", None, "NAME", "Host name of the container"),
    ("ipc", "str", None, "MODE", "IPC namespace: host, none, private, shareable, container:ID, ns:PATH"),
    ("pid", "str", None, "MODE", "PID namespace: host, private, container:ID, ns:PATH"),
    ("pod", "str", None, "POD", "Run in an existing pod"),
    ("pod-id-file", "str", None, "FILE", "Read the pod's ID from this file"),
    ("subgidname", "str", None, "NAME", "Map the range that /etc/subgid lists under this name"),
    ("subuidname", "str", None, "NAME", "Map the range that /etc/subuid lists under this name"),
    ("uidmap", "list", (), "CTR:HOST:N", "User ID mapping of the user namespace"),
    ("userns", "str", None, "MODE", "User namespace: host, keep-id, auto, nomap, container:ID, ns:PATH"),
    ("uts", "str", None, "MODE", "UTS namespace: host, private, container:ID, ns:PATH"),
)

_NETWORK = (
    ("add-host", "list", (), "NAME:IP", "Add a line to /etc/hosts"),
    ("dns", "list", (), "IP", "Name server of the container; none leaves /etc/resolv.conf to the image"),
    ("dns-option", "list", (), "OPTION", "Option in /etc/resolv.conf"),
    ("dns-search", "list", (), "DOMAIN", "Search domain in /etc/resolv.conf"),
    ("expose", "list", (), "PORT[/PROTOCOL]", "Expose a port or a range of ports"),
    ("ip", "str", None, "IPV4", "Fixed IPv4 address"),
    ("ip6", "str", None, "IPV6", "Fixed IPv6 address"),
    ("mac-address", "str", None, "MAC", "Fixed MAC address"),
    (
        "network net",
        "array",
        (),
        "MODE",
        "Network: bridge, none, host, container:ID, ns:PATH, private, pasta, slirp4netns, or a network's name",
    ),
    ("network-alias", "list", (), "NAME", "Another name of the container on its network"),
    ("no-hostname", "bool", False, "", "Leave /etc/hostname to the image"),
    ("no-hosts", "bool", False, "", "Leave /etc/hosts to the image"),
    ("hosts-file", "str", None, "FILE", "The file that /etc/hosts starts from: a path, image or none"),
    ("publish p", "list", (), "[[IP:]HOST:]CTR[/PROTO]", "Publish a port, or a range of ports, to the host"),
    ("publish-all P", "bool", False, "", "Publish every exposed port to a free port of the host"),
)

_FILES = (
    ("chrootdirs", "list", (), "DIR", "Directories in the container to give /etc/hosts and its like to"),
    ("device", "list", (), "HOST[:CTR[:PERM]]", "Give the container a device of the host"),
    ("mount", "array", (), "type=TYPE,...", "Mount a bind, volume, tmpfs, image, glob, devpts or ramfs"),
    ("read-only", "bool", False, "", "Make the root file system read-only"),
    ("read-only-tmpfs", "bool", True, "", "With --read-only, keep /run, /tmp and /var/tmp writable in memory"),
    ("secret", "array", (), "SECRET[,OPT...]", "Give the container a secret"),
    ("shm-size", "str", None, "SIZE", "Size of /dev/shm (default 65536k)"),
    ("tmpfs", "array", (), "DIR[:OPTIONS]", "Mount a tmpfs"),
    ("volume v", "array", (), "[SRC:]DEST[:OPT]", "Mount a host directory or a named volume"),
    ("volumes-from", "array", (), "CONTAINER[:OPT]", "Mount the volumes of another container"),
)

_SECURITY = (
    ("cap-add", "list", (), "CAPABILITY", "Add a capability, or all"),
    ("cap-drop", "list", (), "CAPABILITY", "Drop a capability, or all"),
    ("device-cgroup-rule", "list", (), "RULE", "Add a rule to the devices that the cgroup allows"),
    ("gpus", "list", (), "GPU", "Give the container GPUs by their CDI names, or all"),
    ("privileged", "bool", False, "", "Every capability and device, no seccomp filter, no masked paths"),
    (
        "security-opt",
        "array",
        (),
        "OPTION",
        "seccomp=, no-new-privileges, label=, apparmor=, mask=, unmask=, proc-opts=, systempaths=",
    ),
)

_RESOURCES = (
    ("blkio-weight", "uint", None, "WEIGHT", "Relative block I/O weight, 10 to 1000"),
    ("blkio-weight-device", "array", (), "DEVICE:WEIGHT", "Relative weight on one block device, 10 to 1000"),
    ("cgroup-conf", "list", (), "KEY=VALUE", "Write this to a file of the cgroup (cgroup v2)"),
    ("cgroup-parent", "str", None, "PATH", "The cgroup to make the container's cgroup in"),
    (
        "cgroups",
        "str",
        "enabled",
        "MODE",
        "Whether the container gets a cgroup",
        ("enabled", "disabled", "no-conmon", "split"),
    ),
    ("cpu-period", "uint", None, "MICROSECONDS", "Period of the CPU limit"),
    ("cpu-quota", "int", None, "MICROSECONDS", "CPU time in each period"),
    ("cpu-shares c", "uint", None, "SHARES", "Relative CPU weight"),
    ("cpus", "float", None, "NUMBER", "How many CPUs' worth of time the container may use"),
    ("cpuset-cpus", "str", None, "LIST", "The CPUs to run on: 0-3, 0,1"),
    ("cpuset-mems", "str", None, "LIST", "The memory nodes to use: 0-3, 0,1"),
    (
        "device-read-bps",
        "list",
        (),
        "DEVICE:RATE",
        "Limit reading from a block device: bytes a second, with the unit kb, mb or gb",
    ),
    ("device-read-iops", "list", (), "DEVICE:RATE", "Limit reading from a block device: operations a second"),
    (
        "device-write-bps",
        "list",
        (),
        "DEVICE:RATE",
        "Limit writing to a block device: bytes a second, with the unit kb, mb or gb",
    ),
    ("device-write-iops", "list", (), "DEVICE:RATE", "Limit writing to a block device: operations a second"),
    ("memory m", "str", None, "SIZE", "Memory limit, with the unit b, k, m or g"),
    ("memory-reservation", "str", None, "SIZE", "Soft memory limit"),
    ("memory-swap", "str", None, "SIZE", "Limit of memory and swap together; -1 means no limit"),
    ("memory-swappiness", "int", -1, "NUMBER", "Swappiness, 0 to 100"),
    ("oom-kill-disable", "bool", False, "", "No OOM killer in the container's cgroup"),
    ("oom-score-adj", "int", None, "NUMBER", "OOM score adjustment, -1000 to 1000"),
    ("pids-limit", "int", None, "NUMBER", "Most processes in the container; -1 means no limit (default 2048)"),
    ("sysctl", "list", (), "NAME=VALUE", "Set a kernel parameter of the container's namespaces"),
    ("ulimit", "list", (), "NAME=SOFT[:HARD]", "Resource limit of the container's processes"),
)

_HEALTH = (
    ("health-cmd", "str", None, "COMMAND", "Health check: a shell command, or a JSON array; none turns it off"),
    ("health-interval", "str", None, "DURATION", "Time between checks (default 30s)"),
    ("health-on-failure", "str", "none", "ACTION", "What to do when unhealthy", ("none", "kill", "restart", "stop")),
    ("health-retries", "uint", None, "NUMBER", "Failures in a row that mean unhealthy (default 3)"),
    ("health-start-period", "str", None, "DURATION", "Failures do not count this long after the start (default 0s)"),
    ("health-startup-cmd", "str", None, "COMMAND", "A check that must pass before the health check begins"),
    ("health-startup-interval", "str", None, "DURATION", "Time between its runs (default 30s)"),
    ("health-startup-retries", "uint", None, "NUMBER", "Failures of it that restart the container (default 0: none)"),
    ("health-startup-success", "uint", None, "NUMBER", "Passes of it that are needed (default 0: any)"),
    ("health-startup-timeout", "str", None, "DURATION", "A run of it that takes longer has failed (default 30s)"),
    ("health-timeout", "str", None, "DURATION", "A check that takes longer has failed (default 30s)"),
    ("no-healthcheck", "bool", False, "", "Turn the image's health check off"),
)

_INIT = (
    (
        "init-ctr",
        "choice",
        None,
        "TYPE",
        "Run to the end, before the pod's other containers, once or at each start of the pod",
        ("once", "always"),
    ),
)

CREATE = _INIT + _PROCESS + _IMAGE + _NAMESPACES + _NETWORK + _FILES + _SECURITY + _RESOURCES + _HEALTH

RUN = CREATE[len(_INIT) :] + (
    ("detach d", "bool", False, "", "Run in the background and print the container's ID"),
    ("detach-keys", "str", None, "KEYS", "The keys that detach the terminal (default ctrl-p,ctrl-q)"),
    ("preserve-fds", "uint", None, "NUMBER", "Hand this many descriptors after 2 on to the container"),
    ("rmi", "bool", False, "", "Remove the image too when the container exits, unless it is in use"),
    ("sig-proxy", "bool", True, "", "Pass the signals that pypod gets on to the container"),
)
