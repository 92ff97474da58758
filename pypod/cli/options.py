"""Flags are data: one table per command.

The small parser, click's --help, the completion scripts and the man pages all read these tables. A flag is a tuple

    (names, kind, default, metavar, help[, choices])

``names``    its long names, the first one being its own, and at most one letter: ``"network net"``, ``"env e"``.
``kind``     bool · str · int · uint · float · list (repeatable, and each value is comma-separated, as pflag's
             StringSlice) · array (repeatable, values taken whole) · choice (one of ``choices``) · form (one of
             ``choices``, written ``--flag=CHOICE``; ``--flag`` alone means the first).
``default``  the value when the flag is not given: None (str, int, uint, float, and a bool that has three states),
             False or True, or (). A default that the engine decides is written in the help text.
``help``     one line; an empty one hides the flag.
``choices``  for completion and documentation; values other than those of a ``choice`` are checked by the engine.

In ``Invocation.options`` the key is the first name with ``_`` for ``-``. Kept as nested constants: the whole table
is one object in the .pyc, so that a hundred flags cost a tenth of a millisecond.
"""

from __future__ import annotations

# Before or after the verb. pypod's own --version and --help are answered before.
GLOBAL = (
    ("cgroup-manager", "str", None, "MANAGER", "How cgroups are made", ("cgroupfs", "systemd")),
    ("conmon", "str", None, "FILE", "The monitor to use"),
    ("events-backend", "str", None, "BACKEND", "Where events go", ("file", "journald", "none")),
    ("hooks-dir", "array", (), "DIR", "A directory with OCI hooks"),
    ("imagestore", "str", None, "DIR", "Where images are kept, if not with the containers"),
    ("log-format", "str", None, "FORMAT", "Errors and warnings as text or json (default text)", ("text", "json")),
    (
        "log-level",
        "str",
        None,
        "LEVEL",
        "Log messages above this level (default warn)",
        ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"),
    ),
    ("module", "array", (), "FILE", "Load a containers.conf module"),
    ("network-cmd-path", "str", None, "FILE", "The slirp4netns to use"),
    ("network-config-dir", "str", None, "DIR", "Where networks are configured"),
    ("noout", "bool", False, "", ""),
    ("out", "str", None, "FILE", "Send stdout to this file"),
    ("root", "str", None, "DIR", "Where images and containers are kept"),
    ("runroot", "str", None, "DIR", "Where the volatile state is kept"),
    ("runtime", "str", None, "RUNTIME", "The OCI runtime to use: a name or a path"),
    ("runtime-flag", "array", (), "FLAG", "A global flag for the OCI runtime, without its dashes"),
    ("storage-driver", "str", None, "DRIVER", "The storage driver", ("overlay", "vfs")),
    ("storage-opt", "array", (), "KEY=VALUE", "An option of the storage driver"),
    ("syslog", "bool", False, "", "Log to syslog too"),
    ("transient-store", "bool", None, "", "Containers are forgotten at the next boot"),
    ("tmpdir", "str", None, "DIR", "Where pypod's own volatile files are kept"),
    ("volumepath", "str", None, "DIR", "Where volumes are kept"),
)

_ALL = (("all a", "bool", False, "", "Every container"),)
_LATEST = (("latest l", "bool", False, "", "The container that was created last"),)
LATEST = _LATEST
_CIDFILE = (("cidfile", "array", (), "FILE", "Read a container's ID from this file"),)
_FILTER = (("filter f", "array", (), "KEY=VALUE", "Only containers that this describes"),)
_IGNORE = (("ignore i", "bool", False, "", "A container that does not exist is no error"),)
_TIME = (("time t timeout", "uint", None, "SECONDS", "Wait this long before killing (default 10)"),)
_KEYS = (("detach-keys", "str", None, "KEYS", "The keys that detach the terminal (default ctrl-p,ctrl-q)"),)
FORMAT = (("format f", "str", None, "FORMAT", "json, or a Go template"),)

