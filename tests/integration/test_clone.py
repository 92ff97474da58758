"""``container clone``."""

from __future__ import annotations


def test_a_clone_is_like_the_original(pypod, image):
    pypod("create", "--name", "clone", "-e", "A=1", "-l", "x=y", "-v", "/anon", image, "sh", "-c", "echo $A").ok()
    id = pypod("container", "clone", "clone").ok().out.strip()
    assert pypod.names().count("clone-clone") == 1
    first, second = pypod.inspect("clone"), pypod.inspect("clone-clone")
    assert second["Id"] == id != first["Id"]
    assert second["Config"]["Env"] == first["Config"]["Env"] and second["Config"]["Labels"] == {"x": "y"}
    assert second["Mounts"][0]["Name"] != first["Mounts"][0]["Name"]
    assert pypod("start", "-a", "clone-clone").ok().out == "1\n"
    assert pypod("container", "clone", "clone").ok() and "clone-clone1" in pypod.names()
    pypod("container", "clone", "clone", "clone-named").ok()
    pypod("container", "clone", "clone", "clone-named").fails(125, "already in use")
    pypod("rm", "-v", "clone", "clone-clone", "clone-clone1", "clone-named").ok()


def test_a_clone_that_takes_the_place(pypod, image):
    pypod("run", "-d", "--name", "clone-old", "--stop-timeout", "0", image, "sleep", "100").ok()
    pypod("container", "clone", "--destroy", "clone-old").fails(2, "cannot be removed without force")
    assert pypod.state("clone-old") == "running" and "clone-old-clone" not in pypod.names()
    pypod("tag", image, "localhost/clone:2").ok()
    words = ("--destroy", "-f", "--run", "--name", "clone-new", "--cpu-shares", "77", "clone-old")
    pypod("container", "clone", *words, "", "localhost/clone:2").ok()
    assert not pypod.exists("clone-old") and pypod.state("clone-new") == "running"
    found = pypod.inspect("clone-new")
    assert found["ImageName"] == "localhost/clone:2" and found["HostConfig"]["CpuShares"] == 77
    pypod("rm", "-f", "-t", "0", "clone-new").ok()
    pypod("untag", image, "localhost/clone:2").ok()
    pypod("container", "clone", "nobody").fails(125, "no such container")
    pypod("container", "clone", "-f", "nobody").fails(125, "without --destroy")
