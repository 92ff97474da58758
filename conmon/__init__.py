"""The monitor: a native program that speaks conmon's command line, and what Python needs to use it.

``MONITOR`` is the program. ``spawn`` starts one, ``attach`` talks to it, ``logs`` reads what it wrote.
"""

import os

MONITOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "conmon")
