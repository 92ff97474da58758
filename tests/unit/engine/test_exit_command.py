"""The way back: every global flag that says where things are is handed on."""

from __future__ import annotations

from pypod.cli import options
from pypod.cli.parser import Parser
from pypod.engine import exit_command
from pypod.engine.context import open_context

# Those that concern one call of the CLI only.
PERSONAL = {"hooks_dir", "log_format", "log_level", "module", "noout", "out", "syslog"}


def test_the_flags_lead_to_the_same_places(tmp_path) -> None:
    given = {
        "root": str(tmp_path / "g"),
        "runroot": str(tmp_path / "r"),
        "tmpdir": str(tmp_path / "t"),
        "runtime": "/usr/bin/x",
        "conmon": "/usr/bin/y",
        "cgroup_manager": "cgroupfs",
        "volumepath": str(tmp_path / "v"),
        "network_cmd_path": "/usr/bin/z",
        "network_config_dir": str(tmp_path / "n"),
        "imagestore": str(tmp_path / "i"),
        "transient_store": True,
        "storage_driver": "overlay",
        "storage_opt": ["overlay.mountopt=nodev"],
        "runtime_flag": ["debug"],
        "events_backend": "none",
    }
    every = {flag[0].split()[0].replace("-", "_") for flag in options.GLOBAL}
    assert every - PERSONAL == set(given)
    words = exit_command.global_flags(open_context(given))
    parser = Parser((), options.GLOBAL, path="pypod", interspersed=False)
    assert parser.parse(words) == []
    assert {key: value for key, value in parser.shared.items() if key in given} == given


def test_the_options_of_a_file_are_not_left_behind(tmp_path, monkeypatch) -> None:
    """--root makes storage.conf's driver options void, so what they were is said again."""
    (tmp_path / "s.conf").write_text('[storage]\ndriver = "overlay"\n[storage.options.overlay]\nmountopt = "nodev"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "s.conf"))
    words = exit_command.global_flags(open_context({}))
    assert words[words.index("--storage-opt") + 1] == "overlay.mountopt=nodev"
