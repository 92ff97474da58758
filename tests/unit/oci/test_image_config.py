"""The instructions of --change."""

from __future__ import annotations

import pytest

from pypod.errors import UsageError
from pypod.oci.image_config import apply


@pytest.mark.parametrize(
    "change, wanted",
    [
        ('CMD ["a","b"]', {"Cmd": ["a", "b"]}),
        ("CMD a b", {"Cmd": ["/bin/sh", "-c", "a b"]}),
        ("cmd=/bin/sh", {"Cmd": ["/bin/sh", "-c", "/bin/sh"]}),
        ('CMD=["/bin/sh"]', {"Cmd": ["/bin/sh"]}),
        ('ENTRYPOINT ["x"]', {"Entrypoint": ["x"]}),
        ("ENV A=1", {"Env": ["A=1"]}),
        ("ENV A 1 2", {"Env": ["A=1 2"]}),
        ("ENV A=1 2", {"Env": ["A=1 2"]}),
        ("ENV A=1 B=2", {"Env": ["A=1", "B=2"]}),
        ('ENV A="1 2" B=3', {"Env": ["A=1 2", "B=3"]}),
        ("ENV=A=1", {"Env": ["A=1"]}),
        ("EXPOSE 80", {"ExposedPorts": {"80/tcp": {}}}),
        ("EXPOSE 80/udp 90-91", {"ExposedPorts": {"80/udp": {}, "90/tcp": {}, "91/tcp": {}}}),
        ("LABEL a=b c=d", {"Labels": {"a": "b", "c": "d"}}),
        ("LABEL a b", {"Labels": {"a": "b"}}),
        ("USER 1:2", {"User": "1:2"}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ('VOLUME ["/a"]', {"Volumes": {"/a": {}}}),
        ("WORKDIR /x y", {"WorkingDir": "/x y"}),
        ("STOPSIGNAL 9", {"StopSignal": "9"}),
        ("ONBUILD RUN x", {"OnBuild": ["RUN x"]}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            'HEALTHCHECK --interval=1m30s --retries=2 CMD ["x"]',
            {"Healthcheck": {"Test": ["CMD", "x"], "Interval": 90_000_000_000, "Retries": 2}},
        ),
        (
            "HEALTHCHECK --timeout=500ms CMD curl x",
            {"Healthcheck": {"Test": ["CMD-SHELL", "curl x"], "Timeout": 500_000_000}},
        ),
    ],
)
def test_each(change: str, wanted: dict[str, object]) -> None:
    assert apply({}, [change]) == wanted


@pytest.mark.parametrize(
    "change",
    ["", "CMD", "FOO x", "EXPOSE 0", "EXPOSE 99999", "EXPOSE 80/x", "CMD [1]", "HEALTHCHECK x"],
)
def test_refused(change: str) -> None:
    with pytest.raises(UsageError, match="invalid change"):
        apply({}, [change])


def test_order_and_merging() -> None:
    config = {"Labels": {"a": "1"}, "Env": ["A=1"], "Cmd": ["x"]}
    result = apply(config, ["LABEL b=2", "ENV A=2", "ENV B=3", "USER me"])
    assert list(result) == ["User", "Env", "Cmd", "Labels"]
    assert result["Env"] == ["A=2", "B=3"] and result["Labels"] == {"a": "1", "b": "2"}
    assert config == {"Labels": {"a": "1"}, "Env": ["A=1"], "Cmd": ["x"]}
