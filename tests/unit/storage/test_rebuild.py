"""Layers from their tar-split records, whoever wrote those."""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypod.errors import StorageError
from storage import tarsplit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def rebuilt(root: Path, text: bytes | str, *more: Path) -> bytes:
    split = root.parent / "split.gz"
    split.write_bytes(gzip.compress(text.encode() if isinstance(text, str) else text, 1))
    return b"".join(tarsplit.rebuild(str(split), [str(root), *map(str, more)]))


def checksum(data: bytes) -> str:
    return base64.b64encode(tarsplit.crc64(data).to_bytes(8, "big")).decode()


def raw(data: bytes) -> str:
    return json.dumps({"type": 2, "payload": base64.b64encode(data).decode(), "position": 0})


def of_file(name: str, data: bytes) -> str:
    return json.dumps({"type": 1, "name": name, "size": len(data), "payload": checksum(data), "position": 1})


@pytest.mark.parametrize("between", ["\n", "", " \r\n\t "])
def test_records_with_or_without_line_ends(root: Path, between: str) -> None:
    (root / "f").write_bytes(b"content")
    records = [raw(b"start"), of_file("f", b"content"), raw(b""), raw(b"end!")]
    assert rebuilt(root, between.join(records)) == b"startcontentend!"


def test_what_other_programs_may_write(root: Path) -> None:
    (root / "a b").write_bytes(b"xyz")
    crc = checksum(b"xyz")
    records = [
        f'{{ "position" : 7 , "payload":"{crc}" , "size":3,"name":"\\u0061\\u0020b","type":1 }}',
        '{"type":2,"payload":"YQ==","more":{"deep":[1,{"x":"}"}],"n":null},"true":true,"float":-1.5e3}',
        '{"type":1,"name":"gone","size":0,"payload":null}',
        '{"type":2,"payload":null}{"type":2}',
        '{"type":1,"name_raw":"YSBi","name":"","size":3,"payload":"' + crc + '"}',
        '{"type":1,"name_raw":null,"name":"/./a b","size":3,"payload":"' + crc + '"}',
    ]
    records[4] = f'{{"type":1,"name_raw":"YSBi","size":3,"payload":"{crc}"}}'
    assert rebuilt(root, "\n".join(records)) == b"xyzaxyzxyz"


@pytest.mark.parametrize(
    "name",
    ["plain", "d/f", "./d/./f", "/d//f", "d/x/../f", "../../d/f", 'é"\\\n<>&', "\U0001f600", "caf\udce9", "n" * 250],
)
def test_names(root: Path, name: str) -> None:
    target = root / os.path.normpath("/" + name).lstrip("/")
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(b"content")
    key = {"name": name}
    if "\udce9" in name:
        key = {"name_raw": base64.b64encode(os.fsencode(name)).decode()}
    record = {"type": 1, **key, "size": 7, "payload": checksum(b"content")}
    for ascii_only in (True, False):
        assert rebuilt(root, json.dumps(record, ensure_ascii=ascii_only)) == b"content"


