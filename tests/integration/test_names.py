"""Names that nobody chose."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from support.runner import Pypod


def test_made_up_names_never_clash(pypod: Pypod, image: str) -> None:
    """Two creators that think of one name at the same time: the later one thinks again."""
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: pypod("create", image, "true"), range(24)))
    assert [item.err for item in done if item.code] == []
    names = pypod("ps", "-a", "--format", "{{.Names}}").ok().lines
    assert len(set(names)) == 24
    pypod("rm", "-a").ok()
