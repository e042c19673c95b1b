"""ASE-LMDB files: pages, entries, rows."""
