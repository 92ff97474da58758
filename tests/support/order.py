"""In what order files of tests go to the processes of pytest-xdist: the longest first, so that all end together.

xdist itself begins with the files that have the most tests, and the longest ones have few.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# Seconds with four files at once on two busy cores. What is not here takes fewer, or is new.
SECONDS = {
    "tests/vm/test_units.py": 300,
    "tests/vm/test_cgroups.py": 200,
    "tests/vm/test_quadlet_kinds.py": 200,
    "tests/vm/test_quadlet.py": 180,
    "tests/vm/test_boot.py": 150,
    "tests/vm/test_checkpoint.py": 100,
    "tests/integration/test_run_flags.py": 160,
    "tests/integration/test_bad_input.py": 160,
    "tests/integration/test_registry_faults.py": 160,
    "tests/integration/test_lifecycle.py": 160,
    "tests/integration/test_save.py": 160,
    "tests/integration/test_robustness.py": 150,
    "tests/integration/test_pull.py": 130,
    "tests/interop/test_parity.py": 110,
    "tests/interop/test_podman5.py": 110,
    "tests/interop/test_signatures.py": 110,
    "tests/integration/test_kill_points.py": 110,
    "tests/interop/test_monitor_podman.py": 110,
    "tests/integration/test_network.py": 100,
    "tests/integration/test_pods.py": 100,
    "tests/integration/test_engine_ends.py": 100,
    "tests/interop/test_whales.py": 100,
    "tests/integration/test_push.py": 95,
    "tests/integration/test_store_layouts.py": 85,
    "tests/interop/test_spec.py": 85,
    "tests/interop/test_storage.py": 75,
    "tests/integration/test_build.py": 75,
    "tests/integration/test_commit.py": 75,
    "tests/integration/test_logs.py": 65,
    "tests/integration/test_cp.py": 60,
    "tests/integration/test_schemas.py": 60,
    "tests/integration/test_exec.py": 60,
    "tests/integration/test_images.py": 60,
    "tests/integration/test_debian.py": 60,
    "tests/interop/test_podman.py": 60,
    "tests/integration/test_stdio.py": 55,
    "tests/integration/test_health.py": 55,
    "tests/integration/test_manifest.py": 50,
    "tests/test_lint.py": 50,
    "tests/interop/test_registry.py": 50,
}


class LongestFirst(LoadFileScheduling):
    """``--dist loadfile`` with another order."""

    _ordered = False

    def _assign_work_unit(self, node: WorkerController) -> None:
        if not self._ordered:
            self._ordered = True
            known = sorted(self.workqueue.items(), key=lambda item: -SECONDS.get(item[0], 0))
            self.workqueue = OrderedDict(known)
        super()._assign_work_unit(node)
