"""OpenPGP keys of the tests' own, made and used by the real gpg."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support import disk
from support.users import User, root

LONG_AGO = "20200101T000000!"


class Keys:
    """A GNUPGHOME, owned by ``user``; its path is short, as the agent's socket lies in it."""

    def __init__(self, user: User | None = None) -> None:
        self.user = user or root()
        self.home = Path(tempfile.mkdtemp(prefix="pk", dir=disk.place()))
        if self.user.switch:
            os.chown(self.home, self.user.uid, self.user.gid)

    @property
    def env(self) -> dict[str, str]:
        return {"GNUPGHOME": str(self.home)}

    def gpg(self, *arguments: str, text: bytes = b"", fails: bool = False) -> bytes:
        """gpg's stdout."""
        done = subprocess.run(
            ["gpg", "--batch", "--yes", *arguments],
            input=text,
            capture_output=True,
            env=self.user.environment() | self.env,
            check=False,
            cwd="/",
            **self.user.popen_options(),
        )
        assert fails or done.returncode == 0, done.stderr.decode()
        return done.stdout

    def make(self, name: str, *more: str, kind: str = "ed25519", expires: str = "never", passphrase: str = "") -> str:
        """A new key; its fingerprint."""
        words = ["--pinentry-mode", "loopback", "--passphrase", passphrase]
        self.gpg(*more, *words, "--quick-generate-key", name, kind, "sign", expires)
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        lines = self.gpg("--with-colons", "--list-keys", name).decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith("fpr:"))

    def public(self, *names: str, armor: bool = True) -> bytes:
        return self.gpg(*(["--armor"] if armor else []), "--export", *names)

    def sign(self, name: str, text: bytes, *more: str) -> bytes:
        """``text``, signed in whatever way ``more`` says."""
        return self.gpg("--local-user", name, *more, "--sign", text=text)

    def revoke(self, name: str) -> None:
        path = self.home / "openpgp-revocs.d" / f"{self.fingerprint(name)}.rev"
        self.gpg("--import", text=path.read_text().replace(":-----BEGIN", "-----BEGIN").encode())

    def forget(self) -> None:
        """Have the agent forget all passphrases."""
        subprocess.run(
            ["gpg-connect-agent", "--homedir", str(self.home), "--no-autostart", "reloadagent", "/bye"],
            capture_output=True,
            check=False,
            cwd="/",
            **self.user.popen_options(),
        )

    def close(self) -> None:
        """End the agent and remove everything."""
        subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--kill", "all"], capture_output=True, check=False, cwd="/"
        )
        shutil.rmtree(self.home, ignore_errors=True)
