"""Floor 2: the only caller of crun, runc or any other OCI runtime's command line."""

from pypod.runtime.runtime import Runtime

__all__ = ["Runtime"]
