"""WWW-Authenticate headers as registries write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.registry.challenge import parse

BEARER = 'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push"'


def test_bearer_with_commas_in_quotes() -> None:
    (one,) = parse(BEARER)
    assert one.scheme == "bearer"
    assert one.values["realm"] == "https://auth.example.com/token"
    assert one.scopes == ("repository:a/b:pull,push",)


@pytest.mark.parametrize("header", [f'{BEARER}, Basic realm="x"', f'Basic realm="x" , {BEARER}'])
def test_several_challenges_in_one_header(header: str) -> None:
    found = {one.scheme: one.values for one in parse(header)}
    assert found["basic"] == {"realm": "x"}
    assert found["bearer"]["service"] == "registry"


def test_unquoted_values_blanks_and_capitals() -> None:
    (one,) = parse("BEARER Realm = https://x/y?z , SERVICE=s")
    assert one.values == {"realm": "https://x/y?z", "service": "s"}


def test_escapes_in_quotes() -> None:
    assert parse(r'Basic realm="a \"b\" \\ c"')[0].values["realm"] == r'a "b" \ c'


def test_token68_and_schemes_alone() -> None:
    found = parse('Negotiate, NTLM abc+/==, Basic realm="x", Digest')
    assert [one.scheme for one in found] == ["negotiate", "ntlm", "basic", "digest"]


def test_several_scopes() -> None:
    (one,) = parse('Bearer realm="r",scope="repository:a:pull repository:b:pull",error="insufficient_scope"')
    assert one.scopes == ("repository:a:pull", "repository:b:pull")
    assert one.values["error"] == "insufficient_scope"


@pytest.mark.parametrize("header", ["", ",,,", "=", '"', '"Basic"', "realm=x", "\x00", 'Bearer realm="open', "é"])
def test_rubbish_is_left_out(header: str) -> None:
    for one in parse(header):
        assert "realm" not in one.values or one.values["realm"] in ("", "x")


@given(st.text(alphabet='ab=," \\\t/+Bearer', max_size=60))
def test_no_header_is_too_much(header: str) -> None:
    for one in parse(header):
        assert one.scheme == one.scheme.lower()


@pytest.mark.parametrize("piece", ["<", "a ", 'a="', "a=b,", "a   ", '"', "\\", 'a="\\', "Bearer a==="])
def test_long_headers_take_no_longer(piece: str) -> None:
    parse(piece * (65_536 // len(piece)))
