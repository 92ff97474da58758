"""``pod ps``: list pods."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import pod_filters, pod_view
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.pod_view import View

HEADINGS = {
    "Id": "POD ID",
    "ID": "POD ID",
    "InfraID": "INFRA ID",
    "InfraId": "INFRA ID",
    "NumberOfContainers": "# OF CONTAINERS",
    "ContainerIds": "IDS",
    "ContainerNames": "NAMES",
    "ContainerStatuses": "STATUS",
    "Namespace": "NAMESPACES",
}


def run(invocation: Invocation) -> int:
    flags = invocation.options
    template = flags["format"]
    if flags["quiet"] and template is not None and not output.is_json(template):
        raise UsageError("quiet and format flags cannot be used together")
    context, store = targets.open_engine(invocation)
    found = pod_filters.select(pod_view.views(context, store), flags["filter"])
    if flags["latest"]:
        found = found[:1]
    found = pod_filters.order(found, flags["sort"])
    if template is not None and output.is_json(template):
        output.json([item.json() for item in found], 2)
        return 0
    if flags["quiet"]:
        for item in found:
            output.line(item.pod.id)
        return 0
    full = flags["no_trunc"]
    if template is not None:
        output.templated(template, [Fields(item, full) for item in found], HEADINGS, noheading=flags["noheading"])
        return 0
    names = ["Id", "Name", "Status", "Created", "InfraID"]
    for flag, name in (
        ("ctr_ids", "ContainerIds"),
        ("ctr_names", "ContainerNames"),
        ("ctr_status", "ContainerStatuses"),
    ):
        if flags[flag]:
            names.append(name)
    if flags["ns"]:
        names += ["Cgroup", "Namespace"]
    if len(names) == 5 or flags["ns"]:
        names.append("NumberOfContainers")
    rows = []
    for item in found:
        shown = Fields(item, full)
        rows.append([str(shown.go_field(name)) for name in names])
    output.table([HEADINGS.get(name, name.upper()) for name in names], rows, noheading=flags["noheading"])
    return 0


class Fields:
    """The fields of one pod in a template."""

    go_type = "pods.ListPodReporter"
    go_fields = (
        "Cgroup ContainerIds ContainerNames ContainerStatuses Containers Created ID Id InfraID InfraId Labels Name"
        " Namespace Networks NumberOfContainers Restarts Status"
    ).split()

    def __init__(self, view: View, full: bool) -> None:
        self.view = view
        self.full = full

    def go_json(self) -> dict[str, Any]:
        return self.view.json()

    def go_field(self, name: str) -> Any:
        """The field; KeyError if there is none. Lists are joined, as in podman's own rows."""
        view, pod = self.view, self.view.pod
        if name in ("Id", "ID"):
            return self._id(pod.id)
        if name in ("InfraID", "InfraId"):
            return self._id(pod.infra_id)
        if name == "Created":
            return pod_view.age(view)
        if name == "NumberOfContainers":
            return len(view.members)
        if name == "ContainerIds":
            return ",".join(self._id(item.container.id) for item in view.members)
        if name == "ContainerNames":
            return ",".join(item.container.name for item in view.members)
        if name == "ContainerStatuses":
            return ",".join(item.state.status for item in view.members)
        if name == "Networks":
            return ",".join(view.networks)
        if name == "Restarts":
            return sum(item.state.restarts for item in view.members)
        return view.json()[name]

    def _id(self, text: str) -> str:
        return text if self.full else text[:12]
