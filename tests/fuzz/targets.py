"""Fuzz targets in Python: each takes bytes, and may raise errors of ours only.

``python targets.py NAME SECONDS CORPUS ARTIFACT`` runs one over its corpus, changed at random; it prints the number
of executions, and keeps what broke it as ARTIFACT.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pypod.engine import context, store_limits
from pypod.errors import PypodError
from pypod.oci import manifest as manifests
from pypod.oci import reference
from storage import load, parts, stream, tarsplit
from storage.limits import Limits
from storage.store import Store

HANG = 5  # seconds of one execution
GROWTH = 96 << 20  # bytes that the process may grow by after its first thousand executions
LIMITS = Limits(max_layer_size=1 << 20, max_layer_entries=1000, max_expansion_from=1 << 20)


class Files(parts.Parts):
    """Parts in which every name means the same bytes."""

    limits = LIMITS

    def __init__(self, data: bytes, hidden: tuple[str, ...] = ()) -> None:
        self.data = data
        self.hidden = hidden

    def find(self, name: str) -> tuple[Callable[[int], bytes], int] | None:
        if name in self.hidden:
            return None
        place = 0

        def read(count: int) -> bytes:
            nonlocal place
            piece = self.data[place : place + count]
            place += len(piece)
            return piece

        return read, len(self.data)


def manifest(data: bytes) -> None:
    """manifest.json, index.json, manifests and configs: whatever it is, it is read as each of them."""
    files = Files(data)
    store = Store("/nonexistent/g", "/nonexistent/r", limits=LIMITS)
    load.open_parts = lambda *_: files
    for hidden in ((), ("index.json",), ("index.json", "version")):  # OCI layout, docker's directory and archive
        files.hidden = hidden
        try:
            load.load(store, "x", normalise=reference.normalise, default_name="x")
        except PypodError:
            pass
    for action in (
        lambda: manifests.parse(data),
        lambda: manifests.parse_config(data),
    ):
        try:
            action()
        except PypodError:
            pass


def conf(data: bytes) -> None:
    """storage.conf and containers.conf."""
    for variable in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF"):
        path = Path(os.environ["FUZZ_PLACE"]) / "a.conf"
        path.write_bytes(data)
        os.environ[variable] = str(path)
        try:
            found = context.open_context({})
            store_limits.parse(found.store_limits)
        except PypodError:
            pass
        finally:
            del os.environ[variable]


def records(data: bytes) -> None:
    """layers.json, images.json and containers.json of a store that others write."""
    root = Path(os.environ["FUZZ_PLACE"]) / "g"
    for kind in ("layers", "images", "containers"):
        directory = root / f"overlay-{kind}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{kind}.json").write_bytes(data)
    store = Store(str(root), str(root))
    for read in (store.layers, store.images, store.containers, lambda: store.chain("a" * 64)):
        try:
            read()
        except PypodError:
            pass


def split(data: bytes) -> None:
    """The reader of tar-split: damaged records, in a sound gzip stream and as they are."""
    path = Path(os.environ["FUZZ_PLACE"]) / "split"
    for content in (gzip.compress(data, 1), data):
        path.write_bytes(content)
        try:
            for item in tarsplit.records(str(path)):
                if item["type"] == 1:
                    tarsplit.name_of(item)
        except PypodError:
            pass
        try:
            for _ in tarsplit.rebuild(str(path), [os.environ["FUZZ_PLACE"]]):
                pass
        except PypodError:
            pass


def reference_(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        whole = reference.normalise(text)
    except PypodError as error:
        assert error.message
        return
    assert whole.isprintable() and reference.normalise(whole) == whole, whole


def stream_(data: bytes) -> None:
    """The decompressors, and the outer archive of an image."""
    place = 0

    def read(count: int) -> bytes:
        nonlocal place
        piece = data[place : place + min(count, 777)]
        place += len(piece)
        return piece

    source = stream.Source(read)
    total = 0
    try:
        for piece in stream.chunks(source, stream.compression_of(source.peek(6))):
            assert len(piece) <= 4 << 20
            total += len(piece)
            if total > 64 << 20:
                break
    except PypodError:
        pass


def archive(data: bytes) -> None:
    """The tar file that holds an image's parts."""
    path = Path(os.environ["FUZZ_PLACE"]) / "archive"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        found = parts.Archive(fd, LIMITS)
    except PypodError:
        os.close(fd)
        return
    for name in ("manifest.json", "d/f", "s", "h", "../x"):
        if (part := found.find(name)) is not None:
            part[0](100)
    found.close()


