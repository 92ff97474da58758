"""Floor 1: what the kernel offers, by name: mounts, namespaces, id maps, /proc, cgroups."""
