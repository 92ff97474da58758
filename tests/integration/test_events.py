"""``events``: what every command tells, and who listens."""

from __future__ import annotations

import json

from support import journal
from support.runner import until


def told(pypod, *filters, keys=("Type", "Status")):
    words = [word for text in filters for word in ("--filter", text)]
    shown = pypod("events", "--stream=false", "--format", "json", *words).ok().lines
    return [tuple(json.loads(line)[key] for key in keys) for line in shown]


def test_the_life_of_a_container(pypod, image):
    name = "events-life"
    pypod("run", "-d", "--name", name, "-l", "who=me", image, "sleep", "100").ok()
    pypod("exec", name, "true").ok()
    assert pypod("exec", name, "sh", "-c", "exit 7").code == 7
    pypod("kill", "-s", "USR1", name).ok()
    pypod("restart", "-t", "0", name).ok()
    pypod("rename", name, name + "2").ok()
    pypod("stop", "-t", "0", name + "2").ok()
    pypod("rm", name + "2").ok()
    found = told(pypod, "label=who=me", "type=container", keys=("Status", "Name"))
    assert [status for status, _ in found] == (
        "create init start exec exec_died exec exec_died kill"
        " restart stop died cleanup init start rename stop died cleanup remove"
    ).split()
    assert found[-1][1] == name + "2" and found[0][1] == name
    assert told(pypod, "event=exec_died", "label=who=me", keys=("ContainerExitCode",)) == [(0,), (7,)]
    assert told(pypod, "event=died", "label=who=me", keys=("ContainerExitCode",)) == [(137,), (137,)]


def test_attached_removed_and_started_again_by_policy(pypod, image):
    pypod("run", "--rm", "--name", "events-rm", image, "false")
    assert [s for (s,) in told(pypod, "container=events-rm", keys=("Status",))] == (
        "create init start attach died remove".split()
    )
    pypod("run", "-d", "--name", "events-again", "--restart", "on-failure:1", image, "false").ok()
    pypod.wait_state("events-again", "exited")
    until(
        lambda: (
            [s for (s,) in told(pypod, "container=events-again", keys=("Status",))]
            == "create init start died cleanup restart init start died cleanup".split()
        ),
        20,
        "the events of a restart",
    )


def test_volumes_networks_images_and_secrets(pypod, image, tmp_path):
    since = pypod.as_user("date", "+%s.%N").out.strip()
    pypod("volume", "create", "events-v").ok()
    pypod("volume", "rm", "events-v").ok()
    pypod("network", "create", "events-n").ok()
    pypod("network", "rm", "events-n").ok()
    pypod("tag", image, "localhost/events:1").ok()
    pypod("untag", image, "localhost/events:1").ok()
    pypod("secret", "create", "events-s", "-", input="x").ok()
    pypod("secret", "rm", "events-s").ok()
    shown = pypod("events", "--since", since, "--until", "0s", "--format", "{{.Type}} {{.Status}} {{.Name}}").ok()
    assert shown.lines == [
        "volume create events-v",
        "volume remove events-v",
        "network create events-n",
        "network remove events-n",
        "image tag localhost/events:1",
        "image untag localhost/events:1",
        "secret create events-s",
        "secret remove events-s",
    ]
    assert pypod("--events-backend", "none", "volume", "create", "events-v").ok()
    pypod("--events-backend", "none", "volume", "rm", "events-v").ok()
    assert told(pypod, "volume=events-v") == [("volume", "create"), ("volume", "remove")]


def test_a_listener_hears_what_comes_and_only_that(pypod, image):
    pypod("volume", "create", "events-before").ok()
    listener = pypod.popen("events", "--filter", "type=volume", "--format", "{{.Status}} {{.Name}}")
    try:
        # Until it listens, what is told is not for it.
        number = 0

        def heard() -> bool:
            nonlocal number
            number += 1
            pypod("volume", "create", f"events-{number}").ok()
            pypod("volume", "rm", f"events-{number}").ok()
            import select

            return bool(select.select([listener.stdout], [], [], 0.1)[0])

        until(heard, 20, "an event")
        pypod("volume", "rm", "events-before").ok()
        text = b""
        while b"remove events-before" not in text:
            text += listener.stdout.read1()
        assert b"create events-before" not in text
        assert text.splitlines()[0].startswith((b"create events-", b"remove events-"))
    finally:
        listener.terminate()
        listener.communicate()


def test_an_end_in_the_future(pypod, image):
    """--until with a duration listens that long."""
    assert pypod("events", "--until", "300ms", "--since", "0s").ok().out == ""
    assert pypod("events", "--until", "0").ok().out == ""  # 1970, and not: without end


def test_wrong_uses(pypod, image):
    pypod("events", "--stream=false", "--filter", "x=y").fails(125, "is an invalid filter")
    pypod("events", "--stream=false", "--since", "yesterday").fails(125, "cannot parse time")
    pypod("events", "--stream=false", "--format", "{{.Nonsense}}").fails(125, "Nonsense")
    pypod("--events-backend", "none", "events").fails(125, 'cannot read events with the "none" backend')
    pypod("--events-backend", "smoke", "ps").fails(125, "not a valid events backend")


def test_pods(pypod, image):
    id = pypod("pod", "create", "--name", "events-pod").ok().out.strip()
    pypod("create", "--pod", "events-pod", "--name", "events-member", image, "sleep", "100").ok()
    pypod("pod", "start", "events-pod").ok()
    pypod("pod", "rm", "-f", "-t", "0", "events-pod").ok()
    found = told(pypod, "pod=events-pod", "type=pod", keys=("Status",))
    assert [status for (status,) in found] == ["create", "start", "stop", "remove"]
    members = told(pypod, f"pod={id}", "event=remove", "type=container", keys=("PodID",))
    assert members == [(id,), (id,)]


def test_the_journal_as_backend(pypod, image):
    with journal.running():
        told = pypod.with_options("--events-backend", "journald")
        told("run", "--rm", "--name", "events-journal", image, "true").ok()
        words = ("events", "--stream=false", "--filter", "container=events-journal", "--format", "{{.Status}}")
        until(lambda: "remove" in told(*words).ok().lines, 20, "the journal to have all")
        assert told(*words).ok().lines[:3] == ["create", "init", "start"]
