"""``kube down``: what ``kube play`` made of a file goes; volumes only if that is asked for, as they hold data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pypod.engine import events, kube_volumes, pod_life, pod_remove, pods, rootless, secrets, volume_remove
from pypod.errors import NotFound, PypodError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from pypod.engine.context import Context
    from pypod.kube.objects import File
    from storage.store import Store

    T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Downed:
    """Ids of pods and secrets, names of volumes; and what went wrong with others."""

    stopped: tuple[str, ...]
    removed: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    errors: tuple[PypodError, ...] = ()


def down(context: Context, store: Store, file: File, *, force: bool = False) -> Downed:
    """Take down the pods of a file, its secrets, and with ``force`` the volumes of its claims.

    What is not there is no error, and what goes wrong with one object spares no other.
    """
    errors: list[PypodError] = []
    stopped, removed = _pods(context, store, file, errors)
    kept = [item.name for item in file.secrets]
    gone_secrets = _each(kept, lambda name: _secret(context, name), errors)
    claims = [item.name for item in file.claims] if force else []
    if claims:
        rootless.enter_user(context)
    gone_volumes = _each(claims, lambda name: volume_remove.remove(context, store, name), errors)
    return Downed(
        stopped=stopped,
        removed=removed,
        secrets=tuple(str(identity) for _, identity in gone_secrets if identity),
        volumes=tuple(name for name, _ in gone_volumes),
        errors=tuple(errors),
    )


def pods_only(context: Context, store: Store, file: File) -> None:
    """Take down the pods of a file that are there. Raises the first error."""
    errors: list[PypodError] = []
    _pods(context, store, file, errors)
    if errors:
        raise errors[0]


def _pods(
    context: Context, store: Store, file: File, errors: list[PypodError]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = {item.name for item in file.pods}
    found = [pod for pod in pods.every(context) if pod.name in names]
    if found:
        rootless.enter_user(context)
    stopped = _each(found, lambda pod: pod_life.stop_all(context, store, pod), errors)
    removed = _each(found, lambda pod: pod_remove.remove(context, store, pod, force=True), errors)
    return tuple(pod.id for pod, _ in stopped), tuple(pod.id for pod, _ in removed)


def _each(items: Iterable[T], action: Callable[[T], object], errors: list[PypodError]) -> list[tuple[T, object]]:
    """Those with which it went well, with what ``action`` said."""
    done = []
    for item in items:
        try:
            done.append((item, action(item)))
        except NotFound:
            continue
        except PypodError as error:
            errors.append(error)
    return done


def _secret(context: Context, name: str) -> str:
    """Remove a secret that is a Kubernetes one; "" for what somebody made by hand. Raises NotFound, PypodError."""
    known = [item for item in secrets.every(context) if item.name == name]
    try:
        if not known or kube_volumes.stored_secret(context, name) is None:
            return ""
    except UsageError:
        return ""
    removed = secrets.remove(context, known[0].id)
    events.secret(context, "remove", removed.id, removed.name)
    return removed.id
