"""An OCI runtime's command line (runtime-spec, runtime.md; crun(1), runc(8))."""

from __future__ import annotations

import os

from pypod.base import fastjson, files, process
from pypod.errors import NotFound, RuntimeFailed, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Runtime:
    """One runtime executable, with where it keeps its records.

    ``path`` is absolute; ``root`` is its state directory ("" for its own default); ``log`` the file for the errors of
    the calls made here. ``cgroup_manager`` is cgroupfs, systemd, disabled, or "" for the runtime's default.
    """

    def __init__(
        self,
        path: str,
        root: str | None = None,
        log: str = "",
        *,
        cgroup_manager: str = "",
        flags: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.root = root or ""
        self.log = log
        self.cgroup_manager = cgroup_manager
        self.flags = list(flags)
        self.env = env  # of the calls made here; None: ours

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def global_args(self, log_path: str = "") -> list[str]:
        """The arguments that stand before the verb, for us and for the monitor."""
        args = list(self.flags)
        log = log_path or self.log
        if log:
            args += ["--log-format=json", "--log", log]
        if self.root:
            args += ["--root", self.root]
        if self.name == "crun":
            if self.cgroup_manager:
                args.append("--cgroup-manager=" + self.cgroup_manager)
        elif self.cgroup_manager == "systemd":
            args.append("--systemd-cgroup")
        return args

    def argv(self, *words: str) -> list[str]:
        return [self.path, *self.global_args(), *words]

    def exec_argv(
        self,
        id: str,
        *,
        process_file: str,
        pid_file: str = "",
        log_path: str = "",
        detach: bool = False,
        console_socket: str = "",
        preserve_fds: int = 0,
    ) -> list[str]:
        """The command that runs the process of a JSON file (runtime-spec "process") in a container."""
        words = [self.path, *self.global_args(log_path), "exec", "--process", process_file]
        if pid_file:
            words += ["--pid-file", pid_file]
        if detach:
            words.append("--detach")
        if console_socket:
            words += ["--console-socket", console_socket]
        if preserve_fds:
            words += ["--preserve-fds", str(preserve_fds)]
        return [*words, id]

    def start(self, id: str) -> None:
        """Let the created container run its process. Raises RuntimeFailed."""
        self._call("start", id)

    def kill(self, id: str, number: int, everybody: bool = False) -> None:
        """Signal the container's process, or every process in it. Raises RuntimeFailed."""
        # runc and crun spell it alike since 1.0; neither minds a number for a signal.
        self._call("kill", *(["--all"] if everybody else []), id, str(number))

    def delete(self, id: str, force: bool = False) -> None:
        """Remove the runtime's record of a stopped container (``force``: kill it); fine if there is none.

        Raises RuntimeFailed.
        """
        done = self._run("delete", *(["--force"] if force else []), id)
        if done.status and not _unknown(done.message):
            raise self.failure(done.message)

    def forget(self, id: str) -> bool:
        """``delete`` of a stopped container without starting the runtime (10 ms); False if only that can do it.

        Where the container has no cgroup, its record in our own ``root`` is all that there is of it; crun and runc
        keep it in the directory named after it. Nothing may run in the container any more.
        """
        if self.cgroup_manager != "disabled" or not self.root or self.name not in ("crun", "runc"):
            return False
        try:
            files.remove_tree(f"{self.root}/{id}")
        except OSError:
            return False
        return True

    def start_delete(self, id: str) -> int:
        """Begin ``delete --force`` and return at once; its pid, for ``finish_delete``. Raises OSError."""
        return process.spawn(self.argv("delete", "--force", id), env=self.env, stdin=-1, stdout=-1, stderr=-1)

    def finish_delete(self, pid: int) -> None:
        process.wait(pid)

    def state(self, id: str) -> dict[str, Any]:
        """The runtime's view: ociVersion, id, status, pid, bundle (runtime.md, "State"). Raises RuntimeFailed."""
        document: dict[str, Any] = fastjson.loads(self._call("state", id))
        return document

    def pause(self, id: str) -> None:
        """Freeze the container's cgroup. Raises RuntimeFailed."""
        self._call("pause", id)

    def resume(self, id: str) -> None:
        """Thaw the container's cgroup. Raises RuntimeFailed."""
        self._call("resume", id)

    def update(self, id: str, resources: str) -> None:
        """Give a container the limits in a file: "linux.resources" of the OCI config. Raises RuntimeFailed."""
        self._call("update", "--resources", resources, id)

    def checkpoint(self, id: str, images: str, work: str, words: Sequence[str]) -> None:
        """Have criu write the container's processes to the directory ``images``, its log to ``work``.

        Raises RuntimeFailed.
        """
        self._call("checkpoint", "--image-path", images, "--work-path", work, *words, id)

    def version(self) -> str:
        """The first line of ``--version``. Raises RuntimeFailed."""
        try:
            done = process.run([self.path, "--version"], stdin=-1)
        except OSError as error:
            raise self._cannot_start(error) from None
        return done.stdout.decode("utf-8", "replace").partition("\n")[0].strip()

    @property
    def features(self) -> dict[str, Any]:
        """The runtime's ``features`` document; {} if it has none (runc before 1.1, crun before 1.9)."""
        try:
            done = process.run([self.path, "features"], stdin=-1)
            document = fastjson.loads(done.stdout) if not done.status else {}
        except (OSError, fastjson.BadJson):
            return {}
        return document if isinstance(document, dict) else {}

    def failure(self, message: str = "", log_path: str = "") -> RuntimeFailed:
        """The error for a call that failed: from the runtime's log file, else from ``message``, what it wrote."""
        log = log_path or self.log
        from pypod.runtime import errors

        text = (errors.last_error(log) if log else "") or errors.from_text(message)
        return errors.failure(self.name, text)

    def _run(self, *words: str) -> process.Finished:
        try:
            return process.run(self.argv(*words), env=self.env, stdin=-1)
        except OSError as error:
            raise self._cannot_start(error) from None

    def _call(self, *words: str) -> bytes:
        done = self._run(*words)
        if done.status:
            raise self.failure(done.message)
        return done.stdout

    def _cannot_start(self, error: OSError) -> RuntimeFailed | NotFound:
        if isinstance(error, FileNotFoundError):
            return NotFound(f"OCI runtime {self.path} not found", hint="apt-get install crun, or runc")
        return RuntimeFailed(f"cannot start OCI runtime {self.path}: {reason(error)}")


def _unknown(message: str) -> bool:
    return "does not exist" in message or "No such file or directory" in message
