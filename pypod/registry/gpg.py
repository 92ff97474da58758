"""gpg, called with nothing of the user's: a home of its own that holds only the keys it is given."""

from __future__ import annotations

import os
import tempfile

from pypod.base import files, process
from pypod.base.record import record
from pypod.errors import PolicyError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

MOST_TEXT = 1 << 20  # bytes of a signed text
_SECONDS = 5  # of processor time for one call: compressed data may be without end


def program() -> str:
    """The path of gpg. Raises PolicyError."""
    found = process.find("gpg") or process.find("gpg2")
    if found is None:
        raise PolicyError("cannot find gpg, which makes and checks signatures", hint="apt install gpg")
    return found


@record
class Verified:
    """What gpg made of a signature: its status lines, each split into words, its messages, and the signed text."""

    success: bool
    status: tuple[tuple[str, ...], ...]
    message: str
    text: bytes

    def of(self, keyword: str) -> list[tuple[str, ...]]:
        """The arguments of each status line that begins with ``keyword``."""
        return [words[1:] for words in self.status if words[0] == keyword]


class PrivateHome:
    """A GNUPGHOME that is gone at the end; a context manager. No agent is started for it."""

    def __init__(self) -> None:
        self._program = program()
        self._home = tempfile.TemporaryDirectory(prefix="pypod-gpg-", ignore_cleanup_errors=True)
        self._count = 0

    def __enter__(self) -> PrivateHome:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._home.cleanup()

    def _run(self, arguments: Sequence[str]) -> Verified:
        home = self._home.name
        status = f"{home}/status"
        argv = ["/bin/sh", "-c", f'ulimit -t {_SECONDS} && exec "$@"', "gpg"]
        argv += [self._program, "--homedir", home, "--no-options", "--batch", "--no-tty", "--no-autostart"]
        argv += ["--disable-dirmngr", "--no-auto-key-retrieve", "--no-auto-check-trustdb"]
        argv += ["--trust-model", "always", "--status-file", status, *arguments]
        env = {"PATH": process.DEFAULT_PATH, "LC_ALL": "C", "HOME": home, "GNUPGHOME": home}
        try:
            done = process.run(argv, env=env, stdin=-1)
            lines = files.read(status, MOST_TEXT).decode("utf-8", "replace").splitlines()
            os.unlink(status)
        except OSError as error:
            raise PolicyError(f"cannot run {self._program}: {reason(error)}") from None
        words = [tuple(line.split()[1:]) for line in lines if line.startswith("[GNUPG:] ")]
        return Verified(
            success=done.status == 0,
            status=tuple(item for item in words if item),
            message=done.message,
            text=done.stdout,
        )

    def _keep(self, data: bytes) -> str:
        self._count += 1
        path = f"{self._home.name}/{self._count}"
        files.replace(path, data)
        return path

    def add_keys(self, ring: bytes) -> set[str]:
        """Take public keys, armored or not. The fingerprints of the primary keys."""
        done = self._run(["--import-options", "import-minimal", "--import", "--", self._keep(ring)])
        return {words[1] for words in done.of("IMPORT_OK") if len(words) > 1}

    def users(self, ring: bytes) -> list[str]:
        """The mail addresses in the user ids of public keys; a user id that has none as it is."""
        done = self._run(["--with-colons", "--import-options", "show-only", "--import", "--", self._keep(ring)])
        found = []
        for line in done.text.decode("utf-8", "replace").splitlines():
            fields = line.split(":")
            if fields[0] == "uid" and len(fields) > 9:
                user = fields[9].replace("\\x3a", ":")
                found.append(user.partition("<")[2].partition(">")[0] or user)
        return found

    def verify(self, signature: bytes) -> Verified:
        """What gpg says of one message that contains signature and text."""
        return self._run(["--max-output", str(MOST_TEXT), "--output", "-", "--verify", "--", self._keep(signature)])
