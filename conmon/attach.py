"""The client of a monitor's attach socket (conmon's protocol).

The socket is ``<bundle>/attach``, SOCK_SEQPACKET. A packet from the monitor is one byte, 2 for stdout or 3 for
stderr, and at most 8192 bytes of output; a packet to the monitor is input as it is. What the container wrote before
the client came is not repeated. Detach keys are a matter of the client alone.
"""

from __future__ import annotations

import os
import select

from pypod.errors import MonitorError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Iterator
else:
    import _socket

PACKET = 8192  # bytes of output in one packet
BATCH = 16 * PACKET  # received before it is written
INPUT = 32768  # bytes of input in one packet: conmon reads no more
BACKLOG = 1 << 20  # bytes held in memory for an output that takes nothing (a pager); what is more goes to a file
SPOOL = 1 << 30  # bytes held in that file, before the monitor is left waiting, which cuts us off then
DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
STREAMS = {2: "stdout", 3: "stderr"}


def connect(bundle: str) -> _socket.socket:
    """Connect to the monitor of a bundle, however long its path is.

    Raises MonitorError if nobody listens there.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # sun_path has 108 bytes; this one never needs more.
            sock.connect(f"/proc/self/fd/{directory}/attach")
        finally:
            os.close(directory)
    except OSError as error:
        sock.close()
        raise MonitorError(f"cannot attach to the monitor in {bundle}: {reason(error)}") from None
    return sock


def send_resize(bundle: str, rows: int, columns: int) -> bool:
    """Tell the monitor the size of the terminal. False if there is no monitor to hear it."""
    return _send_control(bundle, 1, rows, columns)


def set_health_interval(bundle: str, milliseconds: int) -> bool:
    """Let the monitor run its health command, ours only: at once, and again so long after the end of each run.

    0: no more. A day is cut to 18 hours, the longest it can be told. False if there is no monitor to hear it.
    """
    return _send_control(bundle, 3, *divmod(min(milliseconds, 65_535_999), 1000))


def _send_control(bundle: str, kind: int, first: int, second: int) -> bool:
    """One line of the monitor's ctl fifo: numbers up to 65535. False if there is no monitor to hear it."""
    try:
        fd = os.open(f"{bundle}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, b"%d %d %d\n" % (kind, first, second))
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


class Client:
    """A connection to the monitor of a bundle: an iterator of what the container writes, as (stream, bytes).

    ``stream`` is "stdout" or "stderr"; with a terminal all is stdout. The iteration ends with the container.
    Leaving the ``with`` block, or ``close``, detaches. Raises MonitorError if nobody listens there.
    """

    def __init__(self, bundle: str) -> None:
        self.bundle = bundle
        self.sock = connect(bundle)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """For poll(2): readable when ``receive`` has something."""
        return self.sock.fileno()

    def close(self) -> None:
        """Detach; the container goes on. Its input ends with the last client that gave any."""
        self.sock.close()

    def receive(self, timeout: float | None = None) -> tuple[str, bytes] | None:
        """The next output; None at the end of the container. Raises TimeoutError after ``timeout`` seconds."""
        self.sock.settimeout(timeout)
        while True:
            try:
                packet = self.sock.recv(PACKET + 1)
            except ConnectionResetError:
                return None  # real conmon closes with our input unread
            if not packet:
                return None
            stream = STREAMS.get(packet[0])
            if stream is not None and len(packet) > 1:
                return stream, packet[1:]

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        while (output := self.receive()) is not None:
            yield output

    def send(self, data: bytes) -> None:
        """Give the container input. Blocks while it takes none. Raises MonitorError once the monitor has ended."""
        self.sock.settimeout(None)
        try:
            for start in range(0, len(data), INPUT):
                self.sock.send(data[start : start + INPUT])
        except OSError as error:
            raise MonitorError(f"cannot send input to the monitor in {self.bundle}: {reason(error)}") from None

    def close_input(self) -> None:
        """Say that no more input comes; output goes on."""
        try:
            self.sock.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # the end is on its way

    def resize(self, rows: int, columns: int) -> bool:
        """Tell the container's terminal its size. False if there is no monitor to hear it."""
        return send_resize(self.bundle, rows, columns)

    def relay(
        self,
        *,
        stdin_fd: int = -1,
        stdout_fd: int = 1,
        stderr_fd: int = 2,
        detach_keys: str = DEFAULT_DETACH_KEYS,
        tty: bool = False,
    ) -> str:
        """Carry input and output between the container and our descriptors: see the function ``relay``."""
        return relay(
            self.sock,
            stdin_fd=stdin_fd,
            stdout_fd=stdout_fd,
            stderr_fd=stderr_fd,
            detach_keys=detach_keys,
            tty=tty,
        )


def parse_detach_keys(text: str) -> bytes:
    """The bytes of a key sequence: single characters and ctrl-X, separated by commas (podman-attach(1)); "" is none.

    Raises UsageError.
    """
    keys = bytearray()
    for word in text.split(",") if text else ():
        if len(word) == 1 and word.isascii():
            keys.append(ord(word))
        elif len(word) == 6 and word.startswith("ctrl-") and (word[5] in "@[\\]^_" or "a" <= word[5] <= "z"):
            keys.append(ord(word[5].upper()) & 0x1F)
        else:
            raise UsageError(f"invalid detach keys {text!r}: {word!r} is neither a character nor ctrl-<letter>")
    return bytes(keys)


class DetachKeys:
    """Watches input for the key sequence. Bytes that may begin it are held until the next ones decide."""

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.held = 0  # so many bytes of keys have been seen

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be sent on, and whether the whole sequence was seen; what follows it is dropped."""
        keys, held = self.keys, self.held
        if not keys or (not held and data.find(keys[:1]) < 0):
            return data, False
        passed = bytearray()
        for byte in data:
            while held and byte != keys[held]:
                # Shift what is held to its longest end that still begins the sequence.
                seen = keys[:held]
                shorter = held - 1
                while shorter and not seen.endswith(keys[:shorter]):
                    shorter -= 1
                passed += seen[: held - shorter]
                held = shorter
            if byte == keys[held]:
                held += 1
                if held == len(keys):
                    self.held = 0
                    return bytes(passed), True
            else:
                passed.append(byte)
        self.held = held
        return bytes(passed), False

    def rest(self) -> bytes:
        """What is held when input ends."""
        held, self.held = self.held, 0
        return self.keys[:held]


class Spool:
    """Bytes on their way, in a file without a name: first in, first out."""

    def __init__(self) -> None:
        directory = os.environ.get("TMPDIR") or "/var/tmp"
        self.fd = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self.start = self.end = 0

    def append(self, data: memoryview) -> None:
        while data:
            done = os.pwrite(self.fd, data, self.end)
            self.end += done
            data = data[done:]

    def take(self) -> bytes:
        """Some of the oldest bytes; empty if there are none."""
        data = os.pread(self.fd, min(BATCH, self.end - self.start), self.start)
        self.start += len(data)
        if self.start == self.end:
            os.ftruncate(self.fd, 0)
            self.start = self.end = 0
        elif self.start > SPOOL // 4 and self.start > self.end - self.start:
            self._move_down()
        return data

    def _move_down(self) -> None:
        """Give back the room of what has been taken, so that a reader that is always late needs no more of it."""
        to = 0
        while piece := os.pread(self.fd, BATCH, self.start + to):
            to += os.pwrite(self.fd, piece, to)
        os.ftruncate(self.fd, to)
        self.start, self.end = 0, to


class Sink:
    """One of our outputs. It never blocks, and it never changes the mode of a descriptor shared with others."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pending: list[memoryview | bytes] = []
        self.size = 0  # bytes in pending
        self.spool: Spool | None = None
        self.own = -1  # the same file, opened once more without blocking
        self.blocking = False
        self.closed = fd < 0
        if fd < 0:
            return
        kind = os.fstat(fd).st_mode & 0o170000
        if kind in (0o010000, 0o020000):  # a pipe, a terminal
            try:
                self.own = self.fd = os.open(
                    f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                )
            except OSError:
                self.blocking = True
        elif kind == 0o140000:  # a socket
            self.blocking = True

    def close(self) -> None:
        if self.own >= 0:
            os.close(self.own)
        if self.spool is not None:
            os.close(self.spool.fd)

    @property
    def full(self) -> bool:
        """Whether nothing more can be held."""
        if self.spool is None:
            return self.size > 2 * BACKLOG
        return self.spool.end - self.spool.start > SPOOL

    def write(self, data: memoryview) -> None:
        """Write what can be written now and keep the rest. Raises BrokenPipeError."""
        if self.closed:
            return
        if not self.pending:
            data = data[self._try(data) :]
        if not data:
            return
        if self.size > BACKLOG and self.spool is None:
            try:
                self.spool = Spool()
            except OSError:
                pass  # then memory alone must do
        if self.spool is not None and (self.spool.end or self.size > BACKLOG):
            self.spool.append(data)
        else:
            self.pending.append(bytes(data))
            self.size += len(data)

    def push(self) -> None:
        """Write more of what is kept."""
        while self.pending:
            data = self.pending[0]
            done = self._try(data)
            self.size -= done
            if done < len(data):
                self.pending[0] = memoryview(data)[done:]
                return
            del self.pending[0]
            if not self.pending and self.spool is not None and self.spool.end:
                self.pending.append(self.spool.take())
                self.size = len(self.pending[0])

    def flush(self) -> None:
        """Wait until everything is written."""
        while self.pending:
            poll = select.poll()
            poll.register(self.fd, select.POLLOUT)
            poll.poll()
            self.push()

    def _try(self, data: memoryview | bytes) -> int:
        done = 0
        while done < len(data):
            try:
                if self.blocking:
                    # A poll that says "ready" promises room for PIPE_BUF bytes.
                    poll = select.poll()
                    poll.register(self.fd, select.POLLOUT)
                    if not poll.poll(0):
                        break
                    done += os.write(self.fd, data[done : done + 4096])
                else:
                    done += os.write(self.fd, data[done:])
            except BlockingIOError:
                break
            except BrokenPipeError:
                raise
            except OSError as error:
                if error.errno == 5:  # EIO: the terminal is gone
                    self.closed = True
                    return len(data)
                raise
        return done


def _receive(sock: _socket.socket, buffer: memoryview, sinks: dict[int, Sink]) -> bool:
    """Take what has come, as packets of one stream in a row, and write it. False at the end of the connection."""
    tag = bytearray(1)
    filled = 0
    stream = 0
    more = True
    while filled <= BATCH - PACKET:
        try:
            got = sock.recvmsg_into([tag, buffer[filled + PACKET : filled + 2 * PACKET]], 0, _socket.MSG_DONTWAIT)[0]
        except BlockingIOError:
            break
        except ConnectionResetError:
            got = 0  # real conmon closes with our input unread
        if got == 0:
            more = False
            break
        at = filled + PACKET
        if tag[0] != stream:
            if filled:
                sinks[stream].write(buffer[PACKET:at])
                # The packet lies behind what has just been written: move it to the front.
                buffer[PACKET : PACKET + got - 1] = buffer[at : at + got - 1]
                filled = 0
            stream = tag[0] if tag[0] in sinks else 0
        filled += got - 1
    if filled:
        sinks[stream].write(buffer[PACKET : PACKET + filled])
    return more


def relay(
    sock: _socket.socket,
    *,
    stdin_fd: int = -1,
    stdout_fd: int = 1,
    stderr_fd: int = 2,
    detach_keys: str = DEFAULT_DETACH_KEYS,
    tty: bool = False,
) -> str:
    """Carry input and output until the container's end ("eof") or the user's detach keys ("detached").

    A descriptor of -1 takes no part. Detach keys are looked for only with a terminal, as other input is data.
    All output that the monitor sent has been written when this returns. Raises BrokenPipeError if an output is
    closed by its reader, UsageError for bad detach keys, OSError.
    """
    keys = DetachKeys(parse_detach_keys(detach_keys) if tty and stdin_fd >= 0 else b"")
    out, err = Sink(stdout_fd), Sink(stderr_fd)
    nowhere = Sink(-1)
    sinks = {0: nowhere, 2: out, 3: err}
    sock.setblocking(False)
    buffer = memoryview(bytearray(BATCH + 2 * PACKET))
    poll = select.poll()
    registered: dict[int, int] = {}
    to_container = b""
    shut = stdin_fd < 0  # nothing more will be sent
    ended = False  # our stdin
    peer = sock.fileno()

    def want(fd: int, events: int) -> None:
        if registered.get(fd, 0) == events:
            return
        if events:
            poll.register(fd, events)
            registered[fd] = events
        elif registered.pop(fd, 0):
            poll.unregister(fd)

    try:
        while True:
            full = out.full or err.full
            want(peer, (0 if full else select.POLLIN) | (select.POLLOUT if to_container else 0))
            for sink in (out, err):
                if sink.fd >= 0 and not sink.closed:
                    want(sink.fd, select.POLLOUT if sink.pending else 0)
            if stdin_fd >= 0:
                want(stdin_fd, 0 if ended or to_container else select.POLLIN)
            for fd, event in poll.poll():
                if fd == peer:
                    if to_container and event & (select.POLLOUT | select.POLLHUP | select.POLLERR):
                        to_container = _send(sock, to_container)
                    if event & ~select.POLLOUT and not full and not _receive(sock, buffer, sinks):
                        out.flush()
                        err.flush()
                        return "eof"
                elif fd == stdin_fd and event & ~select.POLLOUT:
                    data = _read(stdin_fd)
                    if data is None:
                        continue
                    if data:
                        data, detached = keys.feed(data)
                        if detached:
                            if data:
                                _send(sock, data)
                            out.push()
                            err.push()
                            return "detached"
                    else:
                        ended = True
                        data = keys.rest()
                    if data and not shut:
                        to_container = _send(sock, data)
                else:
                    for sink in (out, err):
                        if sink.fd == fd:
                            sink.push()
            if ended and not to_container and not shut:
                shut = True
                try:
                    sock.shutdown(_socket.SHUT_WR)
                except OSError:
                    pass  # the end is on its way
    finally:
        out.close()
        err.close()


def _read(fd: int) -> bytes | None:
    """Some of our stdin; empty at its end, None if there is nothing yet."""
    try:
        return os.read(fd, INPUT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno == 5:  # EIO: the terminal has hung up
            return b""
        raise


def _send(sock: _socket.socket, data: bytes) -> bytes:
    """Send one packet; what is left to send."""
    try:
        sock.send(data)
        return b""
    except BlockingIOError:
        return data
    except OSError:
        return b""  # the monitor is gone: the next receive says so
