"""Files that VTK reads: their readers, times, blocks, and the files that belong to them."""
