"""Which pods a command means, and doing it to each of them: podman prints the pod's ID for each success."""

from __future__ import annotations

import os

from pypod.cli import targets
from pypod.engine import pod_life, pods
from pypod.errors import NoSuchPod, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from pypod.engine.pods import Pod


def choose(invocation: Invocation, context: Context, *, ignore: bool = False) -> list[Pod]:
    """Everything that the arguments, --pod-id-file, --latest and --all mean.

    Raises NoSuchPod before anything is done to the others, unless ``ignore``; UsageError if nothing was named.
    """
    options = invocation.options
    if options.get("all"):
        return pods.every(context)
    if options.get("latest"):
        return [pods.latest(context)]
    words = list(invocation.args)
    files = options.get("pod_id_file") or ()
    if files:
        from pypod.engine import pod_member

        for path in files:
            try:
                words.append(pod_member.read_id(path))
            except NoSuchPod:
                if not ignore:
                    raise
    if not words and not files:
        raise UsageError("you must provide at least one name or id")
    result = []
    for word in words:
        try:
            result.append(pods.find(context, word))
        except NoSuchPod:
            if not ignore:
                raise
    return result


def one(invocation: Invocation, context: Context, what: str) -> Pod:
    """The single pod of top and logs: --latest, or taken off the arguments. Raises NoSuchPod, UsageError."""
    if invocation.options["latest"]:
        return pods.latest(context)
    if not invocation.args:
        raise UsageError(what)
    return pods.find(context, invocation.args.pop(0))


def each(chosen: list[Pod], action: Callable[[Pod], object]) -> int:
    """Do ``action`` to each; print the ID of each success. The first failure's exit code, else 0."""
    code = 0
    for pod in chosen:
        try:
            done = action(pod)
        except pod_life.Failures as error:
            for one in error.errors:
                targets.complain(one)
            code = code or error.code
            continue
        except PypodError as error:
            targets.complain(error)
            code = code or error.code
            continue
        if done is not False:
            os.write(1, f"{pod.id}\n".encode())
    return code
