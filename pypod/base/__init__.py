"""Floor 0: atomic files, locks, names and processes. Imports the interpreter's built-ins only."""
