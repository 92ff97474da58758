"""``rm``: remove containers."""

from __future__ import annotations

import os

from pypod.cli import targets
from pypod.engine import remove
from pypod.errors import NoSuchContainer, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store)
    missing = other = False
    dependents = remove.Dependents(context, store)
    holders = []
    gone: set[str] = set()
    for target in chosen:
        if target.container is not None and target.container.id in gone:
            continue
        if flags["all"] and target.container is not None and target.container.config.infra:
            holders.append(target.container)
            continue
        try:
            if target.error is not None:
                raise target.error
            assert target.container is not None
            removed = remove.remove(
                context,
                store,
                target.container,
                force=flags["force"],
                volumes=flags["volumes"],
                depend=flags["depend"] or flags["all"],  # of all that go, those that depend on others go first
                timeout=flags["time"],
                dependents=dependents,
            )
        except NoSuchContainer as error:
            # What is gone is what -f wanted (podman-rm(1)).
            if not flags["force"]:
                targets.complain(error)
                missing = True
            continue
        except PypodError as error:
            targets.complain(error)
            other = True
            last = error.code
            continue
        gone.update(removed)
        for identity in removed[:-1] if flags["all"] else ():
            os.write(1, f"{identity}\n".encode())
        os.write(1, f"{target.typed}\n".encode())
    if holders:
        from pypod.engine import pod_remove

        # With all others gone nothing is left for these to hold.
        for container in pod_remove.remove_empty(
            context, store, holders, force=flags["force"], timeout=flags["time"]
        ):
            os.write(1, f"{container.id}\n".encode())
    if other:
        return last
    return 1 if missing else 0
