"""What a random schedule for the monitor is: its container's writes, its clients, its logs, all by a seed."""

from __future__ import annotations

import random
import signal
from collections import Counter
from dataclasses import dataclass, field

OUT, ERR, PAUSE, HOLD, ECHO, CLOSE_INPUT, PIPE_SIZE, KEEPER = range(8)  # of tests/csrc/writer.c
TERM_DEFAULT, TERM_IGNORE, TERM_END = range(3)
TERMINATED = 100
GO, OVER, END = 1, 2, 3  # what the writer is allowed: to begin, to stop echoing, to end
_FILLER = bytes(33 + (i * 7 + i // 93) % 93 for i in range(1 << 16))


@dataclass
class ClientPlan:
    """What an attached client does; times in seconds from the beginning, -1: never."""

    at: float  # 0: before the container writes anything
    pace: str = "fast"  # fast; slow: rests after each packet; stall: reads no more; pause: rests once; process
    packets: int = 0  # that a client reads before it stalls or pauses
    rest: float = 0.0
    gone: float = -1.0  # closes its socket, or is killed
    sends: list[tuple[float, bytes]] = field(default_factory=list)
    ends: float = -1.0  # its input


@dataclass
class Plan:
    """A schedule."""

    seed: int
    terminal: bool = False
    stdin: bool = False
    leave_open: bool = False
    exec: str = ""  # "", "exec", "attached"
    drivers: tuple[str, ...] = ("k8s-file",)
    limit: int = 0
    rotate_flag: bool = False
    max_files: int = 1
    reopens: list[float] = field(default_factory=list)
    renames: bool = False  # the log is renamed before a reopen, as logrotate does
    grace: int = 2000
    out: bytes = b""
    err: bytes = b""
    ops: list[tuple[int, int]] = field(default_factory=list)
    term: int = TERM_IGNORE
    status: int = 0
    signals: list[tuple[float, int]] = field(default_factory=list)  # to the monitor
    kill: float = -1.0  # SIGKILL to the container
    look: bool = False  # at the descriptors, before the end
    clients: list[ClientPlan] = field(default_factory=list)

    def __str__(self) -> str:
        ops = Counter(
            ("out", "err", "pause", "hold", "echo", "close", "pipe", "keeper")[kind] for kind, _ in self.ops
        )
        words = [
            f"seed {self.seed}",
            f"{len(self.out)}+{len(self.err)} bytes",
            " ".join(f"{k}:{ops[k]}" for k in ops),
        ]
        for name in ("terminal", "stdin", "leave_open", "exec", "drivers", "limit", "rotate_flag", "max_files"):
            words.append(f"{name}={getattr(self, name)}")
        for name in ("reopens", "renames", "grace", "term", "status", "signals", "kill", "look"):
            words.append(f"{name}={getattr(self, name)}")
        for client in self.clients:
            sends = [(round(at, 3), len(data)) for at, data in client.sends]
            words.append(
                f"\n  client at={client.at:.3f} {client.pace} packets={client.packets} rest={client.rest:.3f} "
                f"gone={client.gone:.3f} ends={client.ends:.3f} sends={sends}"
            )
        return " ".join(words)


def _content(rng: random.Random, total: int) -> tuple[bytes, bytes]:
    """Numbered lines for stdout and stderr."""
    longest = rng.choice((40, 200, 2000, 2000, 40960))
    share = rng.choice((0.0, 0.1, 0.5, 1.0))
    empty = rng.choice((0.0, 0.0, 0.05, 0.5))
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    size = number = 0
    while size < total and number < 6000:
        number += 1
        which = rng.random() < share
        if rng.random() < empty:
            line = b"\n"
        else:
            length = int(longest ** rng.random()) if rng.random() < 0.5 else rng.randrange(longest)
            start = rng.randrange(1000)
            line = b"%d:%s\n" % (number, _FILLER[start : start + length])
        parts[which].append(line)
        size += len(line)
    out, err = b"".join(parts[0]), b"".join(parts[1])
    if rng.random() < 0.3:
        out = out[:-1]
    if rng.random() < 0.3:
        err = err[:-1]
    return out, err


def _writes(rng: random.Random, plan: Plan) -> list[tuple[int, int]]:
    """The writes, in random sizes with pauses, of all of the content."""
    total = len(plan.out) + len(plan.err)
    styles = ["blocks", "large", "mixed", "lines"] + (["bytes"] if total < 3000 else [])
    style = rng.choice(styles)
    resting = rng.choice((0.0, 0.0, 0.02, 0.2))
    left = [len(plan.out), len(plan.err)]
    ops: list[tuple[int, int]] = []
    pauses = 0
    long_pause = rng.random() < 0.04
    while left[0] or left[1]:
        stream = OUT if not left[1] or (left[0] and rng.random() * (left[0] + left[1]) < left[0]) else ERR
        if style == "bytes":
            size = rng.randint(1, 10)
        elif style == "lines":
            data = (plan.out, plan.err)[stream]
            at = len(data) - left[stream]
            size = data.find(b"\n", at) + 1 - at
        elif style == "blocks":
            size = rng.randint(1, 65536)
        elif style == "large":
            size = rng.randint(1, 262144)
        else:
            size = int(262144 ** rng.random())
        size = min(size if size > 0 else left[stream], left[stream])
        ops.append((stream, size))
        left[stream] -= size
        if pauses < 25 and rng.random() < resting:
            pauses += 1
            ops.append((PAUSE, rng.randint(1, 2500)))
        if long_pause and rng.random() < 0.3:
            long_pause = False
            ops.append((PAUSE, rng.randint(90_000, 130_000)))
    return ops


def _input(rng: random.Random, number: int, end: float) -> list[tuple[float, bytes]]:
    result = []
    for index in range(rng.randint(1, 8)):
        size = rng.choice((1, 10, 100, 1000, 1000, 8000))
        start = rng.randrange(1000)
        result.append((rng.random() * end, b"<%d.%d %s>" % (number, index, _FILLER[start : start + size])))
    times = sorted(at for at, _ in result)
    return [(at, data.replace(b"<", b"[").replace(b">", b"]")) for at, (_, data) in zip(times, result, strict=True)]


def _client(rng: random.Random, plan: Plan, number: int, span: float) -> ClientPlan:
    client = ClientPlan(0.0 if rng.random() < 0.5 or plan.exec == "attached" else rng.random() * span)
    client.pace = rng.choice(("fast", "fast", "fast", "slow", "slow", "stall", "stall", "pause", "pause"))
    client.packets = rng.choice((0, 0, 1, 3, 10))
    client.rest = rng.random() * (0.002 if client.pace == "slow" else 0.15)
    if plan.grace < 0 and client.pace == "stall":
        client.pace = "pause"
    if rng.random() < 0.25:
        client.gone = client.at + rng.random() * span
    if rng.random() < 0.03:
        client.pace, client.gone = "process", client.at + 0.01 + rng.random() * span
    elif plan.stdin and rng.random() < 0.6:
        client.sends = [(client.at + at, data) for at, data in _input(rng, number, span)]
    if client.pace != "process" and rng.random() < 0.5:
        last = client.sends[-1][0] if client.sends else client.at
        client.ends = last + rng.random() * 0.02
    return client


def make(seed: int) -> Plan:
    """The schedule of a seed."""
    rng = random.Random(seed)
    plan = Plan(seed)
    plan.terminal = rng.random() < 0.2
    plan.stdin = rng.random() < 0.5
    plan.leave_open = plan.stdin and rng.random() < 0.15
    if rng.random() < 0.15:
        plan.exec = rng.choice(("exec", "attached"))
    total = rng.choice((0, 1, 300, 300, 2000, 2000, 20000, 20000, 70000, 70000, 200000, 200000, 600000))
    if rng.random() < 0.02:
        total = 2_000_000
    plan.out, plan.err = _content(rng, int(total * (0.5 + rng.random())))
    writes = _writes(rng, plan)
    plan.ops = [(HOLD, GO), *writes]
    if rng.random() < 0.1:
        plan.ops.insert(1, (PIPE_SIZE, rng.choice((4096, 65536, 262144, 1 << 20))))
    if plan.stdin:
        plan.ops.insert(rng.randint(1, len(plan.ops)), rng.choice(((ECHO, OVER), (ECHO, OVER), (CLOSE_INPUT, 0))))
        if rng.random() < 0.2:
            plan.ops = [op for op in plan.ops if op[0] not in (ECHO, CLOSE_INPUT)]
    if rng.random() < 0.02:
        plan.ops.append((KEEPER, rng.randint(1, 300)))
    plan.look = rng.random() < 0.3
    if plan.look:
        plan.ops.append((HOLD, END))
    span = rng.choice((0.002, 0.01, 0.03, 0.06))
    plan.grace = rng.choice((20, 50, 50, 100, 100, 300, 2000, -1))
    plan.status = rng.choice((0, 0, 1, 7, 255))
    plan.term = rng.choice((TERM_DEFAULT, TERM_IGNORE, TERM_END))
    if rng.random() < 0.25:
        for _ in range(rng.randint(1, 3)):
            plan.signals.append((rng.random() * span, rng.choice((signal.SIGTERM, signal.SIGINT))))
    if rng.random() < 0.12:
        plan.kill = rng.random() * span
    _logs(rng, plan, span)
    for number in range(rng.choice((0, 1, 1, 2, 2, 3, 4))):
        plan.clients.append(_client(rng, plan, number, span))
    return plan


def _logs(rng: random.Random, plan: Plan, span: float) -> None:
    draw = rng.random()
    if draw < 0.04:
        plan.drivers = ("none",)
    elif draw < 0.06:
        plan.drivers = ("full",)
    elif draw < 0.14:
        plan.drivers = ("json-file",)
    elif draw < 0.22:
        plan.drivers = ("k8s-file", "json-file")
    lines = plan.out.count(b"\n") + plan.err.count(b"\n") + 2
    estimate = len(plan.out) + len(plan.err) + lines * 110 + 1000
    if rng.random() < 0.3:
        plan.limit = max(rng.choice((200, 1000, 10000, 100000)), estimate // 20)
    if rng.random() < 0.25:
        plan.reopens = sorted(rng.random() * span for _ in range(rng.randint(1, 4)))
        plan.rotate_flag = rng.random() < 0.5
        plan.renames = not plan.rotate_flag and not plan.limit and rng.random() < 0.7
    # A line that is larger than the limit has a file of its own, and leaves the one before it unfilled.
    plan.max_files = 4 * (2 * estimate // plan.limit if plan.limit else 0) + len(plan.reopens) + 10
