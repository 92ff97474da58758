"""The list of commands: what --help, completion, the man pages and the dispatcher know without importing one.

A command is ``path: (module[:function], summary, section, flags, usage, arguments, completes)``:

``module``     in pypod.cli; its ``run(invocation)`` is called, or the function named after the colon.
``flags``      the name of its table in ``options``, or ``module.NAME``.
``arguments``  how many: (least, most), most -1 for any number; or ("names", message): names of objects unless
               --all, --latest, --cidfile or --filter choose them; or ("first", message): the first one is a name
               unless --latest or --all chooses it.
``completes``  what the arguments name, for completion: container, image, volume, object, file or "".
"""

from __future__ import annotations

from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_NAMES = ("names", "you must provide at least one name or id")

SECTIONS = (
    "Running containers",
    "Looking at containers",
    "Pods",
    "Images",
    "Volumes",
    "Networks",
    "Secrets",
    "System",
)
_RUN, _LOOK, _POD, _IMAGE, _VOLUME, _NETWORK, _SECRET, _SYSTEM = SECTIONS

# Groups of commands: podman has every container command a second time below ``container``, and so on.
GROUPS = {
    "container": "Manage containers",
    "generate": "Make files for other programs of what is here",
    "healthcheck": "Manage health checks",
    "image": "Manage images",
    "image trust": "Manage which images may be used",
    "manifest": "Manage lists of images for several platforms",
    "network": "Manage bridge networks",
    "pod": "Manage pods: containers that share namespaces",
    "secret": "Manage secrets",
    "system": "Manage pypod and its store",
    "volume": "Manage volumes",
}

