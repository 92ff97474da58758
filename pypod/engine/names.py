"""Names for containers whose user did not choose one, and what a name may look like."""

from __future__ import annotations

import os

from pypod.errors import UsageError

_LEFT = (
    "amber bold brave bright brisk calm candid clever cosmic crisp curious daring deft eager earnest fair fancy "
    "fond frank fresh gentle glad golden grand happy hardy honest humble keen kind lively loyal lucid lucky mellow "
    "merry mighty modest neat nimble noble patient placid plucky polite proud quick quiet rapid ready serene sharp "
    "shiny smart snug solid spry steady still sturdy sunny swift tender tidy trusty upbeat valiant vivid warm wise"
).split()
_RIGHT = (
    "aspen badger basalt beacon beech birch bison brook canyon cedar cliff comet condor coral crane creek delta dune "
    "eagle ember falcon fern finch fjord flint forest gecko glacier granite grove harbor hawk heron hill ibex "
    "ivy jasper juniper kestrel lagoon lake lark lemur linden lynx maple marten meadow mesa moose nebula newt oak "
    "orchid osprey otter owl panda pebble pine plover puffin quartz raven reef ridge river robin sparrow stone "
    "summit swan thistle tide trout tulip valley walrus willow wombat wren"
).split()

_ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def random_name() -> str:
    """Two words joined by an underscore."""
    a, b = os.urandom(1)[0], os.urandom(1)[0]
    return f"{_LEFT[a % len(_LEFT)]}_{_RIGHT[b % len(_RIGHT)]}"


def random_id() -> str:
    """64 hexadecimal digits that are not all decimal, so that an id is never a number."""
    while True:
        value = os.urandom(32).hex()
        if not value[:12].isdecimal():
            return value


def check(name: str) -> str:
    """The name itself.

    Raises UsageError if containers cannot be called so.
    """
    if not name or name[0] in "_.-" or not _ALLOWED.issuperset(name):
        raise UsageError(f'name "{name}" is not valid: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument')
    return name
