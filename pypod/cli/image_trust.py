"""``image trust``: which images may be used."""

from __future__ import annotations

from pypod.cli import output
from pypod.engine import context as contexts
from pypod.engine import trust_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def change(invocation: Invocation) -> int:
    """``image trust set``."""
    options = invocation.options
    context = contexts.open_context(invocation.globals)
    trust_policy.change(
        context, invocation.args[0], options["type"], options["pubkeysfile"], path=options["policypath"] or ""
    )
    return 0


def show(invocation: Invocation) -> int:
    """``image trust show``."""
    options = invocation.options
    context = contexts.open_context(invocation.globals)
    path = options["policypath"] or ""
    if options["raw"]:
        output.line(trust_policy.text(context, path))
        return 0
    rules = trust_policy.rules(context, path, options["registrypath"] or "")
    if invocation.args:
        rules = [rule for rule in rules if rule.applies(invocation.args[0])]
    if options["json"]:
        output.json([rule.document() for rule in rules], 2)
        return 0
    rows = [(rule.transport, rule.scope, rule.type, rule.keys, rule.store) for rule in rules]
    output.table(("TRANSPORT", "NAME", "TYPE", "ID", "STORE"), rows, noheading=options["noheading"])
    return 0
