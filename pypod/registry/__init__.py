"""Registries (OCI distribution-spec 1.1, Docker's registry API v2): the only room that imports requests.

    reference ─► registries_conf, shortnames ─► endpoints ─► client ─► manifests and blobs
                                   authfile, certs ─┘          │
                                                        auth, body, upload

It knows nothing of stores: who pulls (engine) hands the bytes on. Nothing here is imported until a registry is
needed.
"""
