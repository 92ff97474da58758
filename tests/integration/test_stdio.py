"""stdin, stdout and stderr of a container without a terminal."""

import hashlib
import subprocess

import pytest

from support.runner import Pypod

MIB = 1 << 20


def test_stdin_of_a_pipe(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", "-i", image, "cat", input="hello\n").ok().out == "hello\n"


def test_without_i_stdin_is_empty(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", image, "cat", input="hello\n").ok().out == ""


def test_an_empty_stdin_ends_at_once(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", "-i", image, "cat").ok().out == ""


def test_a_quarter_of_a_gibibyte_comes_out_of_a_pipe_unchanged(pypod: Pypod, image: str) -> None:
    script = "dd if=/dev/urandom of=/dev/shm/x bs=1M count=16 2>/dev/null; sha256sum </dev/shm/x >&2;"
    script += " for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat /dev/shm/x; done"
    process = pypod.popen("run", "--rm", image, "sh", "-c", script)
    assert process.stdout and process.stderr
    total, block, whole = 0, hashlib.sha256(), set()
    while chunk := process.stdout.read(MIB):
        block.update(chunk)
        total += len(chunk)
        if total % (16 * MIB) == 0:
            whole.add(block.hexdigest())
            block = hashlib.sha256()
    said = process.stderr.read().split()[0].decode()
    assert process.wait(30) == 0
    assert total == 256 * MIB
    assert whole == {said}


def test_a_quarter_of_a_gibibyte_goes_in_and_out_unchanged(pypod: Pypod, image: str) -> None:
    """Through stdin and stdout at once, with the sha256 of both ends."""
    process = pypod.popen("run", "--rm", "-i", image, "cat", stdin=subprocess.PIPE)
    assert process.stdin and process.stdout
    feeder = subprocess.Popen(
        ["sh", "-c", "head -c 268435456 /dev/zero | tr '\\0' '\\252'"], stdout=process.stdin, start_new_session=True
    )
    process.stdin.close()
    got, total = hashlib.sha256(), 0
    while chunk := process.stdout.read(MIB):
        got.update(chunk)
        total += len(chunk)
    assert feeder.wait(30) == 0
    assert process.wait(30) == 0
    assert total == 256 * MIB
    wanted = hashlib.sha256()
    for _ in range(256):
        wanted.update(b"\252" * MIB)
    assert got.hexdigest() == wanted.hexdigest()


def test_stdout_and_stderr_stay_apart(pypod: Pypod, image: str) -> None:
    done = pypod("run", "--rm", image, "sh", "-c", "seq 1 2000; seq 3001 5000 >&2").ok()
    assert done.lines == [str(n) for n in range(1, 2001)]
    assert done.err.splitlines() == [str(n) for n in range(3001, 5001)]


def test_output_written_just_before_the_end_is_not_lost(pypod: Pypod, image: str) -> None:
    for _ in range(5):
        done = pypod("run", "--rm", image, "sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x")
        assert len(done.ok().out) == 200000


def test_input_that_is_never_read_loses_no_output(pypod: Pypod, image: str) -> None:
    """A socket closed with unread input makes the kernel throw away what was on its way to the client."""
    script = "head -c 100000 /dev/zero | tr '\\0' x"
    for _ in range(5):
        done = pypod("run", "--rm", "-i", image, "sh", "-c", script, input=b"y" * 65536)
        assert len(done.ok().out) == 100000


def test_a_reader_that_goes_away_does_not_hang_run(pypod: Pypod, image: str) -> None:
    process = pypod.popen("run", "--rm", image, "sh", "-c", "yes | head -c 10000000; exit 3")
    assert process.stdout
    process.stdout.read(10)
    process.stdout.close()
    process.wait(30)


def test_stdin_closed_by_the_container_does_not_hang_run(pypod: Pypod, image: str) -> None:
    done = pypod(
        "run", "--rm", "-i", image, "sh", "-c", "exec 0</dev/null; sleep 0.5; echo done", input=b"z" * 300000
    )
    assert done.ok().out == "done\n"


@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_attach_chooses_streams(pypod: Pypod, image: str, streams: tuple[str, ...]) -> None:
    flags = [item for stream in streams for item in ("-a", stream)]
    done = pypod("run", "--rm", *flags, image, "sh", "-c", "echo out; echo err >&2").ok()
    assert done.out == ("out\n" if "stdout" in streams else "")
    assert done.err == ("err\n" if "stderr" in streams else "")


def test_attach_to_a_running_container(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "-i", "--name", "c", image, "sh", "-c", "read x; echo got $x; exit 5").ok()
    done = pypod("attach", "c", input="word\n")
    assert done.out.strip() == "got word"
    assert done.code == 5


def test_start_attached_and_interactive(pypod: Pypod, image: str) -> None:
    pypod("create", "-i", "--name", "c", image, "sh", "-c", "read x; echo got $x; exit 6").ok()
    done = pypod("start", "-a", "-i", "c", input="word\n")
    assert (done.code, done.out) == (6, "got word\n")


def test_stdin_attached_is_not_a_terminal(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", "-i", image, "tty").out == "not a tty\n"


def test_a_user_without_privileges_may_reopen_its_output(pypod: Pypod, image: str) -> None:
    done = pypod("run", "--rm", "-u", "1000", image, "sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr").ok()
    assert (done.out, done.err) == ("out\n", "err\n")
