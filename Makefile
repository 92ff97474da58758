# make demo     install what Debian lacks, build, and run a first container without network
# make test     build if needed, then run every test that can run on this machine, but those of test-vm
# make test-vm  boot a Debian with systemd under qemu, and run what only that can show (tests/vm/README.md)
# make fuzz     throw changed archives, manifests and records at what reads them, for SECONDS (60)
# make test-schedules  carry out 10,000 random schedules of the monitor that must lose nothing
# make install-systemd | uninstall-systemd   units for containers after a boot (contrib/systemd/README.md): DESTDIR PREFIX PYPOD
# make build | lint | test-kill | bench | bench-storage | bench-registry | bench-monitor | bench-many | clean
#
# Everything is built into the virtual environment VENV by Debian's own interpreter: one from a home directory
# could not be run by other users.

PYTHON ?= /usr/bin/python3
VENV   ?= .venv
SHELL  := /bin/sh

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: install-systemd uninstall-systemd demo build test-build test test-vm vm-image test-kill test-schedules lint lint-style lint-format lint-types lint-c bench bench-storage bench-registry bench-monitor bench-many fuzz packages clean

bin     := $(VENV)/bin
sources := setup.py pyproject.toml README.md \
           $(shell find pypod storage conmon -type f \( -name '*.py' -o -name '*.c' -o -name '*.h' -o -name '*.json' -o -name pypod \) \
                   ! -name '_*.c' 2>/dev/null)
pip     := umask 022 && PIP_DISABLE_PIP_VERSION_CHECK=1 $(bin)/python -m pip -q
no_pip  := { echo "make: could not fetch Python packages with pip: see the message above." >&2; \
             echo "make: the first build needs a package index, or wheels in a directory: PIP_FIND_LINKS=DIR make" >&2; \
             exit 1; }

demo: build
	@contrib/demo $(bin)/pypod

build: $(VENV)/.pypod

# What Debian lacks, by apt; nothing happens when nothing is missing.
packages:
	@contrib/debian-packages

# The interpreter, and what builds the wheel: fetched once, so that later builds need no network.
$(VENV)/.venv:
	@contrib/debian-packages
	@umask 022 && $(PYTHON) -m venv $(VENV)
	@$(pip) install 'setuptools>=77' 'cffi>=1.15' wheel || $(no_pip)
	@touch $@

# A stale build/lib would put removed modules into the wheel.
$(VENV)/.pypod: $(VENV)/.venv $(sources)
	@rm -rf build pypod.egg-info
	@$(pip) install --no-build-isolation . || $(no_pip)
	@rm -rf build pypod.egg-info
	@touch $@

test-build: $(VENV)/.pypod-test

# By pip's own notation, '.[test]', pypod would be built a second time.
extra := import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['test'])

$(VENV)/.pypod-test: $(VENV)/.pypod
	@$(pip) install $$($(bin)/python -c "$(extra)") || $(no_pip)
	@touch $@

# TESTS names files or options for pytest: make test TESTS='tests/unit -x'. JOBS files at once: much of the time is waiting.
JOBS ?= 4
test: test-build
	@$(bin)/pytest -n $(JOBS) --dist loadfile $(or $(TESTS),--ignore=tests/vm)

# Two machines, of one processor each.
test-vm: test-build
	@$(bin)/pytest -n 2 --dist loadfile tests/vm

# The machines' disk, which test-vm makes if it is not there: a minute, of which much is waiting.
vm-image:
	@PYTHONPATH=tests $(PYTHON) -m support.vm_image

lint: test-build
	@$(MAKE) --no-print-directory lint-style lint-format lint-types lint-c

lint-style:
	$(bin)/ruff check .

lint-format:
	$(bin)/ruff format --check .

lint-types:
	$(bin)/mypy

CC ?= cc
lint-c:
	@set -e; for file in $$(find conmon pypod storage tests -name '*.c' ! -name '_*.c'); do \
	    define=-D_GNU_SOURCE; grep -q 'define _GNU_SOURCE' $$file && define=; \
	    echo "$(CC) -Wall -Wextra -Wshadow -Werror $$file"; \
	    $(CC) -std=gnu11 -O2 -Wall -Wextra -Wshadow -Werror $$define -I$$(dirname $$file) -c -o /dev/null $$file; \
	done

# The pypod that the units run: the one on the PATH, or else the one built here.
PYPOD ?= $(shell command -v pypod || echo $(abspath $(bin))/pypod)
install-systemd:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" contrib/systemd/install "$(PYPOD)"

uninstall-systemd:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" contrib/systemd/install --remove

# Guided by coverage if clang and its runtime (libclang-rt-dev) are there. FUZZ names some of the targets.
SECONDS ?= 60
fuzz: test-build
	@$(bin)/python tests/fuzz/run.py --seconds $(SECONDS) $(FUZZ)

# kill -9 at every system call that changes a file system; `make test` visits a sample of them.
test-kill: test-build
	@PYPOD_TEST_KILL=all $(bin)/pytest tests/integration/test_kill_points.py

# Random schedules for the monitor (SCHEDULES of them) that must lose nothing; `make test` runs a sample of them.
SCHEDULES ?= 10000
test-schedules: test-build
	@PYPOD_TEST_SCHEDULES=$(SCHEDULES) $(bin)/pytest tests/unit/conmon/test_monitor_schedules.py

bench: build
	$(bin)/python bench/compare.py

bench-storage: build
	$(bin)/python bench/storage.py

bench-registry: build
	$(bin)/python bench/registry.py

bench-monitor: build
	$(bin)/python bench/monitor.py

bench-many: build
	$(bin)/python bench/many.py

clean:
	rm -rf build dist pypod.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf $(VENV)
	find pypod storage conmon tests bench -name __pycache__ -prune -exec rm -rf {} +
	find pypod storage conmon -name '*.so' -delete
