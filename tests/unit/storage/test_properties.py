"""What holds for any input: parsers answer or refuse in one line, and what they accept means one thing."""

from __future__ import annotations

import copy
import datetime
import gzip
import io
import json
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import config, digest, entry, layer, pack
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pypod.errors import BadArchive, PypodError, StorageError
from pypod.oci import image_document, manifest, reference
from storage import load, parts, tarsplit
from storage.limits import Limits
from storage.store import Store

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.sampled_from([
    "config", "layers", "manifests", "rootfs", "diff_ids", "Config", "Layers", "RepoTags", "digest", "size",
    "created", "mediaType", "Env", "history", "annotations", "platform", "os", "architecture", "Rootfs", "type",
    "config.json", "\ud800", "a\0b", "schemaVersion", "Cmd", "Labels", digest(layer("a")), "sha256:" + "0" * 64,
    "x:1", "2024-01-02T03:04:05Z",
])  # fmt: skip
texts = words | st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=25,
)


class Files(parts.Parts):
    """Parts in which every name means the same bytes."""

    def __init__(self, data: bytes, hidden: tuple[str, ...] = ()) -> None:
        self.data = data
        self.hidden = hidden

    def find(self, name: str) -> tuple[parts.stream.Read, int] | None:
        if name in self.hidden:
            return None
        file = io.BytesIO(self.data)
        return file.read, len(self.data)


def refused_or_not(action: Callable[..., object], *arguments: object, **options: object) -> bool:
    """Whether a call is refused; then by one printable line."""
    try:
        action(*arguments, **options)
    except PypodError as error:
        assert error.message.isprintable(), repr(error.message)
        return True
    return False


@QUICK
@given(value=values)
def test_any_document_is_read_as_anything(value: object, tmp_path: Path) -> None:
    data = json.dumps(value).encode()
    store = Store(str(tmp_path / "g"), str(tmp_path / "r"))
    for hidden in ((), ("index.json",), ("index.json", "version")):  # OCI layout, docker's directory and archive
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, "open_parts", lambda *_, hidden=hidden: Files(data, hidden))
            refused_or_not(load.load, store, "an archive", normalise=reference.normalise)
    if isinstance(value, dict):
        refused_or_not(manifest.parse, data)
        refused_or_not(manifest.parse_config, data)
    assert not (tmp_path / "g").exists()  # none of them is an image


GOOD = json.loads(config(digest(layer("a")))) | {
    "config": {"Env": ["A=B"], "Labels": {"a": "b"}, "Cmd": ["x"], "Healthcheck": {"Test": ["CMD"], "Interval": 5}},
    "os.features": ["x"],
}


def places(value: object, way: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in items:
        found += [(*way, key), *places(item, (*way, key))]
    return found


@QUICK
@given(way=st.sampled_from(places(GOOD)), value=values)
def test_a_config_with_one_other_value(way: tuple, value: object) -> None:
    """It passes only if the value has the type of what it replaces (or is null, which Go takes as nothing)."""
    document = copy.deepcopy(GOOD)
    place = document
    for key in way[:-1]:
        place = place[key]
    old = place[way[-1]]
    place[way[-1]] = value
    if not refused_or_not(image_document.check_config, document):
        assert value is None or type(value) is type(old)
    place[way[-1]] = old
    image_document.check_config(document)


TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?(?:Z|[+-]([0-9]{2}):([0-9]{2}))"
)


def datetime_takes(text: str) -> bool:
    found = TIME.fullmatch(text)
    if found is None or int(found[3] or 0) > 23 or int(found[4] or 0) > 59:
        return False
    try:
        datetime.datetime.fromisoformat(found[1])
    except ValueError:
        return False
    return True


@QUICK
@given(st.text(max_size=60) | st.from_regex(TIME, fullmatch=True))
def test_times(text: str) -> None:
    assume(text[:4] != "0000")  # Go knows that year, datetime does not
    assert image_document.is_time(text) == datetime_takes(text)


names = st.text(st.sampled_from("ab0._-/:@[]A"), min_size=1, max_size=30) | st.text(max_size=20)


@QUICK
@given(names)
def test_a_reference_means_one_thing(text: str) -> None:
    try:
        whole = reference.normalise(text)
    except reference.BadReference as error:
        assert error.message
        return
    assert whole.isascii() and whole.isprintable() and " " not in whole
    assert reference.normalise(whole) == whole
    assert str(reference.parse(whole)) == whole
    assert ".." not in whole.split("/")


