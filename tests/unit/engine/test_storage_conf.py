"""storage.conf: which files count, what each key does, and that nothing is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypod.engine import storage_conf
from pypod.engine.storage_conf import StorageConf
from pypod.errors import ConfigError


class Box:
    """A host's and a user's configuration directories."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.env = monkeypatch
        for name in ("CONTAINERS_STORAGE_CONF", "CONTAINERS_STORAGE_CONF_OVERRIDE", "STORAGE_DRIVER", "STORAGE_OPTS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        monkeypatch.setattr(storage_conf, "_SYSTEM", (str(path / "usr"), str(path / "etc")))

    def write(self, name: str, text: str) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)

    def storage(self, name: str, **keys: str) -> str:
        return self.write(name, "[storage]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items()))

    def read(self, *, rootless: bool = False, **flags: object) -> StorageConf:
        return storage_conf.read(
            flags,
            rootless=rootless,
            uid=1000,
            home="/home/u",
            config_home=str(self.path / "home"),
            runtime_dir="/run/user/1000",
            cache="",
        )

    def options(self, text: str, **flags: object) -> StorageConf:
        self.write("etc/storage.conf", f'[storage]\ndriver = "overlay"\n[storage.options]\n{text}\n')
        return self.read(**flags)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return Box(tmp_path, monkeypatch)


def test_without_any_file(box: Box) -> None:
    root, user = box.read(), box.read(rootless=True)
    assert (root.graphroot, root.runroot) == ("/var/lib/containers/storage", "/run/containers/storage")
    assert user.graphroot == "/home/u/.local/share/containers/storage"
    assert user.runroot == "/run/user/1000/containers"
    assert root.sync and not root.transient_store and root.files == []
    assert (root.auto_userns_min, root.auto_userns_max) == (1024, 65536)
    assert root.root_auto_userns_user == "containers"


def test_one_main_file_counts(box: Box) -> None:
    box.storage("usr/storage.conf", graphroot="/usr", runroot="/r")
    assert box.read().graphroot == "/usr"
    box.storage("etc/storage.conf", graphroot="/etc")
    assert (box.read().graphroot, box.read().runroot) == ("/etc", "/run/containers/storage")
    box.storage("home/containers/storage.conf", graphroot="/mine")
    assert box.read().graphroot == "/etc"
    assert box.read(rootless=True).graphroot == "/mine"
    box.env.setenv("CONTAINERS_STORAGE_CONF", box.storage("x.conf", graphroot="/given"))
    assert box.read().graphroot == box.read(rootless=True).graphroot == "/given"
    box.env.setenv("CONTAINERS_STORAGE_CONF", "/nonexistent")
    with pytest.raises(ConfigError, match="cannot read configuration /nonexistent"):
        box.read()


def test_drop_ins(box: Box) -> None:
    """They come after the main file, by name; of one name the more special place's counts."""
    box.storage("etc/storage.conf", graphroot="/main", runroot="/main")
    box.storage("usr/storage.conf.d/10-a.conf", graphroot="/a", runroot="/a")
    box.storage("etc/storage.conf.d/20-b.conf", graphroot="/b")
    box.storage("etc/storage.conf.d/ignored.txt", graphroot="/no")
    assert (box.read().graphroot, box.read().runroot) == ("/b", "/a")
    box.storage("etc/storage.conf.d/10-a.conf", runroot="/etc-a")
    assert (box.read().graphroot, box.read().runroot) == ("/b", "/etc-a")
    box.storage("etc/storage.rootful.conf.d/30.conf", graphroot="/rootful")
    box.storage("etc/storage.rootless.conf.d/30.conf", graphroot="/rootless/$UID")
    assert box.read().graphroot == "/rootful"
    assert box.read(rootless=True).graphroot == "/rootless/1000"
    box.storage("etc/storage.rootless.conf.d/1000/30.conf", graphroot="/thousand")
    assert box.read(rootless=True).graphroot == "/thousand"
    box.storage("home/containers/storage.conf.d/40.conf", graphroot="/mine")
    assert (box.read().graphroot, box.read(rootless=True).graphroot) == ("/rootful", "/mine")
    box.env.setenv("CONTAINERS_STORAGE_CONF_OVERRIDE", box.storage("o.conf", graphroot="/last"))
    assert box.read().graphroot == box.read(rootless=True).graphroot == "/last"
    # The variable puts the drop-ins out of force, not the last word.
    box.env.setenv("CONTAINERS_STORAGE_CONF", box.storage("x.conf", runroot="/given"))
    assert (box.read().graphroot, box.read().runroot) == ("/last", "/given")


def test_the_places_of_root_are_not_a_users(box: Box) -> None:
    box.storage("etc/storage.conf", graphroot="/root", runroot="/root", driver="vfs")
    user = box.read(rootless=True)
    assert user.graphroot == "/home/u/.local/share/containers/storage"
    assert (user.runroot, user.driver) == ("/run/user/1000/containers", "vfs")
    box.storage("etc/storage.conf", rootless_storage_path="/srv/$UID/$PLACE")
    box.env.setenv("PLACE", "p")
    assert box.read(rootless=True).graphroot == "/srv/1000/p"
    assert box.read().graphroot == "/var/lib/containers/storage"


def test_paths(box: Box) -> None:
    box.storage("etc/storage.conf", graphroot="$HOME/x/../g", imagestore="/images")
    assert box.read().graphroot == "/home/u/g"
    assert box.read().imagestore == "/images"
    assert box.read(imagestore="/other").imagestore == "/other"
    box.storage("etc/storage.conf", graphroot="/x/$NOT_SET_ANYWHERE")
    with pytest.raises(ConfigError, match="variable that is not set"):
        box.read()
    box.storage("etc/storage.conf", graphroot="relative")
    with pytest.raises(ConfigError, match=r"storage\.conf: storage\.graphroot relative is not an absolute path"):
        box.read()


def test_the_driver(box: Box, tmp_path: Path) -> None:
    box.write("etc/storage.conf", '[storage]\ndriver_priority = ["btrfs", "vfs", "overlay"]\n')
    assert box.read().driver == "vfs"
    box.storage("etc/storage.conf", driver="overlay2")
    assert box.read().driver == "overlay"
    box.env.setenv("STORAGE_DRIVER", "vfs")
    assert box.read().driver == "vfs"
    assert box.read(storage_driver="overlay").driver == "overlay"
    box.env.delenv("STORAGE_DRIVER")
    box.storage("etc/storage.conf", driver="btrfs")
    with pytest.raises(ConfigError, match="storage driver btrfs is not supported"):
        box.read()
    # Nobody says: the one that the store was begun with.
    box.storage("etc/storage.conf", graphroot=str(tmp_path / "g"))
    (tmp_path / "g" / "vfs-images").mkdir(parents=True)
    assert box.read().driver == "vfs"


def test_options(box: Box) -> None:
    conf = box.options(
        'mountopt = "nodev"\nsize = ""\nskip_mount_home = "true"\ndisable-volatile = true\n'
        'additionalimagestores = ["/a", "/b"]\nauto-userns-min-size = 2048\nroot-auto-userns-user = "me"\n'
        'pull_options = {convert_images = "false"}\n'
        '[storage.options.overlay]\nmountopt = "nodev,metacopy=on"\nsync = "none"\nignore_chown_errors = "true"\n'
        'mount_program = "/bin/f"\n[storage.options.vfs]\nignore_chown_errors = "false"'
    )
    assert conf.mountopt == "nodev,metacopy=on"
    assert conf.additional_image_stores == ["/a", "/b"]
    assert conf.disable_volatile and conf.ignore_chown_errors and not conf.sync
    assert (conf.auto_userns_min, conf.root_auto_userns_user) == (2048, "me")
    assert conf.mount_program == "/bin/f"
    assert conf.pull_options == {"convert_images": "false"}
    # They can be said again as they are.
    assert box.options("", storage_opt=conf.options).options == conf.options


def test_options_from_elsewhere(box: Box) -> None:
    text = 'mountopt = "nodev"'
    assert box.options(text).mountopt == "nodev"
    # podman(1): --root and --storage-driver leave the options of the file behind.
    assert box.options(text, root="/x").mountopt == ""
    assert box.options(text, storage_driver="overlay").mountopt == ""
    assert box.options(text, storage_opt=["overlay.sync=none"]).mountopt == ""
    assert box.options(text, storage_opt=[""]).mountopt == ""
    assert box.options(text, storage_opt=["pypod.layer_size=1g"]).mountopt == "nodev"
    box.env.setenv("STORAGE_OPTS", "overlay.mountopt=nosuid,.imagestore=/a,additionalimagestore=/b")
    conf = box.options(text)
    assert (conf.mountopt, conf.additional_image_stores) == ("nosuid", ["/a", "/b"])
    assert box.options(text, transient_store=True).transient_store


@pytest.mark.parametrize(("text", "mode"), [("shared", 0o755), ("private", 0o700), ("0711", 0o711), ("", -1)])
def test_force_mask(box: Box, text: str, mode: int) -> None:
    assert box.options(f'mount_program = "/f"\nforce_mask = "{text}"').force_mask == mode


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('size = "10G"', "overlay.size is not supported"),
        ('[storage.options.overlay]\ninodes = "100"', "overlay.inodes is not supported"),
        ('[storage.options.overlay]\nforce_mask = "0700"', "force_mask is supported only with overlay.mount_program"),
        ('[storage.options.overlay]\nmount_program = "/f"\nforce_mask = "x"', "force_mask=x is not shared, private"),
        ('[storage.options.overlay]\nuse_composefs = "true"', "use_composefs is not supported"),
        ('[storage.options.overlay]\nsync = "always"', 'neither "none" nor "filesystem"'),
        ('ignore_chown_errors = "maybe"', "ignore_chown_errors=maybe is not true or false"),
        ('remap-user = "me"', "remap-user is not supported"),
        ('mountopt = ["nodev"]', r"storage\.conf: storage.options.mountopt must be a string"),
        ("mountopt = 3", r"storage\.conf: storage.options.mountopt must be a string"),
        ("overlay = 3", r"storage\.conf: storage.options.overlay is not a table"),
        ("auto-userns-max-size = 5", "auto-userns-min-size 1024 is more"),
        ('auto-userns-max-size = "5"', "must be a number"),
        ("[storage.options", r"cannot parse configuration .*storage\.conf: .*line 4"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(box: Box, text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        box.options(text)


@pytest.mark.parametrize("option", ["overlay.bogus=1", "vfs.mountopt=x", "bogus", "overlay.size=1G"])
def test_options_that_nobody_has(box: Box, option: str) -> None:
    with pytest.raises(ConfigError, match=f"storage option {option.partition('=')[0]}"):
        box.options("", storage_opt=[option])


def test_unknown_keys_are_said_once(box: Box, capfd: pytest.CaptureFixture[str]) -> None:
    path = box.write(
        "etc/storage.conf",
        '[storage]\ndriver = "overlay"\nbogus = 1\n[storage.options]\nfoo = "x"\n'
        '[storage.options.overlay]\nbar = "y"\n'
        '[storage.options.zfs]\nfsname = "z"\n[other]\nx = 1\n',
    )
    box.read()
    wanted = '"other" "storage.bogus" "storage.options.foo" "storage.options.overlay.bar"'
    assert capfd.readouterr().err == f'WARNING: Failed to decode the keys [{wanted}] from "{path}"\n'
    box.read(log_level="error")
    assert capfd.readouterr().err == ""


def test_layer_stores_are_warned_of(box: Box, capfd: pytest.CaptureFixture[str]) -> None:
    box.options('additionallayerstores = ["/x:ref"]')
    assert capfd.readouterr().err == "WARNING: additionallayerstores are not supported: layers are stored whole\n"
