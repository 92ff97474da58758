"""The flags of the kube commands. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import ACCESS, CREDS, RETRY

PLAY = (
    ("annotation", "list", (), "KEY=VALUE", "Add an annotation to the pods' containers"),
    *ACCESS,
    ("build", "bool", None, "", "Build images that have a directory of their name, also those that are here"),
    ("configmap", "list", (), "FILE", "Read more config maps from this file"),
    ("context-dir", "str", None, "DIR", "Where these directories are (default the current one)"),
    *CREDS,
    ("down", "bool", False, "", "Take the pods of the YAML down: kube down"),
    ("force", "bool", False, "", "With --down or --wait, remove the volumes of claims too"),
    ("ip", "list", (), "IP", "Fixed address of a pod; one for each"),
    (
        "log-driver",
        "str",
        None,
        "DRIVER",
        "Where the output is logged",
        ("k8s-file", "json-file", "journald", "none", "passthrough"),
    ),
    ("log-opt", "list", (), "KEY=VALUE", "Option of the log driver: path, max-size, tag"),
    ("mac-address", "list", (), "MAC", "Fixed MAC address of a pod; one for each"),
    ("network net", "array", (), "MODE", "Network of the pods (default podman-default-kube-network)"),
    ("no-hostname", "bool", False, "", "Leave /etc/hostname to the images"),
    ("no-hosts", "bool", False, "", "Leave /etc/hosts to the images"),
    ("no-pod-prefix", "bool", False, "", "Name containers as the YAML does, without the pod's name"),
    ("publish", "list", (), "[[IP:]HOST:]CTR[/PROTO]", "Publish a port to the host"),
    ("publish-all", "bool", False, "", "Publish each containerPort on the port of the host that has its number"),
    ("quiet q", "bool", False, "", "No progress output while pulling"),
    ("replace", "bool", False, "", "Take down pods of the same names first"),
    *RETRY,
    (
        "seccomp-profile-root",
        "str",
        "/var/lib/kubelet/seccomp",
        "DIR",
        "Where localhostProfile of a seccompProfile is (default /var/lib/kubelet/seccomp)",
    ),
    ("service-container", "bool", False, "", "As --wait, and tell systemd when the pods run: for units"),
    (
        "service-exit-code-propagation",
        "choice",
        "none",
        "WHICH",
        "With --wait, fail if all, or any, of the containers failed (default none)",
        ("all", "any", "none"),
    ),
    ("start", "bool", True, "", "Start the pods"),
    ("userns", "str", None, "MODE", "User namespace of the pods: host, keep-id, auto, nomap"),
    ("wait w", "bool", False, "", "Stay until the pods end or a signal comes, then take them down"),
)
DOWN = (("force", "bool", False, "", "Remove the volumes of claims too"),)
GENERATE = (
    ("filename f", "str", None, "FILE", "Write to this file, which must not exist yet"),
    ("replicas r", "uint", None, "NUMBER", "How many pods a deployment has (default 1)"),
    ("service s", "bool", False, "", "Describe a Service for the published ports too"),
    ("type t", "str", "pod", "KIND", "What to describe: pod or deployment (default pod)", ("pod", "deployment")),
)
