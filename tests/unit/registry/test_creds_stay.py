"""--creds are for the registry that the user named, whatever registries.conf puts before it or in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pypod.errors import RegistryError
from pypod.oci import reference
from pypod.registry import endpoints
from pypod.registry.settings import Settings
from support.odd_server import Call, OddServer


def closed(call: Call) -> None:
    """Wants a password, and takes none."""
    call.send(401, headers={"WWW-Authenticate": 'Basic realm="x"'})


def test_creds(tmp_path: Path, serve: Callable[..., OddServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none"))
    mirror, own = serve(closed), serve(closed)
    conf = tmp_path / "registries.conf"
    image = reference.parse(f"{own.host}/a:1")
    settings = Settings(creds="me:secret", registries_conf=str(conf), retries=0)

    def ask(text: str) -> None:
        conf.write_text(text)
        for endpoint in endpoints.for_pull(image, settings):
            with endpoint.client, pytest.raises(RegistryError):
                endpoint.client.manifest(endpoint.repository, "1")

    table = f'[[registry]]\nlocation = "{own.host}"\ninsecure = true\n'
    ask(f'{table}[[registry.mirror]]\nlocation = "{mirror.host}"\ninsecure = true\n')
    assert any(call.authorization for call in own.calls)
    assert mirror.calls and not any(call.authorization for call in mirror.calls)
    mirror.calls.clear()
    ask(f'[[registry]]\nprefix = "{own.host}"\nlocation = "{mirror.host}"\ninsecure = true\n')
    assert mirror.calls and not any(call.authorization for call in mirror.calls)
