"""Forty lists of arguments that have to arrive in a container as they are here, whatever carries them there."""

from __future__ import annotations

# No UTF-8: a unit brings it to a command, but the JSON of an OCI config cannot bring it to a container.
BYTES = [b"\x80\xfe\xff".decode("utf-8", "surrogateescape"), "a\udc80z", "\udcc3", "\udcc3("]

ARGUMENTS: list[list[str]] = [
    [""],
    ["", "", "a", ""],
    [" "],
    ["\t", "\n", "\r", "\v\f"],
    ["a b", "a  b", " a", "a "],
    ["line one\nline two\n", "\n\nlast"],
    ["tab\there", "\ttab", "tab\t"],
    ["'"],
    ['"'],
    ["it's", 'say "so"', "'quoted'", '"quoted"', "a'b\"c"],
    ["''", '""', "'\"'\"'"],
    ["\\"],
    ["\\\\", "a\\b", "a\\", "\\n", "\\t", "\\x41", "\\101", "\\u00e9", "\\s"],
    ["ends in a backslash\\", "\\ begins"],
    ["%"],
    ["%%", "%n", "%i", "%t/%n", "100%", "%Y-%m-%d", "%%n", "50%% off"],
    ["$"],
    ["$$", "$HOME", "${HOME}", "$HOME/x", "a${PATH}b", "$1", "$@", "$(id)", "`id`", "$$$"],
    ["${", "$}", "${}", "$ {HOME}", "\\$HOME", "cost: 5$"],
    [";"],
    [";", "a", ";", "b"],
    ["\\;", ";;", "a;b", ";a", "a;"],
    ["#", "#comment", "a#b", "# not a comment"],
    ["-", "--", "-x", "--x=y", "--help", "-e", "--rm"],
    ["@x", "-x", ":x", "+x", "!x", "!!x", "|x"],
    ["a=b", "=", "=a", "A=1 B=2", "x = y"],
    ["*", "?", "[a-z]", "{a,b}", "~", "~root", "!", "!!", "a*b?"],
    ["&", "&&", "|", "||", ">", ">>/tmp/x", "<", "2>&1", "(", ")"],
    ["ü", "naïve", "日本語", "🦭", "e\u0301", "ﬁ", "\u00a0", "\u2028", "\u200b", "\u202e"],
    ["\ufeff", "\ufffe", "\uffff", "\U0010ffff", "\x85", "\u00ad"],
    ["--name=other", "--entrypoint", "--", "-v/:/host", "--cidfile=x", "-d"],
    ["\x01", "\x1b[31mred\x1b[0m", "\x07", "\x08", "\x7f"],
    ["sh", "-c", 'echo "$@" | tr a b; exit 0 # \''],
    ['{"a": ["b", {"c": "d \\"e\\""}], "n": 1.5e3, "s": "$x %y"}'],
    ["awk", '{ print $1, "%s\\n" }'],
    ["<a href='x'>&amp;</a>", "C:\\Program Files\\x", "\\\\server\\share"],
    ["[Service]", "ExecStart=/bin/false", "[Install]\nWantedBy=x"],
    ["x" * 5000, "y " * 2000],
    [str(number) for number in range(300)],
    ["/bin/rm -f %t/%n.ctr-id", "%t/%n.ctr-id", "--cidfile=%t/%n.ctr-id", "${NOTIFY_SOCKET}", "$MAINPID", "%N"],
]
assert len(ARGUMENTS) == 40
