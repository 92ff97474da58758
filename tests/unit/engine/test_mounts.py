"""--volume, --mount and --tmpfs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.engine import mounts
from pypod.errors import UsageError

VOLUMES = "/store/volumes"


def test_bind(tmp_path: Path) -> None:
    found = mounts.parse_volume(f"{tmp_path}:/mnt/:ro,z", VOLUMES)
    assert (found.type, found.source, found.destination) == ("bind", str(tmp_path), "/mnt")
    assert found.options == ["ro", "rprivate", "rbind"]


def test_relative_source_is_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    assert mounts.parse_volume("./sub:/x", VOLUMES).source == str(tmp_path / "sub")
    assert mounts.parse_volume(".:/x", VOLUMES).source == str(tmp_path)


def test_named_volume() -> None:
    found = mounts.parse_volume("data:/var/data:nocopy,U", VOLUMES)
    assert (found.type, found.name, found.source) == ("volume", "data", "/store/volumes/data/_data")
    assert found.options == ["rw", "rprivate", "nosuid", "nodev", "rbind"]
    assert found.chown and not found.copy and not found.anonymous


def test_anonymous_volume() -> None:
    found = mounts.parse_volume("/var/data", VOLUMES)
    assert found.anonymous and len(found.name) == 64


@pytest.mark.parametrize(
    "text",
    [
        "a:b",
        "a:/",
        "a b:/x",
        "/nonexistent-source:/x",
        "/tmp:/x:foo",
        "/tmp:/x:ro,rw",
        "/tmp:/x:shared,slave",
        "/tmp:/x:ro:z",
        ":/x",
        "-v:/x",
        "../..x/y:/z",
    ],
)
def test_bad_volume(text: str) -> None:
    with pytest.raises(UsageError):
        mounts.parse_volume(text, VOLUMES)


def test_tmpfs() -> None:
    assert mounts.parse_tmpfs("/t").options == ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]
    found = mounts.parse_tmpfs("/t:size=10m,mode=755,exec,notmpcopyup")
    assert found.options == ["size=10m", "mode=755", "exec", "rw", "rprivate", "nosuid", "nodev"]
    with pytest.raises(UsageError, match="invalid option"):
        mounts.parse_tmpfs("/t:nonsense")


def test_mount_types(tmp_path: Path) -> None:
    bind = mounts.parse_mount(f"type=bind,src={tmp_path},dst=/m,ro=true,bind-propagation=rslave", VOLUMES)[0]
    assert bind.options == ["ro", "rslave", "rbind"]
    volume = mounts.parse_mount("type=volume,source=v,target=/m,rw=false", VOLUMES)[0]
    assert volume.name == "v" and "ro" in volume.options
    anonymous = mounts.parse_mount("destination=/m", VOLUMES)[0]
    assert anonymous.anonymous
    tmpfs = mounts.parse_mount("type=tmpfs,dst=/m,tmpfs-size=1m,tmpfs-mode=700", VOLUMES)[0]
    assert tmpfs.options[:2] == ["size=1m", "mode=700"]
    devpts = mounts.parse_mount("type=devpts,destination=/m,gid=5", VOLUMES)[0]
    assert (devpts.type, devpts.options) == ("devpts", ["gid=5"])
    image = mounts.parse_mount("type=image,src=img,dst=/m", VOLUMES)[0]
    assert (image.type, image.source) == ("image", "img")


def test_glob(tmp_path: Path) -> None:
    for name in ("a.x", "b.x", "c.y"):
        (tmp_path / name).touch()
    found = mounts.parse_mount(f"type=glob,src={tmp_path}/*.x,dst=/g", VOLUMES)
    assert [item.destination for item in found] == ["/g/a.x", "/g/b.x"]
    with pytest.raises(UsageError, match="no file paths matching"):
        mounts.parse_mount(f"type=glob,src={tmp_path}/*.z,dst=/g", VOLUMES)


def test_quoted_values_may_hold_commas(tmp_path: Path) -> None:
    path = tmp_path / "a,b"
    path.mkdir()
    assert mounts.parse_mount(f'type=bind,"src={path}",dst=/m', VOLUMES)[0].source == str(path)


@pytest.mark.parametrize(
    "text",
    [
        "type=foo,dst=/x",
        "type=bind,dst=/x",
        "type=bind,src=/tmp",
        "type=bind,src=/tmp,dst=/x,foo",
        "type=bind,src=/tmp,dst=/x,ro=maybe",
        "type=tmpfs,src=/tmp,dst=/x",
        "type=bind,src=/tmp,dst=x",
        "type=bind,src=/tmp,dst=/x,bind-propagation=loud",
        'type=bind,"src=/tmp,dst=/x',
    ],
)
def test_bad_mount(text: str) -> None:
    with pytest.raises(UsageError):
        mounts.parse_mount(text, VOLUMES)


@given(st.text(alphabet='abz/.:,=-"roUtypesrcdt ', max_size=30))
def test_parsers_never_break(text: str) -> None:
    for parse in (mounts.parse_volume, mounts.parse_mount):
        try:
            parse(text, VOLUMES)
        except UsageError:
            pass
    try:
        mounts.parse_tmpfs(text)
    except UsageError:
        pass


def test_one_destination_once() -> None:
    with pytest.raises(UsageError, match="duplicate mount destination"):
        mounts.unify([[mounts.parse_tmpfs("/x")], [mounts.parse_volume("v:/x", VOLUMES)]])


def test_volumes_from_never_owns() -> None:
    source = [mounts.parse_volume("/anon", VOLUMES), mounts.parse_tmpfs("/t")]
    (found,) = mounts.from_container("other:ro", source)
    assert not found.anonymous
    assert "ro" in found.options and "rw" not in found.options
    with pytest.raises(UsageError):
        mounts.from_container("other:foo", source)