pieces = st.lists(
    st.one_of(
        st.tuples(st.just("raw"), st.binary(max_size=50)),
        st.tuples(
            st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name),
            st.integers(0, 1 << 40),
            st.integers(0, (1 << 64) - 1),
        ),
    ),
    max_size=8,
)


@QUICK
@given(pieces=pieces)
def test_tar_split_comes_back(pieces: list[tuple], tmp_path: Path) -> None:
    path = tmp_path / "split"
    path.unlink(missing_ok=True)
    writer = tarsplit.Writer(str(path))
    for piece in pieces:
        if piece[0] == "raw":
            writer.raw(piece[1])
        else:
            writer.file(*piece)
    writer.close()
    found = list(tarsplit.records(str(path)))
    files = [piece for piece in pieces if piece[0] != "raw"]
    assert [tarsplit.name_of(item) for item in found if item["type"] == 1] == [name for name, _, _ in files]
    assert [item.get("size") or 0 for item in found if item["type"] == 1] == [size for _, size, _ in files]
    assert [item["position"] for item in found] == list(range(len(found)))


payloads = st.none() | st.sampled_from(["AAAAAAAAAAA=", "AA==", "="]) | texts
split_records = st.fixed_dictionaries(
    {"type": st.sampled_from([1, 2, 3])},
    optional={"name": texts, "name_raw": texts, "size": values, "payload": payloads},
)


@QUICK
@given(lines=st.lists(values | split_records, max_size=5), between=st.sampled_from(["\n", "", " "]))
def test_any_tar_split_is_read_or_refused(lines: list, between: str, tmp_path: Path) -> None:
    path = tmp_path / "split"
    path.write_bytes(gzip.compress(between.join(map(json.dumps, lines)).encode(), 1))
    try:
        for item in tarsplit.records(str(path)):
            assert item["type"] == 2 or b"\0" not in tarsplit.name_of(item)
    except StorageError as error:
        assert error.message.isprintable()
    try:
        for _ in tarsplit.rebuild(str(path), [str(tmp_path)]):
            pass
    except StorageError as error:
        assert error.message.isprintable()


parts_names = st.sampled_from(["a", "b", "d/a", "d/b", "./a", "d/../a", "../a", "/a", "d//b"])
members = st.lists(
    st.tuples(parts_names, st.sampled_from([b"0", b"1", b"2", b"5"]), st.binary(max_size=30), parts_names), max_size=7
)


@QUICK
@given(members=members, name=parts_names)
def test_parts_are_what_the_archive_says(members: list[tuple], name: str, tmp_path: Path) -> None:
    """Against a model: the last entry of a name counts, and links are followed among the archive's own names."""
    data = pack(*((entry(at, kind, linkname=target), content) for at, kind, content, target in members))
    path = tmp_path / "a"
    path.write_bytes(data)
    archive = parts.Archive(os.open(path, os.O_RDONLY))

    def clean(text: str) -> str:
        return os.path.normpath("/" + text).lstrip("/")

    model: dict[str, tuple[bytes, str]] = {}
    for at, kind, content, target in members:
        model.pop(clean(at), None)
        if kind == b"0":
            model[clean(at)] = (content, "")
        elif kind == b"1":
            model[clean(at)] = (b"", clean(target))
        elif kind == b"2":
            model[clean(at)] = (b"", clean(os.path.join(os.path.dirname(clean(at)), target)))
    at, left = clean(name), 8
    while at in model and model[at][1] and left:
        at, left = model[at][1], left - 1
    found = archive.find(name)
    if left and at in model:
        assert found is not None and found[0](100) == model[at][0] and found[1] == len(model[at][0])
    elif at not in model:
        assert found is None
    archive.close()


@QUICK
@given(data=st.binary(max_size=2000), place=st.integers(0, 2000))
def test_any_archive_of_parts(data: bytes, place: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    good = bytearray(pack((entry("manifest.json"), b"[]"), entry("l", tarfile.SYMTYPE, linkname="x")))
    good[place : place + len(data)] = data
    path.write_bytes(good)
    fd = os.open(path, os.O_RDONLY)
    try:
        archive = parts.Archive(fd, Limits(max_archive_files=5))
    except BadArchive as error:
        assert error.message.isprintable()
        os.close(fd)
        return
    for name in ("manifest.json", "l", "", "/", "\udcff", "\0"):
        if (part := archive.find(name)) is not None:
            part[0](10)
    archive.close()
