"""The quick check that runs by itself, once, on the first use of a store after a boot."""

from __future__ import annotations

import time

from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.store import Store

_SECONDS = 2.0  # the most that the first command of a boot waits for it


def look(store: Store) -> None:
    """Check the layers that a power cut may have spoilt, newest first, and warn. In the user namespace."""
    from storage import boot, check, verify

    try:
        layers = boot.doubtful(store)
        bad: list[str] = []
        end = time.monotonic() + _SECONDS
        known = store.layers()
        links = check.links(store, known) if layers else {}
        for layer in layers:
            if time.monotonic() > end:
                break
            if layer.id in links or verify.layer(store, layer, quick=True):
                bad.append(layer.id[:12])
        if bad:
            what = f"layer{'s' * (len(bad) > 1)} {', '.join(bad)}"
            text = f"the machine went down before {what} were on disk: files are missing or empty"
            from pypod.base import report

            report.warning(f"{text}. pypod system check --repair removes such images")
        boot.note(store, boot.started() * 1_000_000_000)
    except (OSError, PypodError):
        return  # who uses what is broken is told then
