"""Simple signing (containers-signature(5)): what a signature says, made and checked by gpg."""

from __future__ import annotations

import os

from pypod.base import files, process
from pypod.errors import PolicyError, PypodError, reason
from pypod.registry import gpg, payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from pypod.registry.payload import Claim

MOST = 4 << 20  # bytes of one signature, as containers/image has it
MOST_SIGNATURES = 128  # of one manifest, the same
# Any of these says that a message is not one good signature by a valid key (GnuPG's doc/DETAILS).
_BAD = ("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA", "UNEXPECTED", "FAILURE", "BADARMOR")
# How a signature begins: a compressed message, a one-pass signature or a signature, old and new packet headers
# (RFC 4880, 4.2); or a zero byte and the name of another format. containers/image reads nothing else.
_BEGINS = frozenset((0xA0, 0xA1, 0xA2, 0xA3, 0xC8, 0x90, 0x91, 0x92, 0xC4, 0x88, 0x89, 0x8A, 0x8B, 0xC2, 0x00))
_SAID = {
    "BADSIG": "it does not belong to its text",
    "EXPSIG": "it has expired",
    "EXPKEYSIG": "its key has expired",
    "REVKEYSIG": "its key has been revoked",
    "NODATA": "it is not an OpenPGP message",
}


class Verifier:
    """Checks signatures by the keys of ``keyrings`` and no others; a context manager.

    Raises PolicyError if there is no key in them.
    """

    def __init__(self, keyrings: Sequence[bytes]) -> None:
        self._home = gpg.PrivateHome()
        try:
            self._keys = {key for ring in keyrings for key in self._home.add_keys(ring)}
            if not self._keys:
                raise PolicyError("Source image rejected: No public keys imported")
        except BaseException:
            self._home.__exit__(None, None, None)
            raise

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._home.__exit__(kind, error, tb)

    def verify(self, signature: bytes) -> Claim:
        """What ``signature`` says. Nothing of it is read before gpg has found it good.

        Raises PolicyError.
        """
        # An OpenPGP packet begins with bit 7 set: neither armor nor clear-signed text, which may stand amid anything.
        if not signature or not signature[0] & 0x80:
            raise _bad(_SAID["NODATA"])
        if len(signature) > MOST:
            raise _bad(f"it is larger than {MOST} bytes")
        result = self._home.verify(signature)
        for keyword in _BAD:
            for words in result.of(keyword):
                raise _bad(_said(keyword, words))
        # One message with one text, signed once: else it could be unclear who has signed what.
        count = len(result.of("NEWSIG"))
        if count != 1:
            raise PolicyError(f"Unexpected GPG signature count {count}")
        valid = result.of("VALIDSIG")
        if not result.success or len(valid) != 1 or not valid[0] or len(result.of("GOODSIG")) != 1:
            raise _bad("gpg does not accept it")
        if len(result.of("PLAINTEXT")) != 1 or result.of("DECRYPTION_INFO") or result.of("BEGIN_DECRYPTION"):
            raise _bad("it is not one signed text")
        key = valid[0][-1]
        if key not in self._keys:
            raise PolicyError(f"Signature by key {key} is not accepted")
        return payload.read(result.text, payload.SIMPLE, key)


def check_format(signature: bytes, place: str) -> None:
    """Whether this is a signature of any kind, wherever it comes from; its content is not judged.

    Raises PolicyError.
    """
    if not signature:
        raise PolicyError(f'Source image rejected: parsing signature "{place}": empty signature blob')
    if signature[0] not in _BEGINS:
        raise PolicyError(
            f'Source image rejected: parsing signature "{place}": unrecognized signature format, '
            f"starting with binary {signature[0]:#x}"
        )


def _bad(why: str) -> PolicyError:
    return PolicyError(f"Invalid GPG signature: {why}")


def _said(keyword: str, words: tuple[str, ...]) -> str:
    if keyword == "ERRSIG":
        # ERRSIG <keyid> <pkalgo> <hashalgo> <class> <time> <rc>; 9: no such key, 4: unknown algorithm
        key = words[0] if words else ""
        if len(words) > 5 and words[5] == "9":
            return f"it is by key {key}, which the policy does not trust"
        return f"gpg cannot check it (key {key})"
    return _SAID.get(keyword, "gpg does not accept it")


