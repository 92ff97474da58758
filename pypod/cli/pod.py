"""``pod create``, ``clone``, ``exists``, ``inspect``, ``rm``, ``prune``, and what is done to all in a pod."""

from __future__ import annotations

import os

from pypod.cli import pod_targets, targets
from pypod.engine import pod_life, pods
from pypod.errors import NoSuchPod, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation
    from pypod.engine.pods import Pod


def create(invocation: Invocation) -> int:
    from pypod.cli.late import Late, Puller
    from pypod.engine import pod_create

    flags = invocation.options
    name = invocation.args[0] if invocation.args else ""
    context, store = targets.open_engine(invocation)
    with Late() as seen:
        pod = pod_create.create(
            context,
            store,
            flags,
            ["pypod", *invocation.argv],
            name=name,
            puller=Puller(flags, seen),
            progress=seen,
        )
    os.write(1, f"{pod.id}\n".encode())
    return 0


def clone(invocation: Invocation) -> int:
    from pypod.engine import pod_clone, pod_remove

    flags = invocation.options
    reference, name = [*invocation.args, ""][:2]
    if name and flags["name"]:
        raise UsageError("the clone's name was given twice, by --name and as an argument")
    context, store = targets.open_engine(invocation)
    pod = pods.find(context, reference)
    made = pod_clone.clone(context, store, pod, flags, ["pypod", *invocation.argv], name=name or flags["name"] or "")
    if flags["destroy"]:
        pod_remove.remove(context, store, pod)
    if flags["start"]:
        pod_life.start_all(context, store, made)
    os.write(1, f"{made.id}\n".encode())
    return 0


def exists(invocation: Invocation) -> int:
    context, _ = targets.open_engine(invocation)
    try:
        pods.find(context, invocation.args[0])
    except NoSuchPod:
        return 1
    return 0


def inspect(invocation: Invocation) -> int:
    from pypod.base import gojson
    from pypod.cli import output
    from pypod.engine import pod_view

    template = invocation.options["format"]
    context, store = targets.open_engine(invocation)
    chosen: list[Pod] = []
    problems: list[PypodError] = []
    if invocation.options["latest"]:
        chosen.append(pods.latest(context))
    for word in invocation.args:
        try:
            chosen.append(pods.find(context, word))
        except NoSuchPod:
            problems.append(NoSuchPod(f"inspecting object: no such pod {word}"))
    found = [pod_view.inspect(context, store, pod) for pod in chosen]
    if template is None or output.is_json(template):
        # One pod alone is no array in podman 4.
        output.line(gojson.text(found[0] if len(found) == 1 else found, 5))
    else:
        from pypod.cli import inspect_fields

        for item in found:
            output.rendered(template, inspect_fields.fields(item, "pod"))
    output.flush()
    for problem in problems:
        targets.complain(problem)
    return 125 if problems else 0


def rm(invocation: Invocation) -> int:
    """podman-pod-rm(1): 1 for one that does not exist, 2 for one that runs, 125 for anything else."""
    from pypod.engine import pod_remove

    flags = invocation.options
    context, store = targets.open_engine(invocation)
    try:
        chosen = pod_targets.choose(invocation, context, ignore=flags["ignore"] or flags["force"])
    except NoSuchPod as error:
        raise NoSuchPod(error.message, hint=error.hint, code=1) from None

    def remove(pod: Pod) -> bool:
        try:
            pod_remove.remove(context, store, pod, force=flags["force"], timeout=flags["time"])
        except NoSuchPod:
            return False  # somebody else was faster
        return True

    return pod_targets.each(chosen, remove)


def prune(invocation: Invocation) -> int:
    """What has run and does not any more; a pod that was never started stays, as in podman."""
    from pypod.engine import pod_remove, pod_view

    context, store = targets.open_engine(invocation)
    if not invocation.options["force"]:
        from pypod.cli.container_prune import confirmed

        if not confirmed("WARNING! This will remove all stopped/exited pods.."):
            return 0
    found = [item.pod for item in pod_view.views(context, store) if item.status in ("Exited", "Stopped")]
    return pod_targets.each(found, lambda pod: pod_remove.remove(context, store, pod))


def start(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    chosen = pod_targets.choose(invocation, context)
    return pod_targets.each(chosen, lambda pod: pod_life.start_all(context, store, pod))


def stop(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    chosen = pod_targets.choose(invocation, context, ignore=flags["ignore"])
    return pod_targets.each(chosen, lambda pod: pod_life.stop_all(context, store, pod, timeout=flags["time"]))


def restart(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    chosen = pod_targets.choose(invocation, context)

    def again(pod: Pod) -> None:
        pod_life.stop_all(context, store, pod, timeout=flags["time"], remove=False)
        pod_life.start_all(context, store, pod)

    return pod_targets.each(chosen, again)


def kill(invocation: Invocation) -> int:
    from pypod.engine import signals

    number = signals.number(invocation.options["signal"])
    context, store = targets.open_engine(invocation)
    chosen = pod_targets.choose(invocation, context)
    return pod_targets.each(chosen, lambda pod: pod_life.kill_all(context, store, pod, number))


def pause(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    chosen = pod_targets.choose(invocation, context)
    return pod_targets.each(chosen, lambda pod: pod_life.pause_all(context, store, pod))


def unpause(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    chosen = pod_targets.choose(invocation, context)
    return pod_targets.each(chosen, lambda pod: pod_life.unpause_all(context, store, pod))
