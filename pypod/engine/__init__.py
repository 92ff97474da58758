"""Floor 3: what a container does: its configuration, its life, its views. No command line, no output."""
