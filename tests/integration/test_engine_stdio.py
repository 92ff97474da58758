"""Standard streams that are closed, and descriptors that must not get anywhere."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from support.runner import Pypod

LIST = "ls /proc/self/fd"


def shell(pypod: Pypod, script: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run ``"$@"``, a pypod command line, in a shell script."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *pypod.argv(*args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=pypod.environment(),
        cwd=pypod.cwd,
        **pypod.user.popen_options(),
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_are_dev_null(pypod: Pypod, image: str, closed: str) -> None:
    done = shell(
        pypod, f'"$@" {closed}', "run", "--rm", "-i", "--network", "none", image, "sh", "-c", "cat; echo out; exit 4"
    )
    assert done.returncode == 4, done
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "out\n")
    assert "Traceback" not in done.stderr
    done = shell(pypod, f'"$@" {closed}', "ps", "-a", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "words", [("--version",), ("ps",), ("info",), ("--help",), ("images",), ("create", "IMAGE", "true")]
)
def test_any_command_without_stdout(pypod: Pypod, image: str, words: tuple[str, ...]) -> None:
    done = shell(pypod, '"$@" >&-', *(image if word == "IMAGE" else word for word in words))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_printed_goes_into_no_file_of_ours(pypod: Pypod, image: str) -> None:
    """A lock or record that got descriptor 1 would be written over."""
    assert shell(pypod, '"$@" >&-', "create", "--name", "c", image, "true").returncode == 0
    assert pypod("start", "-a", "c").ok().out == ""
    assert pypod.inspect("c")["State"]["Status"] == "exited"


def open_descriptors(text: str) -> list[str]:
    """What ``ls /proc/self/fd`` showed but for the directory that it read itself."""
    return [word for word in text.split() if word not in ("0", "1", "2", "3")]


@pytest.mark.parametrize("flags", [(), ("-i",), ("-t",), ("-i", "-t")])
def test_a_container_has_no_descriptor_of_its_callers(pypod: Pypod, image: str, flags: tuple[str, ...]) -> None:
    words = ("run", "--rm", *flags, "--network", "none", image, "sh", "-c", LIST)
    done = shell(pypod, '"$@" 5</etc/passwd 9</', *words)
    assert done.returncode == 0, done
    assert open_descriptors(done.stdout) == []


def test_nor_has_a_detached_one_or_its_exec_sessions(pypod: Pypod, image: str) -> None:
    done = shell(pypod, '"$@" 5</etc/passwd 9</', "run", "-d", "--name", "c", image, "sh", "-c", f"{LIST}; sleep 100")
    assert done.returncode == 0, done
    assert open_descriptors(pypod.wait_log("c", "2")) == []
    assert sorted(os.listdir(f"/proc/{pypod.pid('c')}/fd")) in (["0", "1", "2"], ["0", "1", "10", "2"])
    for flags in ((), ("-i",), ("-t",), ("-i", "-t")):
        done = shell(pypod, '"$@" 5</etc/passwd 9</', "exec", *flags, "c", "sh", "-c", LIST)
        assert done.returncode == 0, done
        assert open_descriptors(done.stdout) == []
    done = shell(pypod, '"$@" 5</etc/passwd 9</', "exec", "-d", "c", "sh", "-c", f"{LIST} >/fds")
    assert done.returncode == 0, done
    pypod("exec", "c", "sh", "-c", "while [ ! -s /fds ]; do sleep 0.1; done").ok()
    assert open_descriptors(pypod("exec", "c", "cat", "/fds").ok().out) == []


def test_a_detached_run_lets_go_of_every_pipe(pypod: Pypod, image: str) -> None:
    """Else ``$(pypod run -d …)`` and whoever reads one of our descriptors would wait for the container's end."""
    done = shell(pypod, '{ "$@" 9>&1; } | cat; echo end', "run", "-d", "--name", "c", image, "sleep", "100")
    assert done.stdout.endswith("\nend\n")
    assert pypod.state("c") == "running"


def test_preserved_descriptors_arrive(pypod: Pypod, image: str, shared_dir: Path) -> None:
    (shared_dir / "file").write_text("kept\n")
    done = shell(
        pypod,
        f'"$@" 3<{shared_dir}/file 4</etc/passwd',
        *("run", "--rm", "--preserve-fds", "1", "--network", "none", image, "sh", "-c", "cat <&3; " + LIST),
    )
    assert done.stdout.splitlines()[0] == "kept", done
    assert [word for word in done.stdout.split()[1:] if word not in ("0", "1", "2", "3", "4")] == []


@pytest.mark.ours_only("conmon refuses to start where the working directory is gone")
def test_the_directories_that_a_user_may_not_enter(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """``su user -c`` from root's home: the working directory is out of reach, and that is no reason to fail."""
    gone = shared_dir / "gone"
    gone.mkdir()
    closed = shared_dir / "closed"
    closed.mkdir()
    for directory, before in ((gone, lambda: gone.rmdir()), (closed, lambda: closed.chmod(0))):
        script = f'cd {directory} && read line && exec "$@"'
        process = subprocess.Popen(
            ["sh", "-c", script, "sh", *pypod.argv("run", "--rm", "--network", "none", image, "echo", "here")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=pypod.environment(),
            **pypod.user.popen_options(),
        )

        time.sleep(0.2)
        before()
        out, err = process.communicate("go\n", timeout=30)
        # The shell that starts the interpreter has its own word on a directory that is gone.
        assert (process.returncode, out) == (0, "here\n"), err
        assert "Error" not in err
