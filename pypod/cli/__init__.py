"""Floor 4: the command line.

A verb is a module with ``def run(invocation: Invocation) -> int`` that takes what was typed, calls one engine
function and prints: the exit code is what it returns. To add one:

1. an entry in ``table.COMMANDS`` (verb → module, summary, section, flags, usage, arguments);
2. its flags in ``options``, ``options_run`` or ``options_other``: data, read by everything that shows flags;
3. the module. ``invocation.options["time"]`` is the value of ``--time``, None (or [], False) if it was not given;
   ``invocation.args`` the arguments, already counted by the table's rule; ``invocation.globals`` goes to
   ``engine.context.open_context``. ``targets.choose`` turns names, --all, --latest, --cidfile and --filter into
   containers, ``targets.each`` does something to each. Lists, JSON and templates are printed by ``output``; errors
   are raised, and ``entry`` prints them.

``rename`` and ``wait`` are short examples. What a module imports decides how fast the command starts:
tests/unit/test_imports.py keeps the list.
"""
