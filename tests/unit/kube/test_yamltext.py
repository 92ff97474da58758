"""YAML out of files that nobody trusts: plain data or an error, never more of either than there is room for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypod.errors import UsageError
from pypod.kube import yamltext


def one(text: str):
    [document] = yamltext.documents(text.encode())
    return document.value


def test_words_are_read_as_kubernetes_reads_them() -> None:
    text = """
    a: 12:30
    b: 2024-01-02
    c: 0644
    d: yes
    e: "yes"
    f: 1e3
    g: ~
    h: 0x10
    i: -5
    j: 1.5
    k: .inf
    l: =
    m: 0o17
    8080: port
    n: 1_000
    """
    assert one(text) == {
        "a": "12:30",
        "b": "2024-01-02",
        "c": 0o644,
        "d": True,
        "e": "yes",
        "f": "1e3",
        "g": None,
        "h": 16,
        "i": -5,
        "j": 1.5,
        "k": ".inf",
        "l": "=",
        "m": "0o17",
        "8080": "port",
        "n": 1000,
    }


def test_documents_are_counted_and_empty_ones_left_out() -> None:
    found = yamltext.documents(b"---\n---\na: 1\n---\n# nothing\n---\nb: 2\n")
    assert [(item.number, item.value) for item in found] == [(2, {"a": 1}), (4, {"b": 2})]
    assert found[0].line == 3


def test_aliases_and_merges() -> None:
    text = """
    base: &base {image: x, env: [1]}
    more: &more {image: y, tty: true}
    one: {<<: *base, image: z}
    two: {<<: [*base, *more]}
    """
    found = one(text)
    assert found["one"] == {"image": "z", "env": [1]}
    assert found["two"] == {"image": "x", "env": [1], "tty": True}


def bomb(levels: int, form: str) -> str:
    lines = ["a0: &a0 {k: lol}"]
    for level in range(1, levels):
        before = f"*a{level - 1}"
        lines.append(f"a{level}: &a{level} " + form.replace("@", before).replace("#", str(level)))
    return "\n".join(lines)


HOSTILE = {
    "aliases": bomb(40, "[@, @, @, @, @, @, @, @, @]"),
    "merges": bomb(60, "{<<: [@, @], k#: 1}"),
    "merges of nothing": bomb(60, "{<<: [@, @]}").replace("{k: lol}", "{}"),
    "merges of merges": bomb(60, "{<<: @, k#: @}"),
    "long text by aliases": "a: &a " + "x" * 100_000 + "\nb: [" + "*a, " * 2000 + "]",
    "depth of lists": "[" * 100_000,
    "depth of mappings": "{a: " * 100_000,
    "depth by indentation": "\n".join(" " * level + "-" for level in range(1000)),
    "depth by aliases": bomb(200, "[@]"),
    "recursion": "a: &a [*a]",
    "recursion in a key": "a: &a {b: {c: *a}}",
    "recursive merge": "a: &a {<<: *a}",
    "keys twice": "a: 1\na: 2",
    "a python object": "!!python/object/apply:os.system ['touch /tmp/x']",
    "a tag of nobody": "a: !foo bar",
    "a set": "!!set {a, b}",
    "a key that is a list": "? [a, b]\n: c",
    "an alias of nothing": "a: *b",
    "not closed": "a: [",
    "tabs": "a:\n\t- b",
    "a directive": "%YAML 9.9\n---\na: 1",
    "a zero byte": "a: \0",
    "merge of text": "a: {<<: b}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused(name: str) -> None:
    begun = time.process_time()
    with pytest.raises(UsageError) as caught:
        yamltext.documents(HOSTILE[name].encode())
    assert "YAML" in caught.value.message
    assert "\n" not in caught.value.message
    assert time.process_time() - begun < 20  # seconds of our own: no explosion


def test_size_and_encoding() -> None:
    with pytest.raises(UsageError, match="too large"):
        yamltext.documents(b"#" * (yamltext.SIZE + 1))
    with pytest.raises(UsageError, match="byte 3"):
        yamltext.documents(b"a: \xff")
    assert yamltext.documents("\ufeffa: ä".encode())[0].value == {"a": "ä"}
    assert one("a: " + "9" * 5000) == {"a": "9" * 5000}  # no number that takes for ever


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(st.text(max_size=8), plain, min_size=1, max_size=4), max_size=3))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_again(values) -> None:
    try:
        text = yamltext.write(values)
    except UnicodeEncodeError:
        return  # half a surrogate pair is in no file
    assert [item.value for item in yamltext.documents(text.encode("utf-8", "surrogatepass"))] == values


@pytest.mark.parametrize(
    "word", ["y", "No", "on", "1e3", "0o7", "0b1", "1_000", "null", "~", "", " ", "a: b", "- a", "#", "0644", "1:2"]
)
def test_text_is_written_so_that_no_reader_takes_it_for_anything_else(word: str) -> None:
    assert yamltext.write([{"a": word}]) in (f'a: "{word}"\n', f"a: '{word}'\n")


@given(st.text(alphabet="abc:-[]{}&*#?|>!%@`'\" \n\t,<0123.~y", max_size=60))
@settings(max_examples=400, deadline=None)
def test_anything_is_data_or_an_error(text: str) -> None:
    try:
        yamltext.documents(text.encode())
    except UsageError as error:
        assert error.message.startswith("YAML")


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_data_or_an_error(content: bytes) -> None:
    try:
        yamltext.documents(content)
    except UsageError:
        pass
