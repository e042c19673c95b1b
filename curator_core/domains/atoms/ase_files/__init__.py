"""Files that ASE reads: formats, frames, and the source."""
