"""``auto-update``: newer images for running containers that ask for them by a label (podman-auto-update(1)).

A container made by a unit of systemd's is made anew by restarting that unit, any other one by the command that made
it. If the new one does not come up, the old image gets its name back, and the old container runs again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pypod.base import files
from pypod.base.locks import FileLock
from pypod.base.text import show
from pypod.engine import container as containers
from pypod.engine import pull, pull_registry, recreate
from pypod.errors import NoSuchContainer, NoSuchImage, PypodError, RegistryError
from pypod.oci import reference as references
from pypod.registry.settings import Settings
from pypod.systemd import manager
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.recreate import Dissect
    from storage.store import Store

LABEL = "io.containers.autoupdate"
_AUTHFILE = "io.containers.autoupdate.authfile"
_UNIT = "PODMAN_SYSTEMD_UNIT"
_POLICIES = {"registry": "registry", "image": "registry", "local": "local"}


@dataclass(frozen=True)
class Wanted:
    """The flags. ``tls_verify`` None: as registries.conf says."""

    dry_run: bool = False
    rollback: bool = True
    authfile: str = ""
    tls_verify: bool | None = None


@dataclass
class Task:
    """One container, and what became of it: false, pending, true, failed or ``rolled back``."""

    container: Container
    policy: str
    updated: str = "false"
    newer: str = ""  # the id of the image to use

    @property
    def unit(self) -> str:
        return self.container.config.labels.get(_UNIT, "")

    @property
    def image(self) -> str:
        return self.container.config.raw_image

    def row(self) -> dict[str, str]:
        """As podman's JSON has it."""
        container = self.container
        return {
            "Unit": self.unit,
            "Container": f"{container.id[:12]} ({container.name})",
            "ContainerName": container.name,
            "ContainerID": container.id,
            "Image": self.image,
            "Policy": self.policy,
            "Updated": self.updated,
        }