COMMANDS: dict[str, tuple[Any, ...]] = {
    "attach": (
        "attach",
        "Connect the terminal to a running container",
        _RUN,
        "ATTACH",
        "[options] CONTAINER",
        ("names", '"pypod attach" requires a name, id, or the "--latest" flag'),
        "container",
    ),
    "commit": (
        "commit",
        "Make an image of a container's changes",
        _IMAGE,
        "options_other.COMMIT",
        "[options] CONTAINER [IMAGE]",
        (1, 2),
        "container",
    ),
    "completion": (
        "completion:run",
        "Write the completion script for a shell",
        _SYSTEM,
        "options_other.COMPLETION",
        "[options] {bash|zsh|fish}",
        (1, 1),
        "shell",
    ),
    "container checkpoint": (
        "checkpoint",
        "Write the processes of a container to disk, and end it",
        _RUN,
        "options_update.CHECKPOINT",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "container clone": (
        "container_clone",
        "Make a container like another one",
        _RUN,
        "options_update.CLONE",
        "[options] CONTAINER [NAME] [IMAGE]",
        (1, 3),
        "container",
    ),
    "container restore": (
        "checkpoint:restore",
        "Go on with a container from a checkpoint",
        _RUN,
        "options_update.RESTORE",
        "[options] CONTAINER [CONTAINER...]",
        (0, -1),
        "container",
    ),
    "container cleanup": (
        "cleanup",
        "Take down what a stopped container leaves behind",
        "",
        "CLEANUP",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "container exists": (
        "container_exists",
        "Tell by the exit code whether a container exists",
        _LOOK,
        "CONTAINER_EXISTS",
        "[options] CONTAINER",
        (1, 1),
        "container",
    ),
    "container inspect": (
        "inspect",
        "Show everything about containers",
        _LOOK,
        "CONTAINER_INSPECT",
        "[options] CONTAINER [CONTAINER...]",
        ("names", "no names or ids specified"),
        "container",
    ),
    "container prune": (
        "container_prune",
        "Remove the containers that do not run",
        _RUN,
        "CONTAINER_PRUNE",
        "[options]",
        (0, 0),
        "",
    ),
    "cp": (
        "cp",
        "Copy files into, out of and between containers",
        _RUN,
        "CP",
        "[options] [CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH",
        (2, 2),
        "container",
    ),
    "create": (
        "create",
        "Make a container without starting it",
        _RUN,
        "options_run.CREATE",
        "[options] IMAGE [COMMAND [ARG...]]",
        (1, -1),
        "image",
    ),
    "diff": (
        "diff",
        "List what changed in a container's or image's files",
        _LOOK,
        "DIFF",
        "[options] {CONTAINER|IMAGE} [{CONTAINER|IMAGE}]",
        ("names", '"pypod diff" requires a name, id, or the "--latest" flag'),
        "object",
    ),
    "doctor": (
        "doctor",
        "Tell what this machine lacks for containers, and what cures it",
        _SYSTEM,
        "options_other.DOCTOR",
        "[options]",
        (0, 0),
        "",
    ),
    "events": (
        "events",
        "Show what happens to containers, images, volumes and networks",
        _SYSTEM,
        "options_other.EVENTS",
        "[options]",
        (0, 0),
        "",
    ),
    "exec": (
        "exec",
        "Run a command in a running container",
        _RUN,
        "EXEC",
        "[options] CONTAINER COMMAND [ARG...]",
        ("first", "exec requires the name or ID of a container or the --latest flag"),
        "container",
    ),
    "export": (
        "export",
        "Write a container's root file system as a tar archive",
        _RUN,
        "options_other.EXPORT",
        "[options] CONTAINER",
        (1, 1),
        "container",
    ),
    "generate systemd": (
        "generate_systemd",
        "Make systemd units of a container or pod",
        _SYSTEM,
        "options_systemd.GENERATE",
        "[options] {CONTAINER|POD}",
        (1, 1),
        "container",
    ),
    "healthcheck run": (
        "healthcheck",
        "Run a container's health check once",
        _LOOK,
        "NONE",
        "CONTAINER",
        (1, 1),
        "container",
    ),
    "history": (
        "history",
        "Show the layers of an image",
        _IMAGE,
        "options_other.HISTORY",
        "[options] IMAGE",
        (1, 1),
        "image",
    ),
    "image exists": (
        "image_exists",
        "Tell by the exit code whether an image exists",
        _IMAGE,
        "NONE",
        "IMAGE",
        (1, 1),
        "image",
    ),
    "image inspect": (
        "inspect",
        "Show everything about images",
        _IMAGE,
        "options_other.IMAGE_INSPECT",
        "[options] {IMAGE|TRANSPORT:REFERENCE} [...]",
        ("names", "no names or ids specified"),
        "image",
    ),
    "image mount": (
        "image_mount",
        "Mount images' files for programs of the host, read-only",
        _IMAGE,
        "options_other.IMAGE_MOUNT",
        "[options] [IMAGE...]",
        (0, -1),
        "image",
    ),
    "image prune": (
        "image_prune",
        "Remove images that are not needed",
        _IMAGE,
        "options_other.IMAGE_PRUNE",
        "[options]",
        (0, 0),
        "",
    ),
    "image sign": (
        "image_sign",
        "Sign images with a key of gpg's",
        _IMAGE,
        "options_trust.SIGN",
        "[options] IMAGE [IMAGE...]",
        (1, -1),
        "image",
    ),
    "image tree": (
        "image_tree",
        "Show the layers of an image as a tree",
        _IMAGE,
        "options_other.IMAGE_TREE",
        "[options] IMAGE",
        (1, 1),
        "image",
    ),
    "image trust set": (
        "image_trust:change",
        "Say for a registry or repository whose images may be used",
        _IMAGE,
        "options_trust.SET",
        "[options] REGISTRY[/REPOSITORY]",
        (1, 1),
        "",
    ),
    "image trust show": (
        "image_trust:show",
        "Show which images may be used",
        _IMAGE,
        "options_trust.SHOW",
        "[options] [REGISTRY]",
        (0, 1),
        "",
    ),
    "image unmount": (
        "image_mount:umount",
        "Undo image mount",
        _IMAGE,
        "options_other.IMAGE_UMOUNT",
        "[options] IMAGE [IMAGE...]",
        (0, -1),
        "image",
    ),
    "images": (
        "images",
        "List images",
        _IMAGE,
        "options_other.IMAGES",
        "[options] [IMAGE]",
        (0, 1),
        "image",
    ),
    "import": (
        "import_",
        "Make an image of a tar archive of a root file system",
        _IMAGE,
        "options_other.IMPORT",
        "[options] PATH [REFERENCE]",
        (1, 2),
        "file",
    ),
    "info": (
        "info",
        "Show facts about this host and the store",
        _SYSTEM,
        "options_other.INFO",
        "[options]",
        (0, 0),
        "",
    ),
    "init": (
        "init",
        "Prepare containers in the runtime without starting them",
        _RUN,
        "INIT",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "inspect": (
        "inspect",
        "Show everything about containers, images, volumes or networks",
        _LOOK,
        "INSPECT",
        "[options] {CONTAINER|IMAGE|VOLUME|NETWORK} [...]",
        ("names", "no names or ids specified"),
        "object",
    ),
    "kill": (
        "kill",
        "Send a signal to running containers",
        _RUN,
        "KILL",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "load": (
        "load",
        "Load images from an archive",
        _IMAGE,
        "options_other.LOAD",
        "[options]",
        (0, 0),
        "",
    ),
    "login": (
        "login",
        "Log in to a registry",
        _SYSTEM,
        "options_registry.LOGIN",
        "[options] [REGISTRY]",
        (0, 1),
        "",
    ),
    "logout": (
        "login:logout",
        "Forget the credentials for a registry",
        _SYSTEM,
        "options_registry.LOGOUT",
        "[options] [REGISTRY]",
        (0, 1),
        "",
    ),
    "logs": (
        "logs",
        "Show what containers wrote",
        _LOOK,
        "LOGS",
        "[options] CONTAINER [CONTAINER...]",
        ("names", "specify at least one container name or ID to log"),
        "container",
    ),
    "manifest add": (
        "manifest:add",
        "Put images into a list",
        _IMAGE,
        "options_manifest.ADD",
        "[options] LIST IMAGE [IMAGE...]",
        (2, -1),
        "image",
    ),
    "manifest annotate": (
        "manifest:annotate",
        "Change what a list says of one of its images",
        _IMAGE,
        "options_manifest.ANNOTATE",
        "[options] LIST [DIGEST]",
        (1, 2),
        "image",
    ),
    "manifest create": (
        "manifest:create",
        "Make a list of images for several platforms",
        _IMAGE,
        "options_manifest.CREATE",
        "[options] LIST [IMAGE...]",
        (1, -1),
        "image",
    ),
    "manifest exists": (
        "manifest:exists",
        "Tell by the exit code whether a list exists",
        _IMAGE,
        "NONE",
        "LIST",
        (1, 1),
        "image",
    ),
    "manifest inspect": (
        "manifest:inspect",
        "Show a list, of the store or of a registry",
        _IMAGE,
        "options_manifest.INSPECT",
        "[options] LIST",
        (1, 1),
        "image",
    ),
    "manifest push": (
        "manifest:push",
        "Push a list and its images to a registry",
        _IMAGE,
        "options_manifest.PUSH",
        "[options] LIST [DESTINATION]",
        (1, 2),
        "image",
    ),
    "manifest remove": (
        "manifest:remove",
        "Take an image out of a list",
        _IMAGE,
        "NONE",
        "LIST DIGEST",
        (2, 2),
        "image",
    ),
    "manifest rm": (
        "manifest:rm",
        "Remove lists, and none of their images",
        _IMAGE,
        "options_manifest.RM",
        "[options] LIST [LIST...]",
        (1, -1),
        "image",
    ),
    "mount": (
        "mount",
        "Mount containers' root file systems for programs of the host",
        _LOOK,
        "MOUNT",
        "[options] [CONTAINER...]",
        (0, -1),
        "container",
    ),
    "network connect": (
        "network:connect",
        "Put a container on one more network",
        _NETWORK,
        "options_network.CONNECT",
        "[options] NETWORK CONTAINER",
        (2, 2),
        "network",
    ),
    "network create": (
        "network:create",
        "Define a bridge network",
        _NETWORK,
        "options_network.CREATE",
        "[options] [NAME]",
        (0, 1),
        "",
    ),
    "network disconnect": (
        "network:disconnect",
        "Take a container off a network",
        _NETWORK,
        "options_network.DISCONNECT",
        "[options] NETWORK CONTAINER",
        (2, 2),
        "network",
    ),
    "network exists": (
        "network:exists",
        "Tell by the exit code whether a network exists",
        _NETWORK,
        "NONE",
        "NETWORK",
        (1, 1),
        "network",
    ),
    "network inspect": (
        "network:inspect",
        "Show everything about networks",
        _NETWORK,
        "options_network.INSPECT",
        "[options] NETWORK [NETWORK...]",
        (1, -1),
        "network",
    ),
    "network ls": ("network:ls", "List networks", _NETWORK, "options_network.LS", "[options]", (0, 0), ""),
    "network prune": (
        "network:prune",
        "Remove the networks that no container is on",
        _NETWORK,
        "options_network.PRUNE",
        "[options]",
        (0, 0),
        "",
    ),
    "network reload": (
        "network:reload",
        "Make the networks of running containers anew",
        _NETWORK,
        "options_network.RELOAD",
        "[options] [CONTAINER...]",
        (0, -1),
        "container",
    ),
    "network rm": (
        "network:rm",
        "Remove networks",
        _NETWORK,
        "options_network.RM",
        "[options] NETWORK [NETWORK...]",
        (1, -1),
        "network",
    ),
    "network update": (
        "network:update",
        "Change the name servers of a network",
        _NETWORK,
        "options_network.UPDATE",
        "[options] NETWORK",
        (1, 1),
        "network",
    ),
    "pause": (
        "pause",
        "Freeze running containers",
        _RUN,
        "PAUSE",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "pod clone": (
        "pod:clone",
        "Make a pod like another one",
        _POD,
        "options_pod.CLONE",
        "[options] POD [NAME]",
        (1, 2),
        "pod",
    ),
    "pod create": (
        "pod:create",
        "Create a pod",
        _POD,
        "options_pod.CREATE",
        "[options] [NAME]",
        (0, 1),
        "",
    ),
    "pod exists": ("pod:exists", "Tell by the exit code whether a pod exists", _POD, "NONE", "POD", (1, 1), "pod"),
    "pod inspect": (
        "pod:inspect",
        "Show everything about pods",
        _POD,
        "options_pod.INSPECT",
        "[options] POD [POD...]",
        ("names", "no names or ids specified"),
        "pod",
    ),
    "pod kill": (
        "pod:kill",
        "Send a signal to the containers of pods",
        _POD,
        "options_pod.KILL",
        "[options] POD [POD...]",
        _NAMES,
        "pod",
    ),
    "pod logs": (
        "pod_logs",
        "Show what the containers of a pod wrote",
        _POD,
        "options_pod.LOGS",
        "[options] POD",
        (0, 1),
        "pod",
    ),
    "pod pause": (
        "pod:pause",
        "Freeze the containers of pods",
        _POD,
        "options_pod.PAUSE",
        "[options] POD [POD...]",
        _NAMES,
        "pod",
    ),
    "pod prune": (
        "pod:prune",
        "Remove the pods that have run and do not any more",
        _POD,
        "options_pod.PRUNE",
        "[options]",
        (0, 0),
        "",
    ),
    "pod ps": ("pod_ps", "List pods", _POD, "options_pod.PS", "[options]", (0, 0), ""),
    "pod restart": (
        "pod:restart",
        "Restart the containers of pods",
        _POD,
        "options_pod.RESTART",
        "[options] POD [POD...]",
        _NAMES,
        "pod",
    ),
    "pod rm": (
        "pod:rm",
        "Remove pods with their containers",
        _POD,
        "options_pod.RM",
        "[options] POD [POD...]",
        _NAMES,
        "pod",
    ),
    "pod start": (
        "pod:start",
        "Start the containers of pods",
        _POD,
        "options_pod.START",
        "[options] POD [POD...]",
        _NAMES,
        "pod",
    ),
    "pod stats": (
        "pod_stats",
        "Show what the containers of pods use of CPU, memory, network and disks",
        _POD,
        "options_pod.STATS",
        "[options] [POD...]",
        (0, -1),
        "pod",
    ),
    "pod stop": (
        "pod:stop",
        "Stop the containers of pods",
        _POD,
        "options_pod.STOP",
        "[options] POD [POD...]",
        _NAMES,
        "pod",
    ),
    "pod top": (
        "pod_top",
        "Show the processes of a pod",
        _POD,
        "options_pod.TOP",
        "[options] POD [FORMAT-DESCRIPTORS|ARGS...]",
        ("first", "you must provide the name or id of a running pod"),
        "pod",
    ),
    "pod unpause": (
        "pod:unpause",
        "Let the containers of paused pods run on",
        _POD,
        "options_pod.PAUSE",
        "[options] POD [POD...]",
        _NAMES,
        "pod",
    ),
    "port": (
        "port",
        "List the published ports of containers",
        _LOOK,
        "PORT",
        "[options] CONTAINER [PORT]",
        ("first", "you must supply a running container name or id"),
        "container",
    ),
    "ps": ("ps", "List containers", _LOOK, "PS", "[options]", (0, 0), ""),
    "pull": (
        "pull",
        "Pull images from registries, archives and directories",
        _IMAGE,
        "options_registry.PULL",
        "[options] IMAGE [IMAGE...]",
        ("names", "must specify at least one image name"),
        "",
    ),
    "push": (
        "push",
        "Push an image to a registry, an archive or a directory",
        _IMAGE,
        "options_registry.PUSH",
        "[options] IMAGE [DESTINATION]",
        (1, 2),
        "image",
    ),
    "rename": ("rename", "Give a container another name", _RUN, "NONE", "CONTAINER NAME", (2, 2), "container"),
    "restart": (
        "restart",
        "Stop containers and start them again",
        _RUN,
        "RESTART",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "rm": (
        "rm",
        "Remove containers",
        _RUN,
        "RM",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "rmi": (
        "rmi",
        "Remove images",
        _IMAGE,
        "options_other.RMI",
        "[options] IMAGE [IMAGE...]",
        (0, -1),
        "image",
    ),
    "run": (
        "run",
        "Run a command in a new container",
        _RUN,
        "options_run.RUN",
        "[options] IMAGE [COMMAND [ARG...]]",
        (1, -1),
        "image",
    ),
    "save": (
        "save",
        "Write images to an archive",
        _IMAGE,
        "options_other.SAVE",
        "[options] IMAGE [IMAGE...]",
        ("names", "need at least 1 argument"),
        "image",
    ),
    "schema": (
        "schema",
        "Print the JSON Schema of what a command prints with --format json",
        _SYSTEM,
        "options_other.SCHEMA",
        "[options] [COMMAND...]",
        (0, -1),
        "",
    ),
    "search": (
        "search",
        "Search registries for images",
        _IMAGE,
        "options_registry.SEARCH",
        "[options] TERM",
        (1, 1),
        "",
    ),
    "secret create": (
        "secret:create",
        "Keep a secret for containers",
        _SECRET,
        "options_other.SECRET_CREATE",
        "[options] NAME FILE|-",
        (2, 2),
        "file",
    ),
    "secret exists": (
        "secret:exists",
        "Tell by the exit code whether a secret exists",
        _SECRET,
        "NONE",
        "SECRET",
        (1, 1),
        "secret",
    ),
    "secret inspect": (
        "secret:inspect",
        "Show everything about secrets but what is in them",
        _SECRET,
        "options_other.SECRET_INSPECT",
        "[options] SECRET [SECRET...]",
        (1, -1),
        "secret",
    ),
    "secret ls": (
        "secret:ls",
        "List secrets",
        _SECRET,
        "options_other.SECRET_LS",
        "[options]",
        (0, 0),
        "",
    ),
    "secret rm": (
        "secret:rm",
        "Forget secrets",
        _SECRET,
        "options_other.SECRET_RM",
        "[options] SECRET [SECRET...]",
        (0, -1),
        "secret",
    ),
    "start": (
        "start",
        "Start containers",
        _RUN,
        "START",
        "[options] CONTAINER [CONTAINER...]",
        ("names", "start requires at least one argument"),
        "container",
    ),
    "stats": (
        "stats",
        "Show what containers use of CPU, memory, network and disks",
        _LOOK,
        "STATS",
        "[options] [CONTAINER...]",
        (0, -1),
        "container",
    ),
    "stop": (
        "stop",
        "Stop containers",
        _RUN,
        "STOP",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "tag": (
        "tag",
        "Give an image more names",
        _IMAGE,
        "NONE",
        "IMAGE TARGET_NAME [TARGET_NAME...]",
        (2, -1),
        "image",
    ),
    "top": (
        "top",
        "Show the processes of a container",
        _LOOK,
        "TOP",
        "[options] CONTAINER [FORMAT-DESCRIPTORS|ARGS...]",
        ("first", "you must provide the name or id of a running container"),
        "container",
    ),
    "update": (
        "update",
        "Change the limits, restart policy or health check of a container",
        _RUN,
        "options_update.UPDATE",
        "[options] CONTAINER",
        ("first", "accepts 1 arg(s), received 0"),
        "container",
    ),
    "unpause": (
        "unpause",
        "Thaw frozen containers",
        _RUN,
        "PAUSE",
        "[options] CONTAINER [CONTAINER...]",
        _NAMES,
        "container",
    ),
    "system check": (
        "system_check",
        "Check the store, and repair it",
        _SYSTEM,
        "options_other.SYSTEM_CHECK",
        "[options]",
        (0, 0),
        "",
    ),
    "system df": (
        "system_df",
        "Show how much space images, containers and volumes take",
        _SYSTEM,
        "options_other.SYSTEM_DF",
        "[options]",
        (0, 0),
        "",
    ),
    "system migrate": (
        "system_migrate",
        "Stop all containers, so that the user namespace is made anew",
        _SYSTEM,
        "options_other.SYSTEM_MIGRATE",
        "[options]",
        (0, 0),
        "",
    ),
    "system prune": (
        "system_prune",
        "Remove everything that nothing uses",
        _SYSTEM,
        "options_other.SYSTEM_PRUNE",
        "[options]",
        (0, 0),
        "",
    ),
    "system renumber": (
        "system_migrate:renumber",
        "Do nothing: locks have no numbers here",
        _SYSTEM,
        "NONE",
        "",
        (0, 0),
        "",
    ),
    "system reset": (
        "system_reset",
        "Remove all containers, images, volumes and networks",
        _SYSTEM,
        "options_other.SYSTEM_RESET",
        "[options]",
        (0, 0),
        "",
    ),
    "umount": (
        "mount:umount",
        "Undo mount",
        _LOOK,
        "UMOUNT",
        "[options] CONTAINER [CONTAINER...]",
        ("names", "you must provide at least one name or id"),
        "container",
    ),
    "unshare": (
        "unshare",
        "Run a command in the user namespace that containers run in",
        _SYSTEM,
        "options_other.UNSHARE",
        "[options] [COMMAND [ARG...]]",
        (0, -1),
        "",
    ),
    "untag": ("untag", "Take names from an image", _IMAGE, "NONE", "IMAGE [IMAGE...]", (1, -1), "image"),
    "version": ("version", "Show the version", _SYSTEM, "options_other.VERSION", "[options]", (0, 0), ""),
    "volume create": (
        "volume:create",
        "Make a volume",
        _VOLUME,
        "options_other.VOLUME_CREATE",
        "[options] [NAME]",
        (0, 1),
        "",
    ),
    "volume exists": (
        "volume:exists",
        "Tell by the exit code whether a volume exists",
        _VOLUME,
        "NONE",
        "VOLUME",
        (1, 1),
        "volume",
    ),
    "volume export": (
        "volume:export",
        "Write a volume's files as a tar archive",
        _VOLUME,
        "options_other.VOLUME_EXPORT",
        "[options] VOLUME",
        (1, 1),
        "volume",
    ),
    "volume import": (
        "volume:import_",
        "Fill a volume from a tar archive",
        _VOLUME,
        "NONE",
        "VOLUME [SOURCE]",
        (1, 2),
        "volume",
    ),
    "volume inspect": (
        "volume:inspect",
        "Show everything about volumes",
        _VOLUME,
        "options_other.VOLUME_INSPECT",
        "[options] VOLUME [VOLUME...]",
        ("names", "choose either one or more volumes or all"),
        "volume",
    ),
    "volume ls": ("volume:ls", "List volumes", _VOLUME, "options_other.VOLUME_LS", "[options]", (0, 0), ""),
    "volume mount": ("volume:mount", "Mount a volume and print where", _VOLUME, "NONE", "VOLUME", (1, 1), "volume"),
    "volume prune": (
        "volume:prune",
        "Remove the volumes that no container uses",
        _VOLUME,
        "options_other.VOLUME_PRUNE",
        "[options]",
        (0, 0),
        "",
    ),
    "volume rm": (
        "volume:rm",
        "Remove volumes",
        _VOLUME,
        "options_other.VOLUME_RM",
        "[options] VOLUME [VOLUME...]",
        ("names", "choose either one or more volumes or all"),
        "volume",
    ),
    "volume unmount": ("volume:unmount", "Undo volume mount", _VOLUME, "NONE", "VOLUME", (1, 1), "volume"),
    "wait": (
        "wait",
        "Wait for containers to stop, and print their exit codes",
        _RUN,
        "WAIT",
        "[options] CONTAINER [CONTAINER...]",
        ("names", '"pypod wait" requires a name, id, or the "--latest" flag'),
        "container",
    ),
}

# The arguments of these are another command's from the first word on: flags there are not ours.
OWN_ARGUMENTS = frozenset(("create", "exec", "pod top", "run", "schema", "top", "unshare"))

ALIASES = {
    "container commit": "commit",
    "container list": "ps",
    "container ls": "ps",
    "container ps": "ps",
    "image list": "images",
    "image ls": "images",
    "image rm": "rmi",
    "image remove": "rmi",
    "image umount": "image unmount",
    "unmount": "umount",
    "container unmount": "umount",
    "system events": "events",
    "system info": "info",
    "network list": "network ls",
    "network remove": "network rm",
    "pod list": "pod ps",
    "pod ls": "pod ps",
    "secret list": "secret ls",
    "secret remove": "secret rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}

_UNDER_IMAGE = frozenset(("diff", "history", "import", "load", "pull", "push", "save", "search", "tag", "untag"))


class Command:
    """One entry of the table, with the path that the user typed. A bad path raises UsageError, from ``find``."""

    __slots__ = ("arguments", "completes", "flags_name", "module", "name", "path", "section", "summary", "usage")

    def __init__(self, name: str, path: str) -> None:
        self.name = name  # the key of COMMANDS
        self.path = path  # as typed, "container ls"
        (
            self.module,
            self.summary,
            self.section,
            self.flags_name,
            self.usage,
            self.arguments,
            self.completes,
        ) = COMMANDS[name]

    @property
    def own_arguments(self) -> bool:
        """Whether flags end at the first argument."""
        return self.name in OWN_ARGUMENTS

    def flags(self) -> tuple[tuple[Any, ...], ...]:
        """The command's flags, as ``options`` describes them."""
        module, _, name = self.flags_name.rpartition(".")
        found: tuple[tuple[Any, ...], ...] = getattr(load(module or "options"), name)
        return found


def load(module: str) -> Any:
    """Import one module of pypod.cli."""
    return __import__("pypod.cli." + module, None, None, ("run",))


def canonical(path: str) -> str | None:
    """The key of COMMANDS that a path as typed means: "container ls" means "ps"."""
    if path in COMMANDS:
        return path
    if path in ALIASES:
        return ALIASES[path]
    group, _, verb = path.partition(" ")
    if group == "container" and verb in COMMANDS and COMMANDS[verb][2] in (_RUN, _LOOK):
        return verb
    if group == "image" and verb in _UNDER_IMAGE:
        return verb
    return None


def members(group: str) -> dict[str, str]:
    """The verbs of a group ("" for the top level, groups included) with the keys of COMMANDS that they mean."""
    found = {}
    for path in (*COMMANDS, *ALIASES):
        head, _, verb = path.rpartition(" ")
        if head == group:
            found[verb] = canonical(path) or path
        elif not head and (name := canonical(f"{group} {verb}")) is not None:
            found[verb] = name
    return dict(sorted(found.items()))


def groups(group: str) -> dict[str, str]:
    """The groups in a group ("" for the top level), by their last word, with their summaries."""
    found = {}
    for path, summary in GROUPS.items():
        head, _, word = path.rpartition(" ")
        if head == group:
            found[word] = summary
    return found


def suggestions(word: str, known: Sequence[str]) -> list[str]:
    """The words of ``known`` that ``word`` may have been meant for."""
    import difflib

    close = difflib.get_close_matches(word, known, 3, 0.6)
    return close or [item for item in known if len(word) > 1 and item.startswith(word)][:3]


def unknown(path: str) -> UsageError:
    """The error for a path that is no command."""
    group, _, verb = path.rpartition(" ")
    known = [*members(group), *groups(group)]
    close = suggestions(verb, known)
    shown = " ".join(("pypod", path))
    if close:
        more = "Did you mean this? " + ", ".join(close)
    else:
        more = f"Try 'pypod{' ' if group else ''}{group} --help' for more information"
    return UsageError(f"unrecognized command `{shown}`\n{more}")
