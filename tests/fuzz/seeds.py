"""The seed corpora of the fuzz targets, written by this script and not kept in git."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "storage"))

import test_hostile
import test_hostile_layers as layers
from archives import config, digest, directory, entry, layer, pack

MOST = 1 << 16  # larger ones teach nothing that a small one does not


def tars() -> Iterator[bytes]:
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        yield pack(
            directory("d"),
            (entry("d/f"), b"content"),
            layers.sym("s", "d"),
            layers.hard("h", "d/f"),
            entry("p", tarfile.FIFOTYPE),
            (entry("s/g"), b"x" * 600),
            entry(".wh.a"),
            entry("d/.wh..wh..opq"),
            form=form,
        )
    yield pack((entry("x", pax_headers={"SCHILY.xattr.user.a": "b", "mtime": "1.5"}), b"x"))
    for make, _ in [*layers.REFUSED.values(), *layers.TAMED.values()]:
        yield from make(Path("/outside"))
    for data, _ in test_hostile.BAD_TARS.values():
        yield data


def manifests() -> Iterator[bytes]:
    good = layer("a")
    yield config(digest(good))
    yield json.dumps([{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["0/layer.tar"]}]).encode()
    descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(good), "size": 5}
    yield json.dumps({"schemaVersion": 2, "config": descriptor, "layers": [descriptor]}).encode()
    yield json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**descriptor, "platform": {"os": "linux", "architecture": "amd64", "variant": "v8"},
                       "annotations": {"org.opencontainers.image.ref.name": "x:1"}}],
    }).encode()  # fmt: skip
    yield json.dumps({
        "config": {"Env": ["A=B"], "Cmd": ["a"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "User": "0:0",
                   "Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}, "Volumes": {"/x": {}}},
        "created": "2024-01-02T03:04:05.6Z", "history": [{"created": "2024-01-02T03:04:05Z", "empty_layer": True}],
        "rootfs": {"type": "layers", "diff_ids": [digest(good)]},
    }).encode()  # fmt: skip


def splits() -> Iterator[bytes]:
    yield (
        b'{"type":2,"payload":"YWJj","position":0}\n'
        + b'{"type":1,"name":"a","size":7,"payload":"AAAAAAAAAAA=","position":1}\n'
    )
    yield b'{"type":1,"name":"s","size":6,"payload":"AAAAAAAAAAA=","position":0}\n'
    yield b'{"type":1,"name":"../outside/secret","size":6,"payload":"AAAAAAAAAAA=","position":0}'
    yield b'{"type":1,"name_raw":"ZC9zL3NlY3JldA==","payload":null,"position":0}{"type":2,"payload":"","position":1}'
    yield b'{"type":1,"name":"d/s/secret","size":18446744073709551615,"payload":"AAAA"}\n{"type":3}\n[]\n5\n'
    yield b'{"position":0,"payload":"\\u0061\\n\\ud83d\\ude00","type":2,"unknown":{"a":[1,2,{"b":"}"}]}}\n'


def configurations() -> Iterator[bytes]:
    yield b'[storage]\ndriver = "overlay"\ngraphroot = "/x"\nrunroot = "/y"\n'
    yield b'[storage.options]\nadditionalimagestores = ["/z"]\n'
    yield b'[storage.options.overlay]\nmountopt = "nodev"\nforce_mask = "0755"\nmount_program = "/bin/x"\n'
    yield b'[pypod]\nmax_layers = 5\nmax_layer_size = "1g"\n'
    yield b'[engine]\nruntime = "crun"\n[containers]\npids_limit = 5\n'


def records() -> Iterator[bytes]:
    yield b'[{"id":"' + b"a" * 64 + b'","parent":"","created":"2024-01-02T03:04:05Z","diff-size":5,"uidset":[0]}]'
    yield (
        b'[{"id":"' + b"b" * 64 + b'","names":["localhost/x:1"],"layer":"' + b"a" * 64 + b'","big-data-names":["m"],'
        b'"big-data-sizes":{"m":1},"big-data-digests":{"m":"x"},"mapped-layers":["c"]}]'
    )


def references() -> Iterator[bytes]:
    for text in ("x", "x:1", "localhost:5000/a/b:1", "docker.io/library/x@sha256:" + "a" * 64, "[::1]:5000/x"):
        yield text.encode()


def streams() -> Iterator[bytes]:
    data = layer("a", "b")
    yield from (gzip.compress(data), bz2.compress(data), lzma.compress(data), zstandard.compress(data), data)
    yield b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstandard.compress(data)


def command_lines() -> Iterator[bytes]:
    base = "--api-version 1 -c ID -u ID -r /bin/runc -b /b -p /p -l k8s-file:/log"
    yield base.replace(" ", "\0").encode()
    for more in (
        "--full-attach -it --exit-dir /x --persist-dir=/y --exit-command /e --exit-command-arg=-b",
        "-e --exec-attach --exec-process-spec /s --timeout 0x10 --log-size-max=010 --log-level debug --syslog",
        "--log-rotate --log-max-files 0 --log-label A_1=b --log-tag t -l journald --exit-delay -1",
        "--restore d --runtime-arg --log --runtime-opt -x --sync -sbi x -- --name",
    ):
        yield f"{base} {more}".replace(" ", "\0").encode()


def outputs() -> Iterator[bytes]:
    texts = (
        b"line\n\nother\r\n",
        "é€😀\n".encode(),
        b'"\\\t\x01\x7f\n',
        b"\xff\xe2\x82\n\xed\xa0\x80\xf4\x90\x80\x80",
        b"x" * 900,
    )
    for text in texts:
        for first in (0, 1, 2, 6, 9, 16, 31):
            yield bytes([first, 39, 1, 44, 9, 0]) + text


def messages() -> Iterator[bytes]:
    yield b"1 24 80\n2 0 0\n" + b"x" * 210 + b"\n1 1 65535\n"
    yield b"READY=1\nMAINPID=1\nSTATUS=x\nFDSTORE=1\nWATCHDOG=trigger\nERRNO=2"
    yield b"12:cpu,memory:/a/b\n1:name=systemd:/s\n0::/user.slice/x\n"
    yield b"low 0\noom 3\noom_kill 99999999999999999999\n"
    yield b'time="x" level=error msg="no \\ such \x01 file"\n\xff'


CORPORA = {
    "tar": tars,
    "manifest": manifests,
    "tarsplit": splits,
    "conf": configurations,
    "records": records,
    "reference": references,
    "stream": streams,
    "command_line": command_lines,
    "output": outputs,
    "message": messages,
}


def write(place: Path) -> None:
    """Every corpus as a directory of files below ``place``."""
    for name, make in CORPORA.items():
        target = place / name
        target.mkdir()
        for number, data in enumerate(make()):
            if len(data) <= MOST:
                (target / f"{number:03}").write_bytes(data)
