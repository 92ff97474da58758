"""Files written, directories made and removed while others do the same, or a signal comes."""

import os
import threading

import pytest

from pypod.base import files
from support import signalled


def test_make_directory_makes_parents_and_does_not_mind_what_is_there(tmp_path):
    path = str(tmp_path / "a" / "b" / "c")
    files.make_directory(path)
    files.make_directory(path)
    assert os.stat(path).st_mode & 0o777 == 0o700
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700


def test_where_nothing_can_be_made_is_an_error_and_no_loop():
    with pytest.raises(FileNotFoundError):
        files.make_directory("/proc/nosuch/a")


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        files.make_directory(str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        files.make_directory(str(tmp_path / "file" / "a"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_deliver_leaves_devices_what_they_are(tmp_path):
    os.mknod(tmp_path / "null", 0o020666, os.makedev(1, 3))
    (tmp_path / "link").symlink_to("null")
    files.deliver(str(tmp_path / "link"), b"text")
    assert (tmp_path / "null").is_char_device() and (tmp_path / "link").is_symlink()


def test_deliver(tmp_path):
    (tmp_path / "link").symlink_to("file")
    files.deliver(str(tmp_path / "link"), b"text")
    assert (tmp_path / "file").read_bytes() == b"text" and (tmp_path / "link").is_symlink()
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    files.deliver(str(tmp_path / "fifo"), b"text")
    assert os.read(reader, 9) == b"text"
    os.close(reader)


def test_a_signal_leaves_the_old_file_or_the_new_one_and_nothing_else(tmp_path):
    file = tmp_path / "file"
    seen = set()

    def replace():
        file.write_text("old")
        try:
            files.replace(str(file), b"new", durable=True)
        finally:
            seen.add(file.read_text())
            assert [path.name for path in tmp_path.iterdir()] == ["file"]

    assert signalled.after_each_call(replace) > 10
    assert seen == {"old", "new"}


def test_remove_tree_while_somebody_writes(tmp_path):
    """A monitor that ends puts its last files into directories that are being removed."""
    for number in range(30):
        place = tmp_path / str(number)
        (place / "sub").mkdir(parents=True)

        def write(place: str = str(place)) -> None:
            for name in range(4):  # fewer than it tries
                try:
                    with open(f"{place}/{name}", "w"):
                        pass
                except OSError:
                    return

        writer = threading.Thread(target=write)
        writer.start()
        try:
            files.remove_tree(str(place))
        finally:
            writer.join()
        assert not place.exists()
