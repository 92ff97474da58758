"""Who may be trusted: whether policy.json allows an image (containers-policy.json(5)).

All requirements of the scope that fits best must hold. A signature is looked at only by gpg, with the keys of the
requirement and no others (signing.py), or by openssl (sigstore.py), before anything that it says is read.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from pypod.base import files
from pypod.errors import PolicyError, reason
from pypod.oci import digest as digests
from pypod.oci.reference import Reference
from pypod.registry import policy_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.registry.payload import Claim
    from pypod.registry.policy_file import Requirement, Rules

# Image stores are where checked images are: podman always allows them as sources.
_ALWAYS = "containers-storage"


def _none() -> Sequence[bytes]:
    return ()


class Policy:
    """A policy file, understood."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def requirements(self, transport: str, scope: Reference | str) -> tuple[Requirement, ...]:
        """What holds for an image: the requirements of its most specific scope."""
        scopes = self.rules.transports.get(transport)
        if scopes is not None:
            for name in (*names(transport, scope), ""):
                if name in scopes:
                    return scopes[name]
        return self.rules.default

    def check(
        self,
        transport: str,
        scope: Reference | str,
        manifest: bytes,
        signatures: Callable[[], Sequence[bytes]] = _none,
    ) -> None:
        """Whether the image may be used. Call it before anything else of the image is read.

        ``transport`` is "docker", "dir", "oci", "oci-archive", "docker-archive", "containers-storage" …; ``scope``
        the reference as the user named it ("docker", before mirrors and rewriting), the path ("dir") or
        "path:name" (the other ones). ``manifest``: of the image itself, not of the index it was chosen from.
        ``signatures()`` fetches those of that manifest; it is called only if the policy asks for one.

        Raises PolicyError "Source image rejected: …", RegistryError (signatures cannot be fetched).
        """
        if transport == _ALWAYS:
            return
        scope = _identity(scope)
        found: Sequence[bytes] | None = None
        for requirement in self.requirements(transport, scope):
            if requirement.kind == "insecureAcceptAnything":
                continue
            if requirement.kind == "reject":
                raise _rejected(f"Running image {_shown(transport, scope)} is rejected by policy.")
            if requirement.kind not in ("signedBy", "sigstoreSigned"):
                raise _rejected(f"pypod cannot check {requirement.kind}, which {self.rules.path} requires")
            if found is None:
                found = signatures()
            _signed(requirement, scope if isinstance(scope, Reference) else None, manifest, found)


def load(path: str = "", home: str = "") -> Policy:
    """The policy in ``path`` (--signature-policy), else the user's, else the system's.

    Raises ConfigError: there is none, or it does not parse.
    """
    return Policy(policy_file.read(path, home))


def _identity(scope: Reference | str) -> Reference | str:
    """A reference as podman knows it: what has a digest has no tag, and what has neither is "latest"."""
    if isinstance(scope, str):
        return scope
    if scope.digest:
        return Reference(domain=scope.domain, path=scope.path, digest=scope.digest)
    return Reference(domain=scope.domain, path=scope.path, tag=scope.tag or "latest")


def names(transport: str, scope: Reference | str) -> list[str]:
    """The names of the scopes that an image is in, the most specific first."""
    scope = _identity(scope)
    if isinstance(scope, Reference):
        return reference_scopes(scope)
    if transport == "dir":
        return _parents(os.path.realpath(scope))
    if transport in ("oci", "oci-archive"):
        path, _, name = scope.partition(":")
        path = os.path.realpath(path)
        return [f"{path}:{name}", *_parents(path)]
    return []


def reference_scopes(scope: Reference) -> list[str]:
    """A reference, its repository, the namespaces above, the host, and wildcards for the domains above that."""
    result = [str(scope)]
    name = scope.name
    while name:
        result.append(name)
        name = name.rpartition("/")[0]
    # containers/image leaves a port away before the wildcards.
    host = result[-1].partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        result.append(f"*.{host}")
    return result


def _parents(path: str) -> list[str]:
    result = []
    while path not in ("/", ""):
        result.append(path)
        path = os.path.dirname(path)
    return result


def _shown(transport: str, scope: Reference | str) -> str:
    return f"docker://{scope}" if isinstance(scope, Reference) else f"{transport}:{scope}"


def _rejected(why: str) -> PolicyError:
    return PolicyError(f"Source image rejected: {why}")


def _signed(requirement: Requirement, image: Reference | None, manifest: bytes, signatures: Sequence[bytes]) -> None:
    """Whether one of the signatures satisfies the requirement. Raises PolicyError."""
    # What begins with a zero byte has the name of its format; simple signing has none.
    if requirement.kind == "signedBy":
        if requirement.key_type != "GPGKeys":
            raise _rejected(f'Unimplemented "keyType" value "{requirement.key_type}"')
        fitting = [item for item in signatures if not item.startswith(b"\0")]
    else:
        from pypod.registry import sigstore

        fitting = [item for item in signatures if item.startswith(sigstore.BEGIN)]
    if not fitting:
        raise _rejected("A signature was required, but no signature exists")
    reasons = []
    with ExitStack() as stack:
        verify = _verifier(requirement, stack)
        for signature in fitting:
            try:
                claim = verify(signature)
            except PolicyError as error:
                reasons.append(error.message)
                continue
            if claim.digest != digests.of(manifest):
                reasons.append(f"Signature for digest {claim.digest} does not match")
            elif not requirement.identity.accepts(image, claim.reference):
                reasons.append(f"Signature for identity {claim.reference} is not accepted")
            else:
                return
    if len(reasons) == 1:
        raise _rejected(reasons[0])
    raise _rejected(f"None of the signatures were accepted, reasons: {'; '.join(reasons[:8])}")


def _verifier(requirement: Requirement, stack: ExitStack) -> Callable[[bytes], Claim]:
    """What verifies signatures by the requirement's keys; ``stack`` ends it."""
    keys = _keyrings(requirement)
    if requirement.kind == "signedBy":
        from pypod.registry import signing

        return stack.enter_context(signing.Verifier(keys)).verify
    from pypod.registry import sigstore

    return lambda signature: sigstore.verify(signature, keys[0])


def _keyrings(requirement: Requirement) -> list[bytes]:
    if requirement.key_data:
        return [requirement.key_data]
    rings = []
    for path in requirement.key_paths:
        try:
            rings.append(files.read(path, policy_file.MOST))
        except OSError as error:
            raise _rejected(f"cannot read key {path}: {reason(error)}") from None
    return rings
