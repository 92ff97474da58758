"""``python3 -I -S .../pypod/__main__.py …``: how pypod starts itself, without ``site`` (3 ms)."""

import _signal  # type: ignore[import-not-found]
import os
import sys

# ^C while modules are loaded ends the program like any other, without a traceback; entry.py takes over from there.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

_site_packages = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if _site_packages not in sys.path:
    sys.path.insert(0, _site_packages)
try:
    import _cffi_backend  # noqa: F401
except ImportError:
    # Not installed beside its dependencies: an editable install, or a distribution's package.
    import site

    site.main()

from pypod.entry import main  # noqa: E402

main()
