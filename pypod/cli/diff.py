"""``diff``: list what changed in a container's or image's files."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import diff
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation

_NAMES = (("C", "changed"), ("A", "added"), ("D", "deleted"))


def run(invocation: Invocation) -> int:
    wanted = invocation.options["format"]
    if wanted and not output.is_json(wanted):
        raise UsageError("only supported value for '--format' is 'json'")
    most = 1 if invocation.options["latest"] else 2
    if len(invocation.args) > most:
        raise UsageError(f"accepts at most {most} arg(s), received {len(invocation.args)}")
    context, store = targets.open_engine(invocation)
    if invocation.options["latest"]:
        references = [containers.latest(context, store).id, *invocation.args]
    else:
        references = invocation.args
    group = invocation.path.partition(" ")[0]
    kind = group if group in ("container", "image") else "all"
    found = diff.changes(context, store, *references, kind=kind)
    if wanted:
        lists = {name: [path for letter, path in found if letter == mark] for mark, name in _NAMES}
        output.json({name: paths for name, paths in lists.items() if paths}, indent=5)
        return 0
    for letter, path in found:
        output.line(f"{letter} {path}")
    return 0
