"""Parameters, the domain they span, and designs that sample it."""
