"""The flags of the image, volume and system commands. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import ACCESS, CREDS, FORMAT, PLATFORM, PROGRESS, RETRY

_FORCE = (("force f", "bool", False, "", "Do not ask"),)
_QUIET = (("quiet q", "bool", False, "", "No progress output"),)
_POLICY = (("signature-policy", "str", None, "FILE", ""),)

IMAGES = (
    ("all a", "bool", False, "", "Show intermediate images too"),
    ("digests", "bool", False, "", "Show digests"),
    ("filter f", "array", (), "KEY=VALUE", "Only images that this describes"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("history", "bool", False, "", "Show the names that each image has had"),
    ("no-trunc", "bool", False, "", "Show IDs in full"),
    ("noheading n", "bool", False, "", "No headings"),
    ("quiet q", "bool", False, "", "Only the IDs"),
    ("sort", "str", "created", "FIELD", "Sort by this field", ("created", "id", "repository", "size", "tag")),
)
RMI = (
    ("all a", "bool", False, "", "Every image"),
    ("force f", "bool", False, "", "Remove the containers of the image too, and all its names"),
    ("ignore i", "bool", False, "", "An image that does not exist is no error"),
    ("no-prune", "bool", False, "", "Keep parents that have no name"),
)
HISTORY = (
    ("format", "str", None, "FORMAT", "json, or a Go template"),
    ("human H", "bool", True, "", "Sizes and times for people"),
    ("no-trunc", "bool", False, "", "Show everything in full"),
    ("quiet q", "bool", False, "", "Only the IDs"),
)
LOAD = (
    ("input i", "str", None, "FILE", "Read this archive or directory (default stdin)"),
    *PROGRESS,
    *_QUIET,
    *_POLICY,
)
IMPORT = (
    ("arch", "str", None, "ARCH", "Architecture of the image"),
    (
        "change c",
        "array",
        (),
        "INSTRUCTION",
        "Apply an instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, WORKDIR and more",
    ),
    ("message m", "str", None, "TEXT", "Comment in the image's history"),
    ("os", "str", None, "OS", "Operating system of the image"),
    *PROGRESS,
    *_QUIET,
    *_POLICY,
    ("variant", "str", None, "VARIANT", "Architecture variant of the image"),
)
COMMIT = (
    ("author a", "str", None, "AUTHOR", "The author of the image"),
    (
        "change c",
        "array",
        (),
        "INSTRUCTION",
        "Apply an instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR",
    ),
    ("config", "str", None, "FILE", "Merge this container configuration (Docker's JSON) into the image"),
    ("format f", "str", "oci", "FORMAT", "The format of manifest and configuration", ("oci", "docker")),
    ("iidfile", "str", None, "FILE", "Write the image's ID to this file"),
    ("include-volumes", "bool", False, "", "Name the container's volumes, binds and tmpfs as volumes of the image"),
    ("message m", "str", None, "TEXT", "The commit message (with --format docker)"),
    ("pause p", "bool", False, "", "Freeze the container meanwhile"),
    *PROGRESS,
    *_QUIET,
    ("squash s", "bool", False, "", "One layer with everything instead of one more"),
)
EXPORT = (("output o", "str", None, "FILE", "Write to this file (default stdout)"),)
SAVE = (
    ("compress", "bool", False, "", "Compress the layers (with --format docker-dir)"),
    (
        "format",
        "str",
        "docker-archive",
        "FORMAT",
        "What to write",
        ("docker-archive", "oci-archive", "oci-dir", "docker-dir"),
    ),
    ("multi-image-archive m", "bool", None, "", "Every argument is an image, not one more name of the first"),
    ("output o", "str", None, "FILE", "Write to this file or directory (default stdout)"),
    *PROGRESS,
    *_QUIET,
    *_POLICY,
    ("uncompressed", "bool", False, "", "Leave the layers uncompressed (with the OCI formats)"),
)
IMAGE_PRUNE = (
    ("all a", "bool", False, "", "Every image that no container uses, not only those without a name"),
    ("build-cache", "bool", False, "", "What RUN --mount=type=cache has kept, too"),
    ("external", "bool", False, "", "Those that only working containers of buildah use, with these containers"),
    ("filter", "array", (), "KEY=VALUE", "Only images that this describes: label, until"),
    *_FORCE,
)
IMAGE_INSPECT = (
    *FORMAT,
    *ACCESS,
    *CREDS,
    *RETRY,
    *PLATFORM,
    ("config", "bool", False, "", "Write the image's config as it is"),
    ("raw", "bool", False, "", "Write the manifest or index that the name leads to, as it is"),
)
IMAGE_MOUNT = (
    ("all a", "bool", False, "", "Every image"),
    ("format", "str", None, "FORMAT", "json"),
)
IMAGE_UMOUNT = (
    ("all a", "bool", False, "", "Every image that is mounted"),
    ("force f", "bool", False, "", "Also if it is mounted several times, or in use"),
)
IMAGE_TREE = (("whatrequires", "bool", False, "", "Show the layers and images built on it instead"),)
SYSTEM_DF = (
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("verbose v", "bool", False, "", "Every image, container and volume"),
)

VOLUME_CREATE = (
    ("driver d", "str", "local", "DRIVER", "The volume driver"),
    ("gid", "uint", None, "ID", "The group that owns the volume"),
    ("ignore", "bool", False, "", "A volume that exists already is no error"),
    ("label l", "array", (), "KEY[=VALUE]", "Label the volume"),
    ("opt o", "array", (), "KEY=VALUE", "Option of the driver: type, device, o"),
    ("uid", "uint", None, "ID", "The user who owns the volume"),
)
VOLUME_LS = (
    ("filter f", "array", (), "KEY=VALUE", "Only volumes that this describes"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("noheading n", "bool", False, "", "No headings"),
    ("quiet q", "bool", False, "", "Only the names"),
)
VOLUME_RM = (
    ("all a", "bool", False, "", "Every volume"),
    ("force f", "bool", False, "", "Remove the containers that use it too"),
    ("time t", "uint", None, "SECONDS", "Wait this long before killing those containers (default 10)"),
)
VOLUME_INSPECT = (("all a", "bool", False, "", "Every volume"), *FORMAT)
VOLUME_PRUNE = (("filter", "array", (), "KEY=VALUE", "Only volumes that this describes"), *_FORCE)
VOLUME_EXPORT = (("output o", "str", None, "FILE", "Write to this file (default stdout)"),)

SYSTEM_CHECK = (
    ("force f", "bool", False, "", "With --repair, remove the containers that use what is damaged too"),
    ("max m", "str", "24h", "DURATION", "Layers that nothing uses are left alone if younger than this"),
    ("quick q", "bool", False, "", "Compare the sizes of files, not what is in them"),
    ("repair r", "bool", False, "", "Remove what belongs to nobody, and damaged images that no container uses"),
)
UNSHARE = (("rootless-netns", "bool", False, "", "Join the network namespace of rootless bridges too"),)
COMPLETION = (
    ("file f", "str", None, "FILE", "Write to this file (default stdout)"),
    ("no-desc", "bool", False, "", "Leave out the descriptions"),
)
SCHEMA = (("fields", "str", None, "TEMPLATE", ""),)  # for completion: what may follow
SECRET_CREATE = (
    ("driver d", "str", "file", "DRIVER", "How it is kept; only file is supported"),
    ("driver-opts", "array", (), "KEY=VALUE", "Options of the driver"),
    ("env", "bool", False, "", "Take the data from the environment variable FILE"),
    ("ignore", "bool", False, "", "Leave a secret of this name as it is"),
    ("label l", "array", (), "KEY=VALUE", "A label"),
    ("replace", "bool", False, "", "Give a secret of this name other data"),
)
SECRET_INSPECT = (
    *FORMAT,
    ("pretty", "bool", False, "", "For people"),
    ("showsecret", "bool", False, "", "Show what is in it too"),
)
SECRET_LS = (
    ("filter f", "array", (), "KEY=VALUE", "Only secrets that this describes"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("noheading n", "bool", False, "", "No headings"),
    ("quiet q", "bool", False, "", "Only the IDs"),
)
SECRET_RM = (
    ("all a", "bool", False, "", "Every secret"),
    ("ignore i", "bool", False, "", "Say nothing of one that does not exist"),
)
EVENTS = (
    ("filter f", "array", (), "KEY=VALUE", "Only events that this describes"),
    ("format", "str", None, "FORMAT", "json, or a Go template"),
    ("no-stream", "bool", False, "", "Only what has happened so far"),
    ("no-trunc", "bool", True, "", "Show IDs in full"),
    ("since", "str", None, "TIME", "Events from this time on: a date, Unix seconds, or a duration ago"),
    ("stream", "bool", True, "", "Go on as events come"),
    ("until", "str", None, "TIME", "Events up to this time; a duration is from now on"),
)
SYSTEM_PRUNE = (
    ("all a", "bool", False, "", "Every image that no container uses, not only those without a name"),
    ("build", "bool", False, "", "Working containers of buildah too, but for those of a `pypod build` that goes on"),
    ("filter", "array", (), "KEY=VALUE", "Only what this describes: label, label!, until"),
    *_FORCE,
    ("volumes", "bool", False, "", "Volumes too"),
)
SYSTEM_RESET = _FORCE
SYSTEM_MIGRATE = (
    ("migrate-db", "bool", False, "", ""),
    ("new-runtime", "str", None, "RUNTIME", "The OCI runtime that every container is to have"),
)
INFO = FORMAT
DOCTOR = FORMAT
VERSION = FORMAT
