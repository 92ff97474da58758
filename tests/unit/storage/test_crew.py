"""Workers that hand pieces on to each other end, whatever happens."""

from __future__ import annotations

import threading
import time

import pytest

from storage.crew import DEPTH, Crew


def in_time(work: object) -> BaseException | None:
    """What ``work`` raises; a failure if it does not end."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it hangs"
    return raised[0] if raised else None


@pytest.mark.parametrize("error", [ValueError("the reader's"), KeyboardInterrupt()])
def test_a_worker_that_hands_on_much_when_the_reader_fails(error: BaseException) -> None:
    begun = threading.Event()

    def work() -> None:
        with Crew() as crew:
            last = crew.worker(len)

            def hand_on(piece: bytes) -> None:
                begun.set()
                time.sleep(0.05)
                for _ in range(5 * DEPTH):
                    last.put(piece)

            first = crew.worker(hand_on)
            for _ in range(DEPTH):
                first.put(b"x")
            begun.wait()
            raise error

    assert in_time(work) is error


def test_an_interrupt_at_the_end_leaves_no_worker_behind() -> None:
    busy = threading.Event()
    slow: list[threading.Thread] = []

    def work() -> None:
        with Crew() as crew:
            one = crew.worker(lambda piece: busy.wait(0.5))
            other = crew.worker(len)
            slow.append(one._thread)
            one.put(b"x")
            end = other.end

            def interrupted() -> None:
                end()
                raise KeyboardInterrupt

            other.end = interrupted  # type: ignore[method-assign]
            raise ValueError

    assert isinstance(in_time(work), KeyboardInterrupt)
    assert not slow[0].is_alive()
