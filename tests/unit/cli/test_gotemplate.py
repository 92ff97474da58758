"""Go templates: what scripts use, as Go prints it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypod.cli import gofmt, gotemplate
from pypod.cli.gotemplate import Headers, Struct, Time
from pypod.errors import UsageError

VALUE = Struct(
    {
        "Id": "abc",
        "Names": ["x", "y"],
        "State": Struct({"Status": "running", "Pid": 5, "StartedAt": Time("2024-01-02T03:04:05.6Z")}, "State"),
        "Labels": {"b": "2", "a": "1"},
        "Env": ["HOME=/root", "X=1"],
        "None": None,
        "Empty": [],
        "Rate": 1.5,
        "Mounts": [Struct({"Source": "/a", "Destination": "/b"}, "Mount")],
        "Networks": {"podman": Struct({"IPAddress": "10.88.0.2"}, "Network")},
    },
    "Container",
    {"SizeRw": 7},
)


def render(text: str, value=VALUE) -> str:
    return gotemplate.parse(text).render(value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{.Id}} {{.ID}} {{.SizeRw}}", "abc abc 7"),
        ("{{.State.Status}} {{.State.Pid}}", "running 5"),
        ("{{.Labels}} {{.Names}} {{.Empty}}", "map[a:1 b:2] [x y] []"),
        ('{{index .Labels "a"}}{{index .Labels "zz"}}', "1"),
        ("{{.Labels.a}} {{.Labels.zz}}", "1 <no value>"),
        ("{{(index .Mounts 0).Source}}", "/a"),
        ("{{range .Networks}}{{.IPAddress}}{{end}}", "10.88.0.2"),
        ("{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
        ("{{range $i, $n := .Names}}{{$i}}{{$n}}{{end}}", "0x1y"),
        ("{{range .Empty}}a{{else}}none{{end}}", "none"),
        ('{{range .Names}}{{if eq . "y"}}{{break}}{{end}}{{.}}{{end}}', "x"),
        ('{{range .Names}}{{if eq . "x"}}{{continue}}{{end}}{{.}}{{end}}', "y"),
        ("{{with .State}}{{.Pid}}{{end}}{{with .None}}x{{else}}n{{end}}", "5n"),
        ("{{if .None}}a{{else if .Names}}b{{else}}c{{end}}", "b"),
        ("{{$x := 1}}{{range .Names}}{{$x = .}}{{end}}{{$x}}", "y"),
        ("{{range .Names}}{{$.Id}}{{end}}", "abcabc"),
        (
            '{{range .Env}}{{if and (ge (len .) 5) (eq (slice . 0 5) "HOME=")}}'
            '{{slice . 5 | printf "%q"}}{{end}}{{end}}',
            '"/root"',
        ),
        ('{{join .Names ","}} {{split "a:b" ":"}} {{upper "a"}}{{lower "B"}} {{title "a b"}}', "x,y [a b] Ab A B"),
        ("{{truncate .Id 2}}|{{pad .Id 1 2}}|", "ab| abc  |"),
        ("{{json .Names}} {{.Labels | json}}", '["x","y"] {"b":"2","a":"1"}'),
        ("{{json .State}}", '{"Status":"running","Pid":5,"StartedAt":"2024-01-02T03:04:05.6Z"}'),
        ("{{.State.StartedAt}}", "2024-01-02 03:04:05.6 +0000 UTC"),
        ("a {{- 1 -}} b", "a1b"),
        ("{{/* nothing */}}x{{- /* trims */ -}}  y", "xy"),
        ('{{printf "%s-%d-%v-%5s|%-5s|%05d" "a" 3 .Names "b" "c" 7}}', "a-3-[x y]-    b|c    |00007"),
        ('{{print "a" 1 2 "b"}}{{println "c" 3}}', "a1 2bc 3\n"),
        ("{{not true}} {{and 1 0}} {{or 0 2}} {{and 1 2}}", "false 0 2 2"),
        ("{{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 1 2}}", "true true true true false false"),
        ("{{len .Labels}} {{len .Id}} {{.Rate}}", "2 3 1.5"),
        ("{{`raw\\n`}}{{\"\\u00e9\\t\"}}{{'a'}}", "raw\\né\t97"),
        ('{{1.5}} {{0x10}} {{-3}} {{true}} {{nil | printf "%v"}}', "1.5 16 -3 true <nil>"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_what_go_prints(text, wanted, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    assert render(text) == wanted


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{{.Foo}}", "at <.Foo>: can't evaluate field Foo in type Container"),
        ("{{.State.Pid.x}}", "can't evaluate field x in type int"),
        ("{{.None.x}}", "nil pointer evaluating"),
        ("{{foo}}", 'function "foo" not defined'),
        ("{{.Id", "unclosed action"),
        ("{{if .Id}}x", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{if}}x{{end}}", "missing value"),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{index .Names 5}}", "index out of range: 5"),
        ('{{lt 1 "a"}}', "incompatible types"),
        ("{{slice .Id 2 1}}", "invalid slice index"),
        ("{{range .Id}}{{end}}", "range can't iterate over abc"),
        ("{{break}}", "outside {{range}}"),
        ("{{len 3}}", "len of type int"),
        ('{{.Id "x"}}', "cannot be invoked"),
        ("{{len}}", "wrong number"),
        ('{{define "x"}}', "not supported"),
        ('{{"a}}', "unterminated"),
        ("{{(.Id}}", "unclosed left paren"),
        ("{{1a}}", "bad number syntax"),
    ],
)
def test_mistakes_are_told(text, part):
    with pytest.raises(UsageError) as caught:
        render(text)
    assert part in caught.value.message and caught.value.message.startswith("template: ")


def test_a_misspelt_field_names_its_neighbour():
    with pytest.raises(UsageError) as caught:
        render("{{.Statee}}")
    assert caught.value.hint.startswith("did you mean .State")


def test_headings():
    row = Headers({"ID": "CONTAINER ID"})
    assert (
        render("{{.ID}}\t{{.CreatedAt}}\t{{.IPAddress}}\t{{.Names}}", row)
        == "CONTAINER ID\tCREATED AT\tIP ADDRESS\tNAMES"
    )


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("{}. \n\t-|()$:=\"'`/*0123abIdrangeifendwithNames,")), max_size=40))
def test_any_text_is_a_template_or_an_error(text):
    try:
        assert isinstance(render(text), str)
    except UsageError as error:
        assert error.message.startswith("template: ")


@given(st.text(max_size=30))
def test_text_without_actions_is_itself(text):
    if "{{" not in text:
        assert render(text) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_json_is_json(value):
    assert json.loads(render("{{json .}}", value)) == value


@given(st.text(max_size=20))
def test_a_quoted_string_reads_back(text):
    if all(ord(char) > 31 or char in "\n\t\r" for char in text):
        quoted = gofmt.quote(text)
        assert render("{{" + quoted + "}}", None) == text


def test_endless_nesting_is_refused():
    with pytest.raises(UsageError):
        gotemplate.parse("{{if 1}}" * 500 + "{{end}}" * 500)
    with pytest.raises(UsageError):
        gotemplate.parse("{{" + "(" * 500 + "1" + ")" * 500 + "}}")


def test_a_hint_names_fields_as_templates_do():
    inner = Struct({"ociRuntime": {}, "Labels": None}, "define.HostInfo", {"SizeRw": 0})
    for text, hint in (("{{.OciRuntme}}", ".OciRuntime"), ("{{.SizeRv}}", ".SizeRw"), ("{{.labls}}", ".Labels")):
        with pytest.raises(UsageError) as caught:
            render(text, inner)
        assert caught.value.hint == f"did you mean {hint}?"
    heading = gotemplate.Headers({})
    assert render("{{.Anything}}", heading) == "ANYTHING"
