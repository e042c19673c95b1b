"""``make bench``: every measurement, in one table."""

from __future__ import annotations

from benchmarks.imports import import_seconds
from benchmarks.overhead import overhead_rows
from benchmarks.scale import scale_rows

print("| measure | result |\n|---|---|")
for module, seconds in import_seconds().items():
    print(f"| `import {module}`, over a bare interpreter | {seconds * 1e3:.0f} ms |")
for name, value in overhead_rows():
    print(f"| {name} | {value} |")
for name, value in scale_rows():
    print(f"| {name} | {value} |")