@dataclass
class Outcome:
    tasks: list[Task] = field(default_factory=list)
    errors: list[PypodError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was rolled back, and why


def update(context: Context, store: Store, wanted: Wanted, dissect: Dissect) -> Outcome:
    """Look after every container, one call at a time. What fails for one is in ``errors``, and the others are updated
    all the same.
    """
    files.make_directory(context.tmpdir)
    with FileLock(context.tmpdir + "/auto-update.lock"):
        return _update(context, store, wanted, dissect)


def _update(context: Context, store: Store, wanted: Wanted, dissect: Dissect) -> Outcome:
    outcome = Outcome()
    for container in containers.every(context, store):
        label = container.config.labels.get(LABEL, "")
        if label in ("", "disabled") or containers.observe(container).status != "running":
            continue
        policy = _POLICIES.get(label)
        if policy is None:
            known = ", ".join([*sorted(_POLICIES), "disabled"])
            why = f"invalid policy {show(label)}: not one of {known}"
            outcome.errors.append(PypodError(f"auto-updating container {container.name}: {why}"))
            continue
        outcome.tasks.append(Task(container, policy))
    work = _Work(context, store, wanted, dissect, outcome)
    for tasks in _together(outcome.tasks):
        work.carry_out(tasks)
    return outcome


def _together(tasks: Iterable[Task]) -> list[list[Task]]:
    """The tasks of each unit, and those of no unit one by one."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.unit or task.container.id, []).append(task)
    return list(groups.values())


class _Work:
    def __init__(self, context: Context, store: Store, wanted: Wanted, dissect: Dissect, outcome: Outcome) -> None:
        self.context = context
        self.store = store
        self.wanted = wanted
        self.dissect = dissect
        self.outcome = outcome
        self._newer: dict[tuple[str, str, str], str] = {}  # (image, its id, authfile) → the id to use

    def carry_out(self, tasks: list[Task]) -> None:
        """One unit's tasks, or one container's."""
        due = []
        for task in tasks:
            try:
                if self._due(task):
                    due.append(task)
            except PypodError as error:
                self._failed(task, error)
        if not due:
            return
        if self.wanted.dry_run:
            for task in due:
                task.updated = "pending"
            return
        try:
            for task in due:
                # Another one's roll-back may have changed what the name means.
                if self._local(task.image) != task.newer:
                    recreate.call(self.context, "tag", task.newer, task.image)
            back = self._by_unit(due) if due[0].unit else self._alone(due[0])
        except PypodError as error:
            for task in due:
                self._failed(task, error)
            return
        for task in due:
            task.updated = "rolled back" if back else "true"
        if back:
            names = ", ".join(task.container.name for task in due)
            self.outcome.notes.append(f"rolled back {names} to the image of before: {back}")

    def _failed(self, task: Task, error: PypodError) -> None:
        task.updated = "failed"
        name, unit = task.container.name, f" of unit {task.unit}" if task.unit else ""
        self.outcome.errors.append(PypodError(f"auto-updating container {name}{unit}: {error.message}"))

    # Whether there is something newer.

    def _due(self, task: Task) -> bool:
        config = task.container.config
        if not config.image_id:
            raise PypodError("it has no image")
        if task.policy == "local":
            task.newer = self._local(task.image)
            return task.newer != config.image_id
        if not references.has_registry(task.image):
            raise PypodError(f"auto updates require fully-qualified image references: {show(task.image)}")
        authfile = config.labels.get(_AUTHFILE) or self.wanted.authfile
        key = (task.image, config.image_id, authfile)
        if key not in self._newer:
            self._newer[key] = self._in_registry(task.image, config.image_id, authfile)
        task.newer = self._newer[key]
        return task.newer != config.image_id

    def _local(self, name: str) -> str:
        """The id of the image that a name means now; the store may have changed by our own doing."""
        return containers.open_store(self.context).find_image(name).id

    def _in_registry(self, name: str, old: str, authfile: str) -> str:
        """The id of the registry's image, which has been pulled; in a dry run "" if it is another one."""
        reference = pull.whole(name)
        settings = Settings(authfile=authfile, tls_verify=self.wanted.tls_verify)
        work = pull_registry.Work(self.store, pull_registry.Request(settings=settings), None, SILENT)
        try:
            if work.same(reference, self.store.find_image(old)):
                return old
        except NoSuchImage:
            pass  # --rmi and the like: then any image is another one
        finally:
            work.close()
        if self.wanted.dry_run:
            return ""
        flags = [f"--authfile={authfile}"] if authfile else []
        if self.wanted.tls_verify is not None:
            flags.append(f"--tls-verify={str(self.wanted.tls_verify).lower()}")
        try:
            recreate.call(self.context, "pull", "-q", *flags, name)
        except PypodError as error:
            raise RegistryError(error.message) from None
        return self._local(name)

    # The new container.

    def _by_unit(self, tasks: list[Task]) -> str:
        """Restart a unit; "" or why it was rolled back. Raises PypodError."""
        why = self._restarted(tasks)
        if not why:
            return ""
        if not self.wanted.rollback:
            raise PypodError(why)
        for task in tasks:
            self._give_back_name(task)
        again = self._restarted(tasks)
        if again:
            raise PypodError(f"{why}; and with the image of before: {again}")
        return why

    def _restarted(self, tasks: list[Task]) -> str:
        unit = tasks[0].unit
        try:
            manager.systemctl(
                ("restart", "--", unit), user=self.context.rootless, runtime_dir=self.context.runtime_dir
            )
        except manager.ManagerError as error:
            return f"restarting unit {unit} failed: {error}"
        for task in tasks:
            name = task.container.name

            def find(name: str = name) -> Container:
                return self._of_unit(unit, name)

            why = recreate.came_up(self.context, find)
            if why:
                return f"restarting unit {unit}: container {name}: {why}"
        return ""

    def _of_unit(self, unit: str, name: str) -> Container:
        """The container that a unit has made: of the same name, or the only one. Raises NoSuchContainer."""
        found = [
            item
            for item in containers.every(self.context, containers.open_store(self.context))
            if item.config.labels.get(_UNIT) == unit and not item.config.infra
        ]
        for item in found:
            if item.name == name or len(found) == 1:
                return item
        raise NoSuchContainer(f"unit {unit} has no container {name}")

    def _alone(self, task: Task) -> str:
        """Make a container anew; "" or why it was rolled back. Raises PypodError."""
        container = task.container
        dependents = [
            item.name
            for item in containers.every(self.context, self.store)
            if container.id in item.config.dependencies
        ]
        if dependents:
            raise PypodError(f"it cannot be made anew while others need it: {', '.join(dependents)}")
        why, undo = recreate.recreate(self.context, container, self.dissect)

        def find() -> Container:
            return containers.find(self.context, containers.open_store(self.context), container.name)

        try:
            why = why or recreate.came_up(self.context, find)
        except BaseException:
            undo()
            raise
        if not why:
            if not container.config.auto_remove:
                recreate.settle(self.context, container)
            return ""
        if not self.wanted.rollback:
            raise PypodError(why)
        try:
            self._give_back_name(task)
        finally:  # whatever the image is called, the container that worked is there
            undo()
        return why

    def _give_back_name(self, task: Task) -> None:
        recreate.call(self.context, "tag", task.container.config.image_id, task.image)
