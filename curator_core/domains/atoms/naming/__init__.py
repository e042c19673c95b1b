"""Results and other values of structures under the names and in the units of ASE."""
