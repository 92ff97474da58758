"""Layers, images and container records on disk, in the format of containers/storage (podman, buildah, skopeo).

``storage.store.Store`` is the way in. This package knows nothing of runtimes, registries or monitors.
"""
