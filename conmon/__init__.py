"""The monitor: a native program that speaks conmon's command line, and what Python needs to use it.

``MONITOR`` is the program. ``conmon.spawn`` starts one, ``conmon.attach`` is the client of its socket,
``conmon.exits`` reads how a container ended, ``conmon.logs`` what it wrote. ``import conmon`` is all that is needed:
each of them is loaded when it is first used. docs/monitor.md has an example.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from conmon import attach as attach
    from conmon import exits as exits
    from conmon import logs as logs
    from conmon import spawn as spawn

__all__ = ["MONITOR", "attach", "exits", "logs", "spawn"]

MONITOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "conmon")


def __getattr__(name: str) -> "ModuleType":
    if name in __all__:
        # The import sets the attribute: this is called once for each of them.
        found: ModuleType = __import__("conmon." + name, fromlist=["*"])
        return found
    raise AttributeError(f"module 'conmon' has no attribute {name!r}")