def test_a_file_may_be_in_a_lower_layer_and_behind_a_link(root: Path, tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    (lower / "usr/lib").mkdir(parents=True)
    (lower / "usr/lib/x").write_bytes(b"content")
    (lower / "lib").symlink_to("/usr/lib")
    assert rebuilt(root, of_file("lib/x", b"content"), lower) == b"content"


BROKEN = {
    "no object": ("[1]", "it is not a JSON object"),
    "cut": ('{"type":2,"payload":"YQ==', "it has no end"),
    "cut in an escape": ('{"type":2,"payload":"\\', "it has no end"),
    "no type": ("{}", "it has no type"),
    "another type": ('{"type":3}', "its type is neither 1 nor 2"),
    "no name": ('{"type":1}', "it has no name"),
    "no checksum": ('{"type":1,"name":"f","size":1}', "it has no checksum"),
    "a negative size": ('{"type":1,"name":"f","size":-1}', "its size is not a number"),
    "a huge size": ('{"type":1,"name":"f","size":99999999999999999999}', "its size is not a number"),
    "bad base64": ('{"type":2,"payload":"Y===="}', "its payload is not base64"),
    "bad base64 letters": ('{"type":2,"payload":"YQ=a"}', "its payload is not base64"),
    "bad base64 in a name": ('{"type":1,"name_raw":"!!!!"}', "its name is not base64"),
    "a bad escape": ('{"type":1,"name":"\\x"}', "its name is not a string"),
    "no colon": ('{"type" 1}', "a key has no value"),
    "no comma": ('{"type":2 "payload":null}', "it is not a JSON object"),
    "a NUL": ('{"type":1,"name":"a\\u0000b","size":1,"payload":"AAAAAAAAAAA="}', "a name with a NUL"),
    "not JSON": ("\0\1\2", "it is not a JSON object"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_records(root: Path, what: str) -> None:
    text, message = BROKEN[what]
    with pytest.raises(StorageError, match=f"cannot rebuild a layer: record 1 of its tar-split file: {message}"):
        rebuilt(root, raw(b"x") + "\n" + text)


def test_a_record_without_end_takes_no_endless_memory(root: Path) -> None:
    with pytest.raises(StorageError, match="record 0 of its tar-split file: it is too long"):
        rebuilt(root, b'{"type":2,"payload":"' + b"A" * (40 << 20))


def test_files_that_are_not_what_they_were(root: Path) -> None:
    (root / "f").write_bytes(b"content")
    record = of_file("f", b"content")
    (root / "f").write_bytes(b"contenT")
    with pytest.raises(StorageError, match="cannot rebuild a layer: f: it has been changed"):
        rebuilt(root, record)
    for change in ("longer than before", "short"):
        (root / "f").write_bytes(change.encode())
        with pytest.raises(StorageError, match="cannot rebuild a layer: f: it has been changed"):
            rebuilt(root, record)
    (root / "f").unlink()
    with pytest.raises(StorageError, match="cannot rebuild a layer: f: No such file"):
        rebuilt(root, record)
    os.mkfifo(root / "f")
    with pytest.raises(StorageError, match="cannot rebuild a layer: f: it has been changed"):
        rebuilt(root, record)
    (root / "f").unlink()
    (root / "f").symlink_to("/etc/passwd")
    with pytest.raises(StorageError, match="cannot rebuild a layer: f: "):
        rebuilt(root, record)


LETTERS = st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0")
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=3000),
        st.sampled_from([b"x" * (1 << 20), b"y" * 1500]),
        st.tuples(st.text(LETTERS, min_size=1, max_size=40), st.binary(max_size=2000)),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES)
def test_any_records(tmp_path: Path, pieces: list[bytes | tuple[str, bytes]]) -> None:
    root = tmp_path / os.urandom(4).hex() / "root"
    root.mkdir(parents=True)
    records, wanted = [], b""
    files: dict[str, bytes] = {}
    for piece in pieces:
        if isinstance(piece, bytes):
            records.append(raw(piece))
            wanted += piece
            continue
        name, data = piece
        if name in (".", "..") or name in files or len(name.encode()) > 255:
            continue
        files[name] = data
        (root / name).write_bytes(data)
        records.append(of_file(name, data))
        wanted += data
    assert rebuilt(root, "\n".join(records)) == wanted


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=3)), min_size=1, max_size=4))
def test_damaged_records_are_an_error_or_other_bytes(tmp_path: Path, noise: list[tuple[int, bytes]]) -> None:
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    (root / "f").write_bytes(b"content")
    text = bytearray("\n".join([raw(b"start"), of_file("f", b"content"), raw(b"end")]).encode())
    for place, data in noise:
        place %= len(text)
        text[place : place + len(data)] = data
    try:
        assert len(rebuilt(root, bytes(text))) < 1000
    except StorageError:
        pass
