"""Signed images, exchanged with skopeo and podman over a real registry, and what a policy makes of them."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import box, disk
from support.gpg_keys import Keys
from support.registry import Registry
from support.runner import Pypod, Result

INSECURE = "--tls-verify=false"


def signed_by(path: Path, **more: object) -> list[dict[str, Any]]:
    return [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(path), **more}]


class Place:
    """A user with a home of its own: keys, a policy, a lookaside directory, and a small image in each store."""

    def __init__(self, fresh: Pypod, registry: Registry, home: Path, keys: Keys) -> None:
        self.registry, self.home, self.keys = registry, home, keys
        user = dataclasses.replace(fresh.user, env={"HOME": str(home), "TMPDIR": str(home), **keys.env})
        self.pypod = Pypod(fresh.program, user, graphroot=fresh.graphroot, runroot=fresh.runroot, mode=fresh.mode)
        self.pypod.cwd = "/"
        self.lookaside = home / "sigs"
        self.ann, self.bob = home / "ann.asc", home / "bob.asc"
        self.write(
            ".config/containers/registries.d/r.yaml", f"default-docker:\n  lookaside: file://{self.lookaside}\n"
        )
        for path in (self.ann, self.bob):
            self.write(path.name, keys.public(f"{path.stem}@x.test").decode())

    def write(self, name: str, text: str) -> None:
        path = self.home / name
        made = [parent for parent in path.parents if not parent.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for item in (*made, path):
            os.chown(item, self.pypod.user.uid, self.pypod.user.gid)

    def policy(self, requirements: object, transport: str = "docker") -> None:
        """Reject all but what satisfies ``requirements``, for every tool."""
        document = {"default": [{"type": "reject"}], "transports": {transport: {"": requirements}}}
        self.write(".config/containers/policy.json", json.dumps(document))

    def accept_all(self) -> None:
        self.write(".config/containers/policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}')

    def image(self, name: str) -> str:
        """A tiny image in the store, unlike any other."""
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            info = tarfile.TarInfo(f"{name}-{os.urandom(4).hex()}")
            info.size = 8
            archive.addfile(info, io.BytesIO(os.urandom(8)))
        self.accept_all()
        self.pypod("import", "-q", "-", f"localhost/{name}", input=tar.getvalue()).ok()
        return f"{self.registry.host}/ns/{name}:1"

    def podman(self, *args: str | Path) -> Result:
        """podman with a store of its own: its signatures must come over the registry."""
        places = ["--root", str(self.home / "g"), "--runroot", str(self.home / "r")]
        more = ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        return self.pypod.as_user(box.need("podman"), *places, *more, *args)

    def skopeo(self, *args: str | Path) -> Result:
        return self.pypod.as_user(box.need("skopeo"), *args)

    def pull(self, image: str) -> Result:
        return self.pypod("pull", "-q", INSECURE, image)

    def empty(self) -> None:
        self.pypod("rmi", "-a", "-f").ok()

    def signatures(self, image: str) -> list[Path]:
        """The signature files of a repository."""
        path = image.partition("/")[2].rpartition(":")[0]
        return sorted(self.lookaside.glob(f"{path}@sha256=*/signature-*"))


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as made:
        yield made


@pytest.fixture(scope="module")
def keys(who: Any) -> Iterator[Keys]:
    made = Keys(who)
    made.make("ann@x.test")
    made.make("bob@x.test", kind="rsa2048")
    yield made
    made.close()


@pytest.fixture
def place(fresh: Pypod, registry: Registry, keys: Keys) -> Iterator[Place]:
    home = Path(tempfile.mkdtemp(prefix="ph", dir=disk.place()))
    os.chown(home, fresh.user.uid, fresh.user.gid)
    made = Place(fresh, registry, home, keys)
    yield made
    if (home / "g").exists():
        made.podman("rmi", "-a", "-f")
        if fresh.rootless:
            made.podman("system", "migrate")  # ends its pause process
            made.podman("unshare", "rm", "-rf", str(home / "g"), str(home / "r"))
            made.podman("system", "migrate")
    shutil.rmtree(home, ignore_errors=True)


def attach(place: Place, image: str, key: Path, name: str) -> None:
    """Attach a sigstore signature to an image in the registry, as cosign does it."""
    repository = image.partition("/")[2].rpartition(":")[0]
    base = f"{place.registry.url}/v2/{repository}"

    def put(method: str, url: str, data: bytes, media_type: str) -> Any:
        request = urllib.request.Request(url, data, {"Content-Type": media_type}, method=method)
        return urllib.request.urlopen(request)

    def blob(data: bytes, media_type: str) -> dict[str, Any]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with put("POST", f"{base}/blobs/uploads/", b"", "") as begun:
            location = begun.headers["Location"]
        join = "&" if "?" in location else "?"
        put("PUT", f"{location}{join}digest={digest}", data, "application/octet-stream").close()
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    shown = place.skopeo("inspect", INSECURE, "--format", "{{.Digest}}", f"docker://{image}").ok()
    digest = shown.out.strip()
    critical = {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    text = json.dumps({"critical": critical, "optional": None}).encode()
    sign = [box.need("openssl"), "dgst", "-sha256", "-sign", str(key)]
    signature = subprocess.run(sign, input=text, capture_output=True, check=True).stdout
    layer = blob(text, "application/vnd.dev.cosign.simplesigning.v1+json")
    layer["annotations"] = {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}
    config = {"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [layer],
    }
    put("PUT", f"{base}/manifests/{digest.replace(':', '-')}.sig", json.dumps(manifest).encode(), media_type).close()


def no_layers(pypod: Pypod) -> bool:
    """Whether the store has nothing at all."""
    assert pypod.graphroot is not None
    for kind in ("layers", "images"):
        path = pypod.graphroot / f"overlay-{kind}" / f"{kind}.json"
        if path.exists() and json.loads(path.read_text() or "[]"):
            return False
    names = set(os.listdir(pypod.graphroot / "overlay")) - {"l", "tempdirs"}
    return not {name for name in names if re.fullmatch("[0-9a-f]{64}", name)}


def test_what_skopeo_signs(place: Place) -> None:
    """skopeo signs; pypod pulls it under a policy, keeps the signature, and skopeo reads that out of the store."""
    image = place.image("one")
    out = place.home / "dir"
    place.pypod("push", "-q", "localhost/one", f"dir:{out}").ok()
    for name, key in (("ann", place.ann), ("bob", place.bob)):
        place.accept_all()
        sign = ("--sign-by", f"{name}@x.test", "--dest-tls-verify=false")
        place.skopeo("copy", "-q", *sign, f"dir:{out}", f"docker://{image}").ok()
        place.empty()
        place.policy(signed_by(key))
        place.pull(image).ok()
    [signature] = place.signatures(image)  # skopeo writes its own in place of others
    place.accept_all()
    stored = f"containers-storage:[overlay@{place.pypod.graphroot}+{place.pypod.runroot}]{image}"
    inside = [box.need("podman"), "unshare"] if place.pypod.rootless else []
    # It finds them, and will not give the layers another form than what has been signed.
    copied = place.pypod.as_user(*inside, box.need("skopeo"), "copy", "-q", stored, f"dir:{place.home}/again")
    if not place.pypod.rootless:
        # A skopeo that fails leaves the store's directory mounted on itself.
        subprocess.run(["umount", f"{place.pypod.graphroot}/overlay"], check=False, capture_output=True)
    assert copied.code == 1 and "Would invalidate signatures" in copied.err
    refused = place.pypod("push", "-q", image, f"dir:{place.home}/again").fails(125, "they are for another manifest")
    assert "--remove-signatures" in refused.err
    place.pypod("push", "-q", image, f"oci:{place.home}/oci").fails(125, "signatures have no place in oci:")
    place.pypod("push", "-q", "--remove-signatures", image, f"dir:{place.home}/again").ok()
    # Back to the registry it goes as it came.
    shutil.rmtree(signature.parent)
    place.pypod("push", "-q", INSECURE, image).ok()
    assert [path.name for path in place.signatures(image)] == ["signature-1"]
    place.policy(signed_by(place.bob))
    place.podman("pull", "-q", INSECURE, image).ok()


def test_directories(place: Place) -> None:
    """The files signature-N of dir: both ways, and with skopeo in between."""
    place.image("five")
    name = "registry.example.com/five:1"
    plain, signed = f"dir:{place.home}/plain", f"dir:{place.home}/signed"
    place.pypod("push", "-q", "localhost/five", plain).ok()
    place.skopeo("copy", "-q", "--sign-by", "ann@x.test", "--sign-identity", name, plain, signed).ok()
    place.policy(signed_by(place.ann, signedIdentity={"type": "exactReference", "dockerReference": name}), "dir")
    place.empty()
    place.pypod("pull", "-q", plain).fails(125, "A signature was required, but no signature exists")
    place.pypod("load", "-i", place.home / "plain").fails(125, "A signature was required, but no signature exists")
    assert no_layers(place.pypod)
    pulled = place.pypod("pull", "-q", signed).ok().out.strip()
    place.pypod("push", "-q", pulled, f"dir:{place.home}/again").ok()
    for path in ("signature-1", "manifest.json"):
        assert (place.home / "again" / path).read_bytes() == (place.home / "signed" / path).read_bytes()
    place.podman("pull", "-q", f"dir:{place.home}/again").ok()
    place.pypod("push", "-q", "--remove-signatures", pulled, f"dir:{place.home}/again").ok()
    assert not (place.home / "again/signature-1").exists()


def test_what_pypod_signs(place: Place) -> None:
    """pypod signs; podman and skopeo verify."""
    image = place.image("two")
    push = place.pypod("push", INSECURE, "--sign-by", "ann@x.test", "localhost/two", image).ok()
    assert "Creating signature" in push.err and "Storing signatures" in push.err
    place.policy(signed_by(place.ann))
    place.podman("pull", "-q", INSECURE, image).ok()
    place.skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{image}", f"dir:{place.home}/d").ok()
    [signature] = place.signatures(image)
    assert signature.read_bytes() == (place.home / "d/signature-1").read_bytes()
    assert signature.stat().st_uid == place.pypod.user.uid
    verified = place.skopeo(
        *("standalone-verify", place.home / "d/manifest.json", image),
        *(place.keys.fingerprint("ann@x.test"), signature),
    ).ok()
    assert "Signature verified" in verified.out
    # A second signer is one more signature.
    place.pypod("push", "-q", INSECURE, "--sign-by", "bob@x.test", "localhost/two", image).ok()
    assert len(place.signatures(image)) == 2
    place.policy([*signed_by(place.ann), *signed_by(place.bob)])
    place.podman("pull", "-q", INSECURE, image).ok()
    place.empty()
    place.pull(image).ok()


def test_passphrases(place: Place) -> None:
    """What cannot be signed does not get its name in the registry."""
    name = f"mia{os.urandom(2).hex()}@x.test"
    place.keys.make(name, passphrase="open sesame")
    place.keys.forget()
    own = f"nine-{place.pypod.mode}"
    image = place.image(own)
    push = ("push", "-q", INSECURE, "--sign-by", name, f"localhost/{own}", image)
    place.write("wrong", "open sesam\n")
    place.write("right", "open sesame\n")
    for flags in ((), ("--sign-passphrase-file", place.home / "wrong")):
        failed = place.pypod(*push, *flags).fails(125, f"cannot sign {image} with key {name}: signing failed")
        assert "sesam" not in failed.err
        assert place.skopeo("inspect", INSECURE, f"docker://{image}").code != 0
    place.pypod(*push, "--sign-passphrase-file", place.home / "right").ok()
    assert len(place.signatures(image)) == 1


def test_by_digest(place: Place) -> None:
    image = place.image("three")
    place.pypod("push", "-q", INSECURE, "--sign-by", "ann@x.test", "localhost/three", image).ok()
    place.policy(signed_by(place.ann))
    digest = place.skopeo("inspect", INSECURE, "--format", "{{.Digest}}", f"docker://{image}").ok().out.strip()
    place.empty()
    place.pull(f"{image.rpartition(':')[0]}@{digest}").ok()
    place.empty()
    place.policy(signed_by(place.ann, signedIdentity={"type": "matchExact"}))
    place.pull(f"{image.rpartition(':')[0]}@{digest}").fails(125, f"Signature for identity {image} is not accepted")


def refused(place: Place, image: str, words: str) -> None:
    """pypod says what podman says, and stores nothing."""
    place.empty()
    failed = place.pull(image).fails(125, f"Source image rejected: {words}")
    assert no_layers(place.pypod), failed.err
    theirs = place.podman("pull", "-q", INSECURE, image)
    assert theirs.code == 125 and f"Source image rejected: {words}" in theirs.err, theirs.err


def test_what_is_refused(place: Place) -> None:
    image = place.image("four")
    place.pypod("push", "-q", INSECURE, "localhost/four", image).ok()
    place.policy(signed_by(place.ann))
    refused(place, image, "A signature was required, but no signature exists")

    image = place.image("four")
    place.pypod("push", "-q", INSECURE, "--sign-by", "ann@x.test", "localhost/four", image).ok()
    place.policy(signed_by(place.bob))
    refused(place, image, "Invalid GPG signature:")
    place.policy([{"type": "reject"}])
    refused(place, image, f"Running image docker://{image} is rejected by policy.")
    place.policy([*signed_by(place.ann), *signed_by(place.bob)])
    refused(place, image, "Invalid GPG signature:")

    # The signature of another name, and that of another manifest.
    [signature] = place.signatures(image)
    other = image.replace("/four:1", "/other:1")
    place.accept_all()
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false", "--remove-signatures")
    place.skopeo("copy", "-q", *plain, f"docker://{image}", f"docker://{other}").ok()
    place.policy(signed_by(place.ann))
    directory = signature.parent.name.replace("four@", "other@")
    place.write(f"sigs/ns/{directory}/signature-1", "")
    (place.lookaside / "ns" / directory / "signature-1").write_bytes(signature.read_bytes())
    refused(place, other, f"Signature for identity {image} is not accepted")
    place.policy(signed_by(place.ann, signedIdentity={"type": "exactReference", "dockerReference": image}))
    place.pull(other).ok()

    changed = place.image("four")
    place.pypod("push", "-q", INSECURE, "localhost/four", changed).ok()
    place.policy(signed_by(place.ann))
    digest = place.skopeo("inspect", INSECURE, "--format", "{{.Digest}}", f"docker://{changed}").ok().out.strip()
    directory = f"four@{digest.replace(':', '=')}"
    place.write(f"sigs/ns/{directory}/signature-1", "")
    (place.lookaside / "ns" / directory / "signature-1").write_bytes(signature.read_bytes())
    refused(place, changed, f"Signature for digest {signature.parent.name.partition('@')[2].replace('=', ':')} does")


def test_image_sign(place: Place) -> None:
    """Signatures for what is in a registry or in the store already."""
    image = place.image("six")
    place.pypod("push", "-q", INSECURE, "localhost/six", image).ok()
    sign = ("image", "sign", INSECURE, "--sign-by", "ann@x.test")
    place.pypod(*sign, f"docker://{image}").ok()
    assert len(place.signatures(image)) == 1
    place.policy(signed_by(place.ann))
    place.podman("pull", "-q", INSECURE, image).ok()
    place.empty()
    place.pypod("pull", "-q", INSECURE, image).ok()
    # The store's image has the same manifest, and a directory of its own takes the signature.
    elsewhere = place.home / "elsewhere"
    place.pypod(*sign, "--directory", elsewhere, image).fails(125, "not a directory")
    place.write("elsewhere/x", "")
    place.pypod(*sign, "--directory", elsewhere, image).ok()
    [made] = elsewhere.glob("ns/six@sha256=*/signature-1")
    assert made.parent.name == place.signatures(image)[0].parent.name
    shutil.copy(made, place.signatures(image)[0])
    place.podman("pull", "-q", INSECURE, image).ok()

    place.pypod("image", "sign", image).fails(125, "please provide an identity")
    place.pypod(*sign, f"dir:{place.home}").fails(125, "cannot determine canonical Docker reference")
    place.pypod("image", "sign", "--sign-by", "eve@x.test", image).fails(125, 'no secret key for "eve@x.test"')
    place.pypod(*sign, "--all", f"docker://{image}").fails(125, "is not a multi-architecture image")
    place.pypod("push", "-q", "--sign-by", "eve@x.test", image, f"{image}2").fails(125, "no secret key")
    assert place.skopeo("inspect", INSECURE, f"docker://{image}2").code != 0


def test_image_trust(place: Place) -> None:
    """What set writes and show prints, as podman has it."""
    policy = place.home / ".config/containers/policy.json"
    policy.unlink(missing_ok=True)
    trust = ("image", "trust")

    def same(*flags: str) -> str:
        ours = place.pypod(*trust, "show", *flags).ok().out
        # podman shows /etc's policy even where it obeys the user's.
        path = ("--policypath", policy) if policy.exists() else ()
        theirs = place.podman(*trust, "show", *path, *flags).ok().out
        # Debian has no gpg2, so podman does not find whose the keys are.
        shown = re.sub(r',\n +"gpg_id": "[^"]*"|(ann|bob)@x\.test', "", ours)
        assert re.sub(" +", " ", shown) == re.sub(" +", " ", theirs)
        return ours

    same()
    document = json.loads(Path("/etc/containers/policy.json").read_text())
    set_ = ("set", "--policypath", policy) if place.pypod.user.uid == 0 else ("set",)
    if place.pypod.user.uid == 0:
        place.accept_all()
    place.pypod(*trust, *set_, "--type", "reject", "docker.io").ok()
    assert json.loads(policy.read_text()) == {
        "default": document["default"],
        "transports": {"docker": {"docker.io": [{"type": "reject"}]}},
    }
    assert policy.stat().st_mode & 0o777 == 0o644
    place.pypod(*trust, *set_, "-f", place.ann, "quay.io/ns/repo").ok()
    place.pypod(*trust, *set_, "-t", "signedBy", "-f", f"{place.ann},{place.bob}", "*.example.com").ok()
    place.pypod(*trust, *set_, "-t", "reject", "default").ok()
    assert re.search(r"repository +\*\.example\.com +signed +bob@x.test", same())
    assert "quay.io/ns/repo" in same("--json")
    assert same("--raw").rstrip("\n") == policy.read_text().rstrip("\n")
    same("--noheading")
    place.podman(*trust, "set", "--policypath", policy, "-t", "accept", "quay.io/other").ok()
    place.pypod(*trust, *set_, "-t", "reject", "quay.io/other").ok()
    before = policy.read_text()
    for words, message in (
        (("-t", "accept", "-f", place.ann, "a.io"), "1 public keys unexpectedly provided for trust type accept"),
        (("a.io",), "at least one public key must be defined for type 'signedBy'"),
        (("-f", place.home / "none", "a.io"), "No such file"),
        (("-f", policy, "a.io"), "there is no public key in it"),
        (("-t", "accept", "a.io:b:c"), "invalid image uri: a.io:b:c"),
        (("-t", "accept", "alpine"), "invalid image uri: alpine"),
        (("-t", "accept", "docker.io/alpine"), "invalid image uri: docker.io/alpine"),
        (("-t", "some", "a.io"), "Choose from"),
    ):
        place.pypod(*trust, *set_, *words).fails(125, message)
    assert policy.read_text() == before
    place.write(".config/containers/policy.json", '{"default": [], "x": 1}')
    place.pypod(*trust, *set_, "-t", "accept", "a.io").fails(125, "invalid policy in", 'Unknown key "x"')
    place.pypod(*trust, "show").fails(125, "invalid policy in")


def test_sigstore(place: Place) -> None:
    """Signatures attached to images, as cosign has them. Debian's podman is built without (see test_podman5.py)."""
    for name in ("key", "other"):
        made = [box.need("openssl"), "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", place.home / name]
        subprocess.run(made, check=True, capture_output=True)
        public = [box.need("openssl"), "ec", "-in", place.home / name, "-pubout"]
        place.write(f"{name}.pub", subprocess.run(public, check=True, capture_output=True, text=True).stdout)
    image = place.image("seven")
    place.pypod("push", "-q", INSECURE, "localhost/seven", image).ok()
    attach(place, image, place.home / "key", image)

    def pull(key: str, words: str = "", **more: object) -> None:
        place.policy([{"type": "sigstoreSigned", "keyPath": str(place.home / f"{key}.pub"), **more}])
        place.empty()
        if not words:
            place.pull(image).ok()
            return
        place.pull(image).fails(125, f"Source image rejected: {words}")
        assert no_layers(place.pypod)

    pull("key", "A signature was required, but no signature exists")  # attachments are not looked for unasked
    text = f"default-docker:\n  lookaside: file://{place.lookaside}\n  use-sigstore-attachments: true\n"
    place.write(".config/containers/registries.d/r.yaml", text)
    pull("other", "Invalid signature: cryptographic signature verification failed")
    pull("key")
    place.pypod("push", "-q", INSECURE, image).fails(125, "sigstore signatures are not written to registries")
    elsewhere = "registry.example.com/seven:1"
    place.accept_all()
    attach(place, image, place.home / "key", elsewhere)
    pull("key", f"Signature for identity {elsewhere} is not accepted")
    pull("key", signedIdentity={"type": "exactReference", "dockerReference": elsewhere})


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_the_standard_place(place: Place) -> None:
    """Without configuration a rootless user's signatures are in the user's home, for podman too."""
    (place.home / ".config/containers/registries.d/r.yaml").unlink()
    image = place.image("eight")
    place.pypod("push", "-q", INSECURE, "--sign-by", "ann@x.test", "localhost/eight", image).ok()
    [made] = (place.home / ".local/share/containers/sigstore/ns").glob("eight@sha256=*/signature-1")
    assert made.stat().st_uid == place.pypod.user.uid
    place.policy(signed_by(place.ann))
    place.podman("pull", "-q", INSECURE, image).ok()
    place.empty()
    place.pull(image).ok()


def test_lists(place: Place) -> None:
    """manifest push signs the list and its images; podman verifies one of them, skopeo all."""
    for name in ("here", "there"):
        place.image(name)
    image = f"{place.registry.host}/ns/list:1"
    place.pypod("manifest", "create", "localhost/list").ok()
    for name, arch in (("here", "amd64"), ("there", "arm64")):
        place.pypod("manifest", "add", "--arch", arch, "localhost/list", f"localhost/{name}").ok()
    push = ("manifest", "push", "-q", "--all", INSECURE, "--sign-by", "ann@x.test", "localhost/list")
    place.pypod(*push, f"docker://{image}").ok()
    place.policy(signed_by(place.ann))
    place.podman("pull", "-q", INSECURE, image).ok()
    place.skopeo("copy", "-q", "--all", "--src-tls-verify=false", f"docker://{image}", f"dir:{place.home}/d").ok()
    assert len(list((place.home / "d").glob("*signature-1"))) == 3
    place.empty()
    place.pypod("pull", "-q", INSECURE, "--arch", "arm64", image).ok()
