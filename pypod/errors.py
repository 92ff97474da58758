"""Every error that pypod reports, and the exit code each one means.

This module imports nothing, so that any module can raise and catch these without cost.

    PypodError (125)
    ├── UsageError           the command line is wrong
    ├── ConfigError          a configuration file does not parse or contradicts itself
    ├── NotFound             the named object does not exist
    │   ├── NoSuchContainer  ├── NoSuchImage  ├── NoSuchVolume  └── NoSuchPod
    ├── InUse                the object exists already, or something depends on it
    ├── BadState             the object is in a state in which this cannot be done
    ├── BadArchive           an image archive, layer or manifest is broken or hostile
    ├── StorageError         the store on disk cannot be read or written
    ├── NamespaceError       the user or mount namespace cannot be set up
    ├── NetworkError         the container's network cannot be set up
    ├── MonitorError         the monitor could not be started or answered wrongly
    ├── RegistryError        a registry cannot be reached, refuses, or answers what it must not
    │   ├── NotThere         it has no such repository, manifest or blob
    │   ├── Unauthorized     it wants credentials, or others
    │   └── ConnectionCut    the connection broke too often: what has come may be kept for the next try
    ├── PolicyError          policy.json does not allow the image
    └── RuntimeFailed        the OCI runtime refused
        ├── CommandNotExecutable (126)
        └── CommandNotFound      (127)
"""


class PypodError(Exception):
    """One line for the user: ``Error: <message>``, then the hint on a line of its own.

    ``code`` is the exit code (podman-run(1), "EXIT STATUS"). ``ref`` names the kind of error to programs
    (--log-format json): it never changes, whatever the class is called.
    """

    code = 125
    ref = "error"

    def __init__(self, message: str, *, hint: str = "", code: "int | None" = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(PypodError):
    ref = "usage"


class ConfigError(PypodError):
    ref = "configuration"


class NotFound(PypodError):
    ref = "not-found"


class NoSuchContainer(NotFound):
    ref = "no-such-container"


class NoSuchImage(NotFound):
    ref = "no-such-image"


class NoSuchVolume(NotFound):
    ref = "no-such-volume"


class NoSuchPod(NotFound):
    ref = "no-such-pod"


class InUse(PypodError):
    ref = "in-use"


class BadState(PypodError):
    ref = "bad-state"


class BadArchive(PypodError):
    ref = "bad-archive"


class StorageError(PypodError):
    ref = "storage"


class NamespaceError(PypodError):
    ref = "namespace"


class NetworkError(PypodError):
    ref = "network"


class MonitorError(PypodError):
    ref = "monitor"


class RegistryError(PypodError):
    ref = "registry"


class NotThere(RegistryError):
    ref = "not-there"


class Unauthorized(RegistryError):
    ref = "unauthorized"


class ConnectionCut(RegistryError):
    ref = "connection-cut"


class PolicyError(PypodError):
    ref = "policy"


class RuntimeFailed(PypodError):
    ref = "runtime-failed"


class CommandNotExecutable(RuntimeFailed):
    ref = "command-not-executable"
    code = 126


class CommandNotFound(RuntimeFailed):
    ref = "command-not-found"
    code = 127


def reason(error: OSError) -> str:
    """The cause alone, without errno and path: "No such file or directory"."""
    return error.strerror or str(error)