PROGRESS = (
    (
        "progress",
        "choice",
        "auto",
        "FORM",
        "How progress is shown (auto: bars on a terminal, else plain)",
        ("auto", "plain", "json"),
    ),
)
# How a registry is reached: what ``registry_settings.of`` reads.
ACCESS = (
    ("authfile", "str", None, "FILE", "Credentials are in this file (default $REGISTRY_AUTH_FILE, else as podman)"),
    ("cert-dir", "str", None, "DIR", "Certificates and keys for the registry (default /etc/containers/certs.d)"),
    ("tls-verify", "bool", None, "", "Verify certificates (default as registries.conf says, else true)"),
)
CREDS = (("creds", "str", None, "USER[:PASSWORD]", "Credentials; a password that is missing is asked for"),)
RETRY = (
    ("retry", "uint", None, "TIMES", "How often what fails is tried again (default 3)"),
    (
        "retry-delay",
        "str",
        None,
        "DURATION",
        "Wait this long between tries (default 1s, 2s, 4s …)",
    ),
)
PLATFORM = (
    ("arch", "str", None, "ARCH", "The image for this architecture"),
    ("os", "str", None, "OS", "The image for this operating system"),
    ("platform", "str", None, "OS/ARCH[/VARIANT]", "The image for this platform (default this machine's)"),
    ("variant", "str", None, "VARIANT", "The image for this variant of the architecture"),
)
# What run and create take for an image that has to be pulled; ``--pull`` and ``--quiet`` are theirs.
IMPLICIT_PULL = (
    *ACCESS,
    *CREDS,
    *RETRY,
    *PLATFORM,
    ("decryption-key", "list", (), "KEY", ""),
    ("disable-content-trust", "bool", False, "", ""),
    ("signature-policy", "str", None, "FILE", ""),
)

NONE: tuple[()] = ()

