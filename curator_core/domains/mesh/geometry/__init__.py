"""What follows from points and cells alone: sizes, normals, parts of a part."""
