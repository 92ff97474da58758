"""``logs``: what a container said, replayed or followed."""

import json
import os
import re
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)"


def test_both_streams(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", image, "sh", "-c", "echo out; echo err >&2; printf unfinished").ok()
    done = pypod("logs", "c").ok()
    assert done.out.replace("unfinished\n", "unfinished") == "out\nunfinished"
    assert done.err == "err\n"


def test_the_file_is_in_the_k8s_format(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", image, "sh", "-c", "echo out; sleep 0.2; echo err >&2; sleep 0.2; printf rest").ok()
    path = Path(pypod.inspect("c")["HostConfig"]["LogConfig"]["Path"])
    lines = path.read_text().splitlines()
    assert [re.sub(rf"^{STAMP} ", "", line) for line in lines] == ["stdout F out", "stderr F err", "stdout P rest"]


def test_timestamps_tail_since(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", image, "sh", "-c", "for i in 1 2 3 4 5; do echo $i; done").ok()
    assert pypod("logs", "--tail", "2", "c").ok().out == "4\n5\n"
    assert pypod("logs", "--tail", "0", "c").ok().out == ""
    for line in pypod("logs", "-t", "c").ok().lines:
        assert re.fullmatch(rf"{STAMP} \d", line)
    assert pypod("logs", "--since", "1h", "c").ok().out == "1\n2\n3\n4\n5\n"
    assert pypod("logs", "--since", "2099-01-01T00:00:00Z", "c").ok().out == ""
    assert pypod("logs", "--until", "2000-01-01T00:00:00Z", "c").ok().out == ""


def test_follow_ends_with_the_container(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.3; done").ok()
    done = pypod("logs", "-f", "c", timeout=20).ok()
    assert done.out == "1\n2\n3\n4\n"


def test_follow_shows_lines_as_they_come(pypod: Pypod, image: str) -> None:
    pypod(
        "run", "-d", "--name", "c", image, "sh", "-c", "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two"
    ).ok()
    following = pypod.popen("logs", "-f", "c")
    assert following.stdout
    assert following.stdout.readline() == b"one\n"
    pypod("exec", "c", "touch", "/go").ok()
    assert following.stdout.readline() == b"two\n"
    assert following.wait(20) == 0


def test_follow_of_a_stopped_container_ends(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", image, "echo", "x").ok()
    assert pypod("logs", "-f", "c", timeout=10).ok().out == "x\n"


def test_follow_survives_a_restart_or_ends_cleanly(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "echo up; sleep 100").ok()
    following = pypod.popen("logs", "-f", "c")
    pypod("rm", "-f", "-t", "0", "c").ok()
    assert following.wait(20) == 0


def test_a_second_start_adds_to_the_log(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "echo", "x").ok()
    for _ in range(2):
        pypod("start", "-a", "c").ok()
    assert pypod("logs", "c").ok().out == "x\nx\n"


def test_long_lines_and_odd_bytes(pypod: Pypod, image: str) -> None:
    script = "head -c 100000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\n\\nend\\n'"
    pypod("run", "--name", "c", image, "sh", "-c", script).ok()
    out = pypod("logs", "c").ok().out
    assert out.encode(errors="surrogateescape") == b"x" * 100000 + b"\na\xffb\n\nend\n"


@pytest.mark.ours_only("conmon cuts a line in two where its read ends")
def test_short_lines_stay_whole(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", image, "seq", "100000", "120000").ok()
    path = pypod.inspect("c")["HostConfig"]["LogConfig"]["Path"]
    with open(path) as file:
        kinds = {line.split()[2] for line in file}
    assert kinds == {"F"}
    assert pypod("logs", "c").ok().lines == [str(n) for n in range(100000, 120001)]


def test_log_driver_none(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--name", "c", "--log-driver", "none", image, "echo", "x").ok().out == "x\n"
    pypod("logs", "c").fails(125, "none")


@pytest.mark.parametrize(
    "monitor",
    [pytest.param("ours", marks=pytest.mark.ours_only("conmon does not write json-file")), "/usr/bin/conmon"],
)
def test_json_file(pypod: Pypod, image: str, monitor: str) -> None:
    if monitor != "ours" and not os.access(monitor, os.X_OK):
        box.missing("conmon is not installed")
    flags = [] if monitor == "ours" else ["--conmon", monitor]
    script = "printf 'a \"b\"\\n'; sleep 0.2; echo err >&2"
    pypod(*flags, "run", "--name", "c", "--log-driver", "json-file", image, "sh", "-c", script).ok()
    done = pypod("logs", "c").ok()
    assert (done.out, done.err) == ('a "b"\n', "err\n")
    assert pypod("logs", "--tail", "1", "c").ok().out == ""
    assert pypod.inspect("c")["HostConfig"]["LogConfig"]["Type"] == "json-file"
    lines = Path(pypod.inspect("c")["HostConfig"]["LogConfig"]["Path"]).read_text().splitlines()
    if monitor == "ours":
        assert [json.loads(line)["log"] for line in lines] == ['a "b"\n', "err\n"]
    else:
        assert [line.split(" ", 1)[1] for line in lines] == ['stdout F a "b"', "stderr F err"]


def test_log_opts(pypod: Pypod, image: str, shared_dir: Path) -> None:
    path = shared_dir / "my.log"
    flags = ["--log-driver", "k8s-file", "--log-opt", f"path={path}"]
    pypod("run", "--name", "c", *flags, image, "echo", "x").ok()
    assert path.read_text().endswith(" stdout F x\n")
    assert pypod("logs", "c").ok().out == "x\n"
    pypod("rm", "c").ok()
    pypod("run", "--name", "d", "--log-opt", "max-size=20k", image, "seq", "1", "10000").ok()
    size = os.stat(pypod.inspect("d")["HostConfig"]["LogConfig"]["Path"]).st_size
    assert size <= 20 * 1024
    assert pypod("logs", "--tail", "1", "d").ok().out == "10000\n"
    pypod("create", "--log-driver", "nosuch", image, "true").fails(125, "nosuch")
    pypod("create", "--log-opt", "nosuch=1", image, "true").fails(125, "nosuch")


@pytest.mark.ours_only("conmon throws away what it had when a log reaches its size")
def test_a_rotated_log_is_read_as_a_whole(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", "--log-opt", "max-size=20k", image, "seq", "1000", "1599").ok()
    path = pypod.inspect("c")["HostConfig"]["LogConfig"]["Path"]
    assert os.path.exists(path + ".1")
    numbers = [str(number) for number in range(1000, 1600)]
    assert pypod("logs", "c").ok().lines == numbers
    assert pypod("logs", "--tail", "590", "c").ok().lines == numbers[10:]


def test_names_and_several_containers(pypod: Pypod, image: str) -> None:
    for name in ("a", "b"):
        pypod("run", "--name", name, image, "echo", f"from {name}").ok()
    out = pypod("logs", "-n", "a", "b").ok().out
    assert out == "a from a\nb from b\n"
    # Alone it needs no name; without names, several have their IDs; a colour is for the whole line.
    assert pypod("logs", "-n", "a").ok().out == "from a\n"
    ids = [pypod.inspect(name)["Id"][:12] for name in ("a", "b")]
    assert pypod("logs", "b", "a").ok().lines == [f"{ids[0]} from a", f"{ids[1]} from b"]  # in the order of time
    shown = pypod("logs", "--color", "-n", "a", "b").ok().lines
    assert shown == ["\033[37ma from a\033[0m", "\033[31mb from b\033[0m"]
    assert sorted(pypod("logs", "-f", "-n", "a", "b").ok().lines) == ["a from a", "b from b"]
    pypod("logs", "nosuch").fails(125, "nosuch")


def test_logs_while_much_is_written(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "seq 1 50000; echo end").ok()
    following = pypod("logs", "-f", "c", timeout=30).ok()
    assert following.lines == [*(str(n) for n in range(1, 50001)), "end"]
    until(lambda: pypod.state("c") == "exited", 10, "the end")
