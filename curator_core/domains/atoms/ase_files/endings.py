"""Whether files are whole of which ASE returns what it finds."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeAlias

from curator_core.domains.atoms.ase_files.framing import CutOffError

_LAST_WORDS: Final = {
    "aims-output": (b"Have a nice day", "FHI-aims"),
    "espresso-out": (b"JOB DONE", "Quantum ESPRESSO"),
    "gaussian-out": (b"Normal termination of Gaussian", "Gaussian"),
    "nwchem-out": (b"Total times", "NWChem"),
    "orca-output": (b"ORCA TERMINATED NORMALLY", "ORCA"),
    "qbox": (b":simulation>", "Qbox"),
    "vasp-out": (b"General timing and accounting", "VASP"),
    "vasp-xml": (b"</modeling>", "VASP"),
}
"""Words with which a program ends its output, and the program."""
_ANY_LAST_LINE: Final = (*_LAST_WORDS, "cp2k-dcd", "cube", "eon", "lammps-dump-binary")
"""Formats whose last line holds nothing that is kept, or nothing that `require_whole` does not look at."""
_EON_HEAD: Final = 9
_EON_COLUMNS: Final = 5
_GROMACS_BOX: Final = 3
_SHOWS_ITS_END: Final = re.compile(
    rb"""(?i)(^\s*[#$]?\s*(end\w*)?|^\s*%endblock\b.*|\S["']|[#!>}\];]|[-=*_]{3}|\s\?|\d\(\d+\))\s*$"""
)
_DECIMALS: Final = re.compile(rb"[-+]?\d*\.(\d*)")
_FEWEST_DECIMALS: Final = 5
_COMPARED_LINES: Final = 8
_COMPARED_NUMBERS: Final = 7
_Check: TypeAlias = Callable[[Iterable[bytes], int, int], str | None]
"""What is wrong, given all lines of a file, and the numbers of structures and of all their atoms that were read."""


def require_whole(file_format: str, lines: Iterable[bytes], n_frames: int, n_atoms: int) -> None:
    """Raise `CutOffError` where a file ends too early.

    Parameters
    ----------
    file_format
        ASE's name of its format; those without a rule are taken as they are.
    lines
        All of the file.
    n_frames
        How many structures ASE read of it.
    n_atoms
        How many atoms, where it has a single one.
    """
    check = _CHECKS.get(file_format)
    reason = check(lines, n_frames, n_atoms) if check is not None else None
    if reason is not None:
        raise CutOffError(reason)


def require_last_line(file_format: str, lines: Iterable[bytes]) -> None:
    """Raise `CutOffError` where the last line of text has no end, and may have lost some of its last number or word.

    Whoever writes text ends its last line. Without that, a line is whole where it is ``END`` or the like, or where what
    it ends with shows it: a quote, a bracket, the uncertainty of a number; or as many decimals as all numbers of the
    lines before have, of which the last has as many columns.
    """
    if file_format in _ANY_LAST_LINE:
        return
    *before, last = deque(lines, maxlen=_COMPARED_LINES) or (b"",)
    if last.endswith((b"\n", b"\r")) or b"\0" in last or _SHOWS_ITS_END.search(last) or _has_all_decimals(before, last):
        return
    word = last.split()[-1].decode("utf-8", "replace")
    raise CutOffError(
        f"its last line has no end, so {word[:40]!r} may be cut off; where it is whole, end the line, or say "
        "last_line='any'"
    )


def _has_all_decimals(before: list[bytes], last: bytes) -> bool:
    lines = [line for line in before if not _is_heading(line)] + [last]
    rows = [[_DECIMALS.fullmatch(word) for word in line.split()] for line in lines]
    decimals = [len(found[1]) for row in rows for found in row if found]
    columns = {tuple(found is None for found in row) for row in rows if len(row) == len(rows[-1])}  # 0 is no 0.000
    is_fixed = len(decimals) >= _COMPARED_NUMBERS and len(set(decimals)) == len(columns) == 1
    has_all_columns = len(rows) > 1 and len(rows[-1]) == len(rows[-2])
    return is_fixed and has_all_columns and decimals[0] >= _FEWEST_DECIMALS and rows[-1][-1] is not None


def _is_heading(line: bytes) -> bool:
    joined = b"".join(line.split())
    return joined.isalpha() or joined.isdigit()  # elements, and how many of each


def _says(words: bytes, program: str) -> _Check:
    def check(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001
        if any(words in line for line in lines):
            return None
        other = "" if n_frames else ", or another one wrote it, whose format can be given with format="
        return f"it ends without {words.decode()!r}, so it is cut off, or {program} did not come to its end{other}"

    return check


def _counts(pattern: bytes) -> _Check:
    begins = re.compile(pattern)

    def check(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001
        n_begun = sum(begins.search(line) is not None for line in lines)
        return None if n_begun == n_frames else f"it has {n_begun} structures, of which {n_frames} can be read"

    return check


def _ends_with(pattern: bytes) -> _Check:
    whole = re.compile(pattern)

    def check(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001
        (last,) = deque(lines, maxlen=1) or (b"",)
        return None if whole.search(last) else "it ends within a structure"

    return check


def _says_atoms(pattern: bytes) -> _Check:
    says = re.compile(pattern)

    def check(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001
        n_said = sum(int(found[1]) for line in lines if (found := says.match(line)))
        return f"it has {n_said} atoms, of which {n_atoms} are read" if n_said not in (0, n_atoms) else None

    return check


def _gromacs(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001
    _, number, *rows = lines
    if len(rows) == int(number) + 1 and len(rows[-1].split()) >= _GROMACS_BOX:
        return None
    if len(rows) == int(number) + 1:
        return f"its last line is no box of three numbers: {rows[-1].decode('utf-8', 'replace').strip()[:60]!r}"
    return f"{len(rows)} lines follow on its number of atoms, {int(number)}: one each were expected, and the box"


def _protein_data_bank(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001
    n_after, n_ends = 0, 0
    for line in lines:
        if line.startswith(b"END"):
            n_after, n_ends = 0, n_ends + 1
        elif line.startswith((b"ATOM", b"HETATM")):
            n_after += 1
    return f"{n_after} atoms stand after its last END" if n_ends and n_after and n_frames else None


def _eon(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001 - as the others
    remaining = iter(lines)
    while head := list(islice(remaining, _EON_HEAD)):
        if len(head) < _EON_HEAD:
            return "it ends within the head of a structure" if any(line.strip() for line in head) else None
        n_lines = 2 * int(head[6]) + sum(map(int, head[7].split()))
        rows = list(islice(remaining, n_lines))
        if len(rows) < n_lines or len(rows[-1].split()) < _EON_COLUMNS:  # of which the last is the atom's number
            return "it ends within a structure"
    return None


def _cif(lines: Iterable[bytes], n_frames: int, n_atoms: int) -> str | None:  # noqa: ARG001
    n_blocks, is_counted = 0, False
    for line in lines:
        text = line.lstrip().lower()
        if text.startswith(b"data_"):
            is_counted = False
        elif text.startswith((b"_cell_length_a", b"_cell.length_a", b"_atom_site_", b"_atom_site.")) and not is_counted:
            n_blocks, is_counted = n_blocks + 1, True
    return None if n_blocks <= n_frames else f"it has {n_blocks} blocks with a cell, of which {n_frames} have atoms"


_CHECKS: Final[dict[str, _Check]] = {
    "castep-geom": _ends_with(rb"^\s*\n$"),
    "castep-md": _ends_with(rb"^\s*\n$"),
    "cif": _cif,
    "dmol-arc": _counts(rb"^!DATE"),
    "eon": _eon,
    "gromacs": _gromacs,
    "gromos": _ends_with(rb"^END"),
    "mol": _says_atoms(rb"([ \d]{3}).*V2000"),
    "proteindatabank": _protein_data_bank,
    "res": _says(b"END", "its writer"),
    "rmc6f": _says_atoms(rb"Number of atoms:\s*(\d+)"),
    "runnerdata": _counts(rb"^\s*end\b"),
    "sdf": _says_atoms(rb"([ \d]{3}).*V2000"),
    "turbomole": _says(b"$end", "its writer"),
    "vasp-xdatcar": _counts(rb"Direct configuration="),
    **{file_format: _says(*found) for file_format, found in _LAST_WORDS.items()},
}
