"""Writes cases of EnSight Gold and 6, as the format has them: texts, and binary files of C and Fortran."""

import struct
from functools import partial

import numpy as np

FORMS = ("text", "C<", "C>", "Fortran<", "Fortran>")
POINTS, SIZES, BLOCK = 9, (3, 2, 2), 12
CELLS = {"hexa8": [range(1, 9)], "tetra4": [(1, 2, 3, 9), (2, 3, 4, 9)], "nsided": [(1, 2, 3, 4), (1, 2, 9)]}
COMPONENTS = {"scalar": 1, "vector": 3, "tensor symm": 6}


def values(kind, part, n, step):
    """Values of a variable, of the shape (components, points or elements)."""
    n_components = COMPONENTS[kind]
    start = 1 + 100 * part + 1000 * step + 10_000 * n_components
    return np.arange(start, start + n * n_components, dtype=np.float32).reshape(n_components, n)


def coordinates(n, step):
    return [[axis + 0.25 * at * (axis + 1) + step for at in range(n)] for axis in range(3)]


class Case:
    """A case with a part of several types of elements, in Gold a structured one, too, and variables of all kinds."""

    def __init__(self, folder, form="text", *, is_gold=True, ids="given", layout="constant", n_steps=2):
        folder.mkdir(parents=True, exist_ok=True)
        self.form, self.order, self.is_gold, self.ids = form.rstrip("<>"), form[-1], is_gold, ids
        self.cells = {kind: cells for kind, cells in CELLS.items() if is_gold or kind != "nsided"}
        sets = {"constant": "", "files": "1 ", "file set": "1 1 "}[layout]
        star = "_**" if layout == "files" else ""
        lines = ["FORMAT", f"type: ensight{' gold' * is_gold}", "GEOMETRY", f"model: {sets}mesh{star}.geo", "VARIABLE"]
        writers = {"mesh.geo": self._geometry}
        for kind in COMPONENTS:
            for place in ("node", "element"):
                name = f"{kind[0]}_{place}"
                lines.append(f"{kind} per {place}: {sets}{name} {name}{star}")
                writers[name] = partial(self._variable, kind, place)
        if layout != "constant":
            lines += ["TIME", "time set: 1", f"number of steps: {n_steps}"]
            lines += ["filename start number: 3", "filename increment: 2"] if star else []
            lines += ["time values:", *(f"{0.5 * step}" for step in range(n_steps))]
        lines += ["FILE", "file set: 1", f"number of steps: {n_steps}"] if layout == "file set" else []
        (folder / "run.case").write_text("\n".join(lines) + "\n")
        for name, write in writers.items():
            head = self.line(f"{self.form} Binary") if name.endswith(".geo") and form != "text" else b""
            steps = [write(step) for step in range(n_steps)]
            stem, dot, suffix = name.partition(".")
            if layout == "files":
                for step, content in enumerate(steps):
                    (folder / f"{stem}_{3 + 2 * step:02d}{dot}{suffix}").write_bytes(head + content)
            elif layout == "file set":
                marked = [self.line("BEGIN TIME STEP") + content + self.line("END TIME STEP") for content in steps]
                (folder / name).write_bytes(head + b"".join(marked))
            else:
                (folder / name).write_bytes(head + steps[0])

    def line(self, *texts):
        if self.form == "text":
            return "".join(f"{text}\n" for text in texts).encode()
        return b"".join(self._record(text.encode().ljust(80, b"\0")) for text in texts)

    def numbers(self, found, per_line=None):
        found = [number.item() if isinstance(number, np.generic) else number for number in found]
        if self.form == "text":
            per_line = per_line or (1 if self.is_gold else 6)
            words = [f"{number:10d}" if isinstance(number, int) else f"{number:12.5e}" for number in found]
            return b"".join(
                "".join([*words[at : at + per_line], "\n"]).encode() for at in range(0, len(words), per_line)
            )
        kind = "i" if isinstance(found[0], int) else "f"
        return self._record(struct.pack(f"{self.order}{len(found)}{kind}", *found))

    def _record(self, content):
        mark = struct.pack(f"{self.order}i", len(content)) if self.form == "Fortran" else b""
        return mark + content + mark

    def _part(self, number):
        return self.line("part") + self.numbers([number]) if self.is_gold else self.line(f"part {number}")

    def _geometry(self, step):
        content = self.line("a title", "another", f"node id {self.ids}", f"element id {self.ids}")
        ids, points = list(range(11, 11 + POINTS)), coordinates(POINTS, step)
        is_given = self.ids == "given"
        if self.is_gold:
            content += self._part(1) + self.line("a body", "coordinates") + self.numbers([POINTS])
            content += (self.numbers(ids) if is_given else b"") + b"".join(map(self.numbers, points))
        elif self.form == "text":
            content += self.line("coordinates", f"{POINTS:8d}")
            for number, *point in zip(ids, *points, strict=True):
                content += (f"{number:8d}" * is_given + "".join(f"{x:12.5e}" for x in point) + "\n").encode()
            content += self._part(1) + self.line("a body")
        else:
            content += self.line("coordinates") + self.numbers([POINTS]) + (self.numbers(ids) if is_given else b"")
            content += self.numbers(np.transpose(points).ravel()) + self._part(1) + self.line("a body")
        for kind, cells in self.cells.items():
            content += self.line(kind) + self.numbers([len(cells)]) + self._elements(kind, cells, is_given=is_given)
        if not self.is_gold:
            return content
        content += self._part(2) + self.line("a block", "block") + self.numbers(SIZES, per_line=3)
        return content + b"".join(map(self.numbers, coordinates(BLOCK, step)))

    def _elements(self, kind, cells, *, is_given):
        numbers = [21 + at for at in range(len(cells))]
        if is_given and not self.is_gold:  # which refers to nodes by their numbers
            cells = [[node + 10 for node in cell] for cell in cells]
        nodes = [node for cell in cells for node in cell]
        if self.form == "text" and not self.is_gold:
            rows = [[number] * is_given + list(cell) for number, cell in zip(numbers, cells, strict=True)]
            return b"".join(self.numbers(row, per_line=len(row)) for row in rows)
        content = self.numbers(numbers) if is_given else b""
        content += self.numbers([len(cell) for cell in cells]) if kind == "nsided" else b""
        if self.form == "text":
            return content + b"".join(self.numbers(cell, per_line=len(cell)) for cell in cells)
        return content + self.numbers(nodes)

    def _variable(self, kind, place, step):
        content = self.line("of a variable")
        n_cells = sum(map(len, self.cells.values()))
        found = values(kind, 1, POINTS if place == "node" else n_cells, step)
        if self.is_gold or place == "element":
            content += self._part(1)
        if place == "node":
            content += self.line("coordinates") if self.is_gold else b""
            content += self._values(found)
        else:
            start = 0
            for name, cells in self.cells.items():
                content += self.line(name) + self._values(found[:, start : start + len(cells)])
                start += len(cells)
        if not self.is_gold:
            return content
        found = values(kind, 2, BLOCK if place == "node" else 2, step)
        return content + self._part(2) + self.line("block") + b"".join(map(self.numbers, found))

    def _values(self, found):
        return b"".join(map(self.numbers, found)) if self.is_gold else self.numbers(found.T.ravel())
