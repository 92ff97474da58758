"""Only what pyproject.toml cannot say: two cffi extensions, and the monitor and the greeter as native programs."""

import os
import sys

from setuptools import setup

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

setup(cffi_modules=["pypod/linux/_sys_build.py:ffi", "storage/_native_build.py:ffi"])
