"""The environment: who wins, and what a file may hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.engine import env
from pypod.errors import UsageError

NAMES = st.text(alphabet="ABCXYZ_", min_size=1, max_size=6)
VALUES = st.text(alphabet=st.characters(blacklist_characters="\x00\n\r", blacklist_categories=["Cs"]), max_size=20)


def built(**options: object) -> dict[str, str]:
    options.setdefault("caller", {})
    return dict(item.split("=", 1) for item in env.build(**options))  # type: ignore[arg-type]


def test_defaults() -> None:
    assert built() == {"PATH": env.PATH, "TERM": "xterm", "container": "podman"}


def test_later_ones_win() -> None:
    found = built(image=["A=image", "B=image"], given=["A=user"], configured=["B=conf", "C=conf"])
    assert (found["A"], found["B"], found["C"]) == ("user", "image", "conf")


def test_name_alone_takes_the_callers_value() -> None:
    found = built(given=["A", "MISSING"], caller={"A": "mine"})
    assert found["A"] == "mine"
    assert "MISSING" not in found


def test_star_takes_all_that_begin_so() -> None:
    found = built(given=["LC_*"], caller={"LC_ALL": "C", "LC_TIME": "de", "LANG": "en"})
    assert {key for key in found if key.startswith("L")} == {"LC_ALL", "LC_TIME"}


def test_host_and_unset() -> None:
    found = built(host=True, unset=["TERM"], image=["TERM=vt100"], caller={"X": "1"})
    assert found["X"] == "1"
    assert "TERM" not in found
    assert built(unset_all=True, image=["A=1"], given=["B=2"]) == {"B": "2"}


def test_proxies_come_along_unless_refused() -> None:
    caller = {"https_proxy": "http://p"}
    assert built(caller=caller)["https_proxy"] == "http://p"
    assert "https_proxy" not in built(caller=caller, proxies=False)


def test_merge_sees_the_images_values() -> None:
    assert built(image=["P=/a"], merge=["P=${P}:/b", "Q=$P-$NONE."])["P"] == "/a:/b"
    with pytest.raises(UsageError, match="missing '='"):
        built(merge=["P"])


@pytest.mark.parametrize(
    ("text", "result"), [("$A", "1"), ("${A}b", "1b"), ("$", "$"), ("${A", "${A"), ("$$A", "$1"), ("x$Ab", "x")]
)
def test_expand(text: str, result: str) -> None:
    assert env.expand(text, {"A": "1"}) == result


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_a_file_gives_what_it_says(values: dict[str, str]) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write("# comment\n\n" + "".join(f"{key}={value}\n" for key, value in values.items()))
        file.flush()
        assert env.read_file(file.name, {}) == values


@pytest.mark.parametrize("text", ["=x\n", "A B=1\n"])
def test_bad_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "env"
    path.write_text(text)
    with pytest.raises(UsageError, match="line 1"):
        env.read_file(str(path), {})


def test_missing_file() -> None:
    with pytest.raises(UsageError, match="/nonexistent/env: No such file"):
        env.read_file("/nonexistent/env", {})
