"""``-t``: the container has a terminal that behaves like the user's own."""

import time

from support.runner import Pypod
from support.tmux import Tmux

SHELL_PROMPT = rb"# $"


def test_the_container_has_a_terminal(pypod: Pypod, image: str) -> None:
    done = pypod("run", "--rm", "-t", image, "tty", tty=True).ok()
    assert done.out.startswith("/dev/pts/")


def test_the_exit_status_comes_through(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", "-it", image, "sh", "-c", "exit 7", tty=True).code == 7


def test_lines_end_as_on_a_terminal(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", "-t", image, "echo", "a", tty=True).ok().out == "a\r\n"


def test_t_works_without_a_terminal_of_ones_own(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", "-t", image, "echo", "a").ok().out == "a\r\n"


def test_term_is_set_and_the_size_is_the_users(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "--rm", "-it", image, "sh", rows=33, columns=101) as terminal:
        terminal.expect("# ")
        terminal.send("stty size; echo TERM=$TERM\n")
        terminal.expect(rb"\n33 101\r\n")
        terminal.expect(rb"TERM=xterm\r\n")
        terminal.send("exit 4\n")
        assert terminal.wait() == 4


def test_a_resize_reaches_the_container(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "--rm", "-it", image, "sh") as terminal:
        terminal.expect("# ")
        terminal.resize(47, 131)
        for _ in range(20):  # the size travels on a way of its own
            terminal.send("stty size\n")
            if terminal.expect(rb"\n(\d+ \d+)\r\n").group(1) == b"47 131":
                break
            time.sleep(0.1)
        else:
            raise AssertionError(terminal.output)
        terminal.send("exit\n")
        assert terminal.wait() == 0


def test_control_c_interrupts_the_command_and_not_the_shell(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "--rm", "-it", image, "sh") as terminal:
        terminal.expect("# ")
        terminal.send("sleep 100; echo status=$?\n")
        time.sleep(0.5)
        terminal.send(b"\x03")
        terminal.expect("# ", timeout=5)
        terminal.send("echo still here\n")
        terminal.expect(rb"\nstill here")
        terminal.send("exit 0\n")
        assert terminal.wait() == 0


def test_control_c_ends_a_program_that_has_the_terminal_alone(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "--rm", "-it", "--init", image, "sh", "-c", "echo ready; cat") as terminal:
        terminal.expect("ready")
        terminal.send(b"\x03")
        assert terminal.wait() == 130


def test_the_detach_keys_leave_the_container_running(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "-it", "--name", "c", image, "sh") as terminal:
        terminal.expect("# ")
        terminal.send(b"\x10\x11")  # ctrl-p ctrl-q
        assert terminal.wait() == 0
    assert pypod.state("c") == "running"
    with pypod.terminal("attach", "c") as terminal:
        terminal.send("echo back; exit 3\n")
        terminal.expect(rb"\nback\r\n")
        assert terminal.wait() == 3


def test_other_detach_keys(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "-it", "--detach-keys", "ctrl-x,z", "--name", "c", image, "sh") as terminal:
        terminal.expect("# ")
        terminal.send("echo a\x10b\n")  # half of the default keys is ordinary input now
        terminal.expect("# ")
        terminal.send(b"\x18z")
        assert terminal.wait() == 0
    assert pypod.state("c") == "running"


def test_half_of_the_detach_keys_is_input(pypod: Pypod, image: str) -> None:
    with pypod.terminal(
        "run", "--rm", "-it", image, "sh", "-c", "stty raw -echo; echo ready; head -c 2 | od -c"
    ) as t:
        t.expect("ready")
        t.send(b"\x10a")
        t.expect(rb"020\s+a")
        assert t.wait() == 0


def test_the_users_terminal_is_as_it_was_afterwards(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "--rm", "-it", image, "sh", "-c", "exit 0") as terminal:
        before = terminal.attributes()
        terminal.wait()
        assert terminal.attributes() == before


def test_a_killed_cli_on_a_terminal_leaves_the_container_attachable(pypod: Pypod, image: str) -> None:
    with pypod.terminal("run", "-it", "--name", "c", image, "sh") as terminal:
        terminal.expect("# ")
        terminal.process.kill()
        terminal.process.wait()
    assert pypod.state("c") == "running"
    with pypod.terminal("attach", "c") as terminal:
        terminal.send("echo back; exit 0\n")
        terminal.expect(rb"\nback\r\n")
        assert terminal.wait() == 0


def test_much_output_on_a_terminal(pypod: Pypod, image: str) -> None:
    done = pypod("run", "--rm", "-t", image, "seq", "1", "50000", tty=True).ok()
    assert done.out.split() == [str(n) for n in range(1, 50001)]


def test_in_tmux_as_a_user_would(pypod: Pypod, image: str) -> None:
    """A terminal emulator that people use, with its own idea of sizes."""
    with Tmux(pypod, "run", "--rm", "-it", image, "sh", rows=30, columns=90) as tmux:
        tmux.shows("#")
        tmux.types("stty size; id -u; tty")
        tmux.shows("30 90", "/dev/pts/")
        tmux.resize(20, 70)
        tmux.types("clear; sleep 0.3; stty size")
        tmux.shows("20 70")
        tmux.types("exit")
        tmux.ends()
