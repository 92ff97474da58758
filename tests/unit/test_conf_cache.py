"""The cache of configuration files is believed only where nobody else can have written it."""

import json
import os

from pypod.base import conf


def test_the_cache_is_used_and_follows_its_source(tmp_path):
    source, cache = tmp_path / "a.conf", str(tmp_path / "cache")
    source.write_text('[engine]\nruntime = "one"\n')
    assert conf.load([str(source)], cache) == [{"engine": {"runtime": "one"}}]
    kept = json.loads((tmp_path / "cache").read_text())
    kept["documents"] = [{"engine": {"runtime": "cached"}}]
    (tmp_path / "cache").write_text(json.dumps(kept))
    assert conf.load([str(source)], cache) == [{"engine": {"runtime": "cached"}}]
    source.write_text('[engine]\nruntime = "another"\n')
    assert conf.load([str(source)], cache) == [{"engine": {"runtime": "another"}}]


def test_a_cache_that_others_could_write_is_not_believed(tmp_path):
    source, cache = tmp_path / "a.conf", tmp_path / "cache"
    source.write_text('[engine]\nruntime = "mine"\n')
    conf.load([str(source)], str(cache))
    evil = json.loads(cache.read_text()) | {"documents": [{"engine": {"runtime": "evil"}}]}
    cache.write_text(json.dumps(evil))
    cache.chmod(0o666)
    assert conf.load([str(source)], str(cache)) == [{"engine": {"runtime": "mine"}}]
    assert cache.stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        cache.write_text(json.dumps(evil))
        os.chown(cache, 12345, 12345)
        assert conf.load([str(source)], str(cache)) == [{"engine": {"runtime": "mine"}}]


def test_a_link_in_its_place_is_not_followed(tmp_path):
    source, cache, other = tmp_path / "a.conf", tmp_path / "cache", tmp_path / "other"
    source.write_text('[engine]\nruntime = "mine"\n')
    conf.load([str(source)], str(other))
    other.write_text(json.dumps(json.loads(other.read_text()) | {"documents": [{}]}))
    cache.symlink_to(other)
    assert conf.load([str(source)], str(cache)) == [{"engine": {"runtime": "mine"}}]
