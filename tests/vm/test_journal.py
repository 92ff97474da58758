"""systemd's journal as log driver and as events backend."""

from __future__ import annotations

from collections.abc import Callable

from support.runner import Result


def test_logs_and_events(run: Callable[..., Result]) -> None:
    script = """
    pypod --events-backend journald run --network none -d --log-driver journald --name told localhost/bb:1 \\
        sh -c 'echo one; sleep 1; echo two >&2; sleep 1; printf part' >/dev/null
    pypod wait told >/dev/null
    pypod logs -f told 2>&1 | xargs
    journalctl -q -o cat CONTAINER_NAME=told _UID=$(id -u) | xargs
    pypod --events-backend journald events --stream=false --filter container=told --format "{{.Status}}" | xargs
    pypod rm told >/dev/null
    """
    logs, journal, events = run(script).ok().lines
    assert logs == journal == "one two part"
    assert events.startswith("create init start died")