# Each target, and the corpus that it begins with.
TARGETS: dict[str, tuple[Callable[[bytes], None], str]] = {
    "manifest": (manifest, "manifest"),
    "conf": (conf, "conf"),
    "records": (records, "records"),
    "tarsplit": (split, "tarsplit"),
    "reference": (reference_, "reference"),
    "stream": (stream_, "stream"),
    "archive": (archive, "tar"),
}

_WORDS = [
    b"null", b"true", b"-1", b"0", b"1e400", b"9" * 400, b"[]", b"{}", b'""', b'"\\ud800"', b'"\\u0000"', b"NaN",
    b"[" * 2000, b'{"a":' * 1500, b"\xff", b"\0", b"\n", b"..", b"/", b'"', b",", b"=", b"[[x]]\n", b"'''",
    b'"sha256:' + b"0" * 64 + b'"', b'"layers"', b'"manifests"', b'"rootfs"', b'"Layers"', b'"size"', b'"type":1',
]  # fmt: skip


def _values(value: object, found: list) -> list:
    """Where in a document a value could be put: containers with a key."""
    if isinstance(value, dict):
        for key, item in value.items():
            found.append((value, key))
            _values(item, found)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            found.append((value, place))
            _values(item, found)
    return found


_ODD = [None, True, 0, -1, 1 << 70, 1.5, "", "x", "a\0b", "\ud800", [], [None], {}, {"a": None}, [[]], "x" * 5000]


def change(dice: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    """One change of an input; a JSON document is sometimes changed as one."""
    kind = dice.randrange(8)
    if kind == 0 and data[:1] in (b"{", b"["):
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return data[:-1]
        places = _values(document, [])
        if places:
            where, key = dice.choice(places)
            where[key] = dice.choice([*_ODD, document if dice.random() < 0.1 else where[key]])
            try:
                return json.dumps(document).encode()
            except (ValueError, RecursionError):
                return data
    at, end = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    if kind == 1:
        return data[:at] + dice.choice(_WORDS) + data[at:]
    if kind == 2:
        return data[:at] + dice.choice(_WORDS) + data[end:]
    if kind == 3:
        return data[:at] + data[end:]
    if kind == 4:
        return (data[:end] + data[at:])[: 1 << 16]
    if kind == 5:
        other = dice.choice(corpus)
        return (data[:at] + other[dice.randrange(len(other) + 1) :])[: 1 << 16]
    if data:
        place = dice.randrange(len(data))
        return data[:place] + bytes([dice.randrange(256)]) + data[place + 1 :]
    return b"x"


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Hang(Exception):
    pass


def _hung(number: int, frame: object) -> None:
    raise Hang


def run(name: str, seconds: float, corpus_directory: Path, artifact: Path) -> int:
    """The exit code: 0, or 1 where something broke; the input is in ``artifact`` then."""
    target, _ = TARGETS[name]
    corpus = [path.read_bytes() for path in sorted(corpus_directory.iterdir())]
    dice = random.Random(int(os.environ.get("FUZZ_SEED") or time.time_ns()))
    signal.signal(signal.SIGALRM, _hung)
    end = time.monotonic() + seconds
    count, start = 0, 0
    code = 0
    while time.monotonic() < end:
        if count < len(corpus):
            data = corpus[count]
        else:
            data = dice.choice(corpus)
            for _ in range(dice.randint(1, 6)):
                data = change(dice, data, corpus)
        signal.setitimer(signal.ITIMER_REAL, HANG)
        try:
            target(data)
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            artifact.write_bytes(data)
            traceback.print_exc()
            print(f"{name}: {'a hang' if isinstance(error, Hang) else 'a traceback'}, input in {artifact}")
            code = 1
            break
        signal.setitimer(signal.ITIMER_REAL, 0)
        count += 1
        if count == 1000:
            start = _resident()
    grown = _resident() - start if start else 0
    if grown > GROWTH:
        print(f"{name}: memory grew by {grown >> 20} MiB in {count} executions")
        code = 1
    print(f"stat::number_of_executed_units: {count}")
    return code


def main() -> int:
    name, seconds, corpus, artifact = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        os.environ.update(FUZZ_PLACE=place, HOME=place, XDG_RUNTIME_DIR=place)
        for variable in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS"):
            os.environ.pop(variable, None)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        return run(name, float(seconds), Path(corpus), Path(artifact))


if __name__ == "__main__":
    sys.exit(main())