ATTACH = (
    *_KEYS,
    *_LATEST,
    ("no-stdin", "bool", False, "", "Leave stdin alone"),
    ("sig-proxy", "bool", True, "", "Pass the signals that pypod gets on to the container"),
)
CLEANUP = (
    *_ALL,
    *_LATEST,
    ("exec", "str", None, "SESSION", "Clean up this exec session instead of the container"),
    ("rm", "bool", False, "", "Remove the container afterwards"),
    ("rmi", "bool", False, "", "Remove the image afterwards"),
    ("stopped-only", "bool", False, "", "Do nothing to a container that still runs"),
)
CONTAINER_EXISTS = (("external", "bool", False, "", "Look among other tools' containers in the store too"),)
CONTAINER_INSPECT = (*FORMAT, *_LATEST, ("size s", "bool", False, "", "Show the sizes of its file systems"))
CONTAINER_PRUNE = (
    ("filter", "array", (), "KEY=VALUE", "Only containers that this describes: label, until"),
    ("force f", "bool", False, "", "Do not ask"),
)
CP = (
    ("archive a", "bool", True, "", "Give the copied files to the container's user"),
    ("overwrite", "bool", False, "", "Let a directory replace a file and a file a directory"),
)
DIFF = (("format", "str", None, "FORMAT", "json, or a Go template"), *_LATEST)
EXEC = (
    ("cidfile", "str", None, "FILE", "Read the container's ID from this file"),
    ("detach d", "bool", False, "", "Run in the background"),
    *_KEYS,
    ("env e", "array", (), "NAME[=VALUE]", "Set an environment variable"),
    ("env-file", "list", (), "FILE", "Set the environment variables that a file lists"),
    ("interactive i", "bool", False, "", "Keep stdin open"),
    *_LATEST,
    ("preserve-fds", "uint", None, "NUMBER", "Hand this many descriptors after 2 on to the command"),
    ("privileged", "bool", False, "", "Every capability for the command"),
    ("tty t", "bool", False, "", "Give the command a terminal"),
    ("user u", "str", None, "USER[:GROUP]", "Run as this user, by name or number"),
    ("workdir w", "str", None, "DIR", "Working directory inside the container"),
)
INIT = (*_ALL, *_LATEST)
INSPECT = (
    *FORMAT,
    *_LATEST,
    ("size s", "bool", False, "", "Show the sizes of a container's file systems"),
    (
        "type t",
        "str",
        "all",
        "TYPE",
        "What kind of object to look for",
        ("all", "container", "image", "volume", "network", "pod"),
    ),
)
MOUNT = (
    *_ALL,
    ("format", "str", None, "FORMAT", "json"),
    *_LATEST,
    ("no-trunc notruncate", "bool", False, "", "Show IDs in full"),
)
UMOUNT = (*_ALL, ("force f", "bool", False, "", "Also if it is mounted several times, or in use"), *_LATEST)
KILL = (*_ALL, *_CIDFILE, *_LATEST, ("signal s", "str", "KILL", "SIGNAL", "The signal to send, by name or number"))
LOGS = (
    ("color", "bool", False, "", "Give each container's lines a colour"),
    ("follow f", "bool", False, "", "Go on as the container writes"),
    *_LATEST,
    ("names n", "bool", False, "", "Start each line with the container's name"),
    ("since", "str", None, "TIME", "Only lines from this time on: a date, Unix seconds, or a duration ago"),
    ("tail", "int", -1, "LINES", "Only the last lines; -1 means all"),
    ("timestamps t", "bool", False, "", "Start each line with its time"),
    ("until", "str", None, "TIME", "Only lines up to this time"),
)
PAUSE = (*_ALL, *_CIDFILE, *_FILTER, *_LATEST)
PORT = (*_ALL, *_LATEST)
PS = (
    ("all a", "bool", False, "", "Show every container, not only the running ones"),
    ("external", "bool", False, "", "Show other tools' containers in the store too"),
    *_FILTER,
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("last n", "int", -1, "NUMBER", "Show the containers that were created last, in any state"),
    *_LATEST,
    ("no-trunc", "bool", False, "", "Show IDs and commands in full"),
    ("noheading", "bool", False, "", "No headings"),
    ("ns namespace", "bool", False, "", "Show the namespaces of each container"),
    ("pod p", "bool", False, "", "Show the pod of each container"),
    ("quiet q", "bool", False, "", "Only the IDs"),
    ("size s", "bool", False, "", "Show the sizes of the file systems"),
    (
        "sort",
        "choice",
        "created",
        "FIELD",
        "Sort by this field",
        ("command", "created", "id", "image", "names", "runningfor", "size", "status"),
    ),
    ("sync", "bool", False, "", "Ask the runtime for the state of each container"),
    ("watch w", "uint", None, "SECONDS", "Show the list again and again"),
)
RESTART = (
    ("all a", "bool", False, "", "Every container, whatever its state"),
    *_CIDFILE,
    *_FILTER,
    *_LATEST,
    ("running", "bool", False, "", "Only running containers"),
    *_TIME,
)
RM = (
    *_ALL,
    *_CIDFILE,
    ("depend", "bool", False, "", "Remove the containers that depend on it too"),
    ("filter", "array", (), "KEY=VALUE", "Only containers that this describes"),
    ("force f", "bool", False, "", "Stop and remove containers that run or are broken"),
    *_IGNORE,
    *_LATEST,
    *_TIME,
    ("volumes v", "bool", False, "", "Remove the container's anonymous volumes too"),
)
START = (
    ("all", "bool", False, "", "Every container, whatever its state"),
    ("attach a", "bool", False, "", "Attach to its stdout and stderr, and pass its exit code on"),
    *_KEYS,
    *_FILTER,
    ("interactive i", "bool", False, "", "Attach to its stdin too"),
    *_LATEST,
    ("sig-proxy", "bool", None, "", "Pass signals on to the container (default when attached)"),
)
STOP = (*_ALL, *_CIDFILE, *_FILTER, *_IGNORE, *_LATEST, *_TIME)
STATS = (
    ("all a", "bool", False, "", "Every container, not only the running ones"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("interval i", "int", 5, "SECONDS", "Time between two rounds"),
    *_LATEST,
    ("no-reset", "bool", False, "", "Leave the screen as it is between two rounds"),
    ("no-stream", "bool", False, "", "Only one round"),
    ("no-trunc", "bool", False, "", "Show IDs in full"),
)
TOP = _LATEST
WAIT = (
    (
        "condition",
        "list",
        (),
        "STATE",
        "Wait for this state (default stopped)",
        (
            "configured",
            "created",
            "exited",
            "healthy",
            "initialized",
            "paused",
            "removing",
            "running",
            "stopped",
            "unhealthy",
        ),
    ),
    ("exit-first-match", "bool", False, "", "The first container that gets there is enough"),
    ("ignore", "bool", False, "", "A container that does not exist is no error, and gives -1"),
    ("interval i", "str", "250ms", "DURATION", "How often to look; a plain number is milliseconds"),
    *_LATEST,
)
HEALTHCHECK_RUN = NONE