class Signer:
    """Signs as the user; a context manager.

    Make it before the process enters a user namespace or starts threads: the user's gpg-agent, which may know the
    passphrase, is not found from inside. So a child that stays outside calls gpg. Raises PolicyError if there is no
    such secret key.
    """

    def __init__(self, key: str, passphrase_file: str = "") -> None:
        if not key:
            raise PolicyError("cannot sign: no key is named")
        self.key = key
        secret = _passphrase(passphrase_file) if passphrase_file else None
        self._program = gpg.program()
        self._find()
        self._requests, self._answers, self._child = _serve(lambda text: self._call(text, secret))

    def __enter__(self) -> Signer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child that signs."""
        if self._child:
            os.close(self._requests)
            os.close(self._answers)
            process.wait(self._child)
            self._child = 0

    def sign(self, digest: str, reference: str) -> bytes:
        """A signature that says: the manifest with this digest is the image ``reference``, complete with its tag.

        Raises PolicyError.
        """
        import time

        import pypod

        text = payload.write(digest, reference, f"pypod {pypod.__version__}", int(time.time()))
        try:
            _send(self._requests, text)
            answer = _receive(self._answers)
        except OSError as error:
            raise PolicyError(f"cannot sign {reference}: {reason(error)}") from None
        if not answer.startswith(b"+"):
            why = answer[1:].decode("utf-8", "replace") or "gpg was ended"
            raise PolicyError(f"cannot sign {reference} with key {self.key}: {why}")
        return answer[1:]

    def _find(self) -> None:
        argv = [self._program, "--batch", "--with-colons", "--list-secret-keys", "--", self.key]
        try:
            done = process.run(argv, stdin=-1)
        except OSError as error:
            raise PolicyError(f"cannot run {self._program}: {reason(error)}") from None
        if done.status or not any(line.startswith(b"sec:") for line in done.stdout.splitlines()):
            raise PolicyError(
                f'cannot sign: no secret key for "{self.key}"',
                hint="gpg --list-secret-keys shows the keys that you have",
            )

    def _call(self, text: bytes, secret: bytes | None) -> bytes:
        """In the child: what gpg answers, "+" and a signature or "-" and why there is none."""
        argv = [self._program, "--batch", "--no-armor", "--no-textmode", "--local-user", self.key]
        keep: list[tuple[int, int]] = []
        if secret is not None:
            reading, writing = os.pipe2(os.O_CLOEXEC)
            os.write(writing, secret + b"\n")
            os.close(writing)
            keep.append((reading, 3))
            argv += ["--pinentry-mode", "loopback", "--passphrase-fd", "3"]
        argv += ["--output", "-", "--sign"]
        done = process.run(argv, env={**_terminal(), **os.environ}, input=text, keep=keep)
        if done.status or not done.stdout:
            last = done.message.splitlines()[-1:] or ["gpg failed"]
            return b"-" + last[0].removeprefix("gpg: ")[:300].encode()
        return b"+" + done.stdout


def _passphrase(path: str) -> bytes:
    """A passphrase in a file, without the white space around it. Raises PolicyError."""
    try:
        secret = files.read(path, 4096).strip()
    except OSError as error:
        raise PolicyError(f"cannot read passphrase file {path}: {reason(error)}") from None
    if b"\n" in secret:
        raise PolicyError(f"cannot use passphrase file {path}: passphrase contains a newline")
    return secret


def _terminal() -> dict[str, str]:
    """Where the agent may ask for a passphrase: gpg itself looks at its stdin, which is the text."""
    for fd in (0, 1, 2):
        if os.isatty(fd):
            return {"GPG_TTY": os.ttyname(fd)}
    return {}


def _send(fd: int, data: bytes) -> None:
    files.write_all(fd, len(data).to_bytes(4, "big") + data)


def _receive(fd: int) -> bytes:
    """One message, b"" at the end. Raises OSError."""
    data = b""
    wanted = 4
    while len(data) < wanted:
        chunk = os.read(fd, wanted - len(data))
        if not chunk:
            return b""
        data += chunk
        if len(data) == wanted == 4:
            wanted += int.from_bytes(data, "big")
    return data[4:]


def _serve(answer: Callable[[bytes], bytes]) -> tuple[int, int, int]:
    """A child that answers each message until its pipe is closed: where to send, where to read, its pid."""
    there, requests = os.pipe2(os.O_CLOEXEC)
    answers, back = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child:
        os.close(there)
        os.close(back)
        return requests, answers, child
    try:
        os.close(requests)
        os.close(answers)
        while text := _receive(there):
            try:
                reply = answer(text)
            except (OSError, PypodError) as error:
                reply = b"-" + str(error).encode()
            _send(back, reply)
    finally:
        os._exit(0)
