"""Kubernetes objects: from YAML to plain data and back. Nothing here knows a store, a process or a file.

``yamltext`` reads and writes the text, ``fields`` checks what is in it, ``read`` makes ``objects``, and ``translate``
says what containers, pods and volumes they mean in podman-run(1)'s terms.
"""
