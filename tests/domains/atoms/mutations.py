"""A process that curates damaged databases, one after the other, and prints what was not handled as it must be.

``python mutations.py FOLDER SEED N``: of three files one is damaged anew N times. Its item may fail, by an error that
names the file; or it is read, and then as ASE reads it. The others are completed, whatever happens.
"""

import json
import logging
import random
import resource
import shutil
import sys
import warnings
import zlib
from pathlib import Path

import lmdb
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.domains.atoms import ASELMDBSource, AtomicDataset, AtomicDataZarrSink, AtomicStatsFilter

FIELDS = ["stress", "magmoms", "constraints", "initial_charges", "masses", "momenta", "tags"]
ODD = [
    None, True, -1, 0, 10**9, 10**400, 1.5, float("nan"), "", "18", "x" * 300, [], {}, [[]], [None], ["1", "2"],
    [1, "a"],
    [10**9, 3], {"a": 1}, {"__ndarray__": [[10**10], "float64", [0.0]]}, {"__ndarray__": [[2], "<U4", ["a", "b"]]},
    {"__ndarray__": "x"}, {"__complex__": [1]}, {"__datetime__": "x"}, {"__ase_objtype__": "atoms"}, "[" * 3000,
    {f"name_{i}": i for i in range(400)}, {"n" * 280: 1.0}, {"": 1}, {"../../x": 1}, {"a/b": {"c": [1, {"d": 2}]}},
    {"__ndarray__": [[1, 3], "float64", [1.0, 2.0, 3.0]]}, {"__ndarray__": [[3, 3], "float64", [0.5] * 9]},
]  # fmt: skip


def write(path):
    with connect(str(path), type="aselmdb") as database:
        for size in range(1, 7):
            atoms = Atoms(f"Ar{size}", positions=np.arange(3.0 * size).reshape(size, 3), cell=np.eye(3) * 9, pbc=True)
            atoms.calc = SinglePointCalculator(atoms, energy=-1.0 * size, forces=np.ones((size, 3)))
            database.write(atoms, key_value_pairs={"size": size, "name": "x"}, data={"list": [1, 2], "text": "a"})
    Path(f"{path}-lock").unlink()


def damage(path, chance):
    """Damage a file in one of several ways; says how."""
    kind = chance.choice(["bytes", "cut", "hole", "entry", "entry", "field", "field", "field", "nested"])
    content = bytearray(path.read_bytes())
    if kind == "bytes":
        for _ in range(chance.randint(1, 5)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
    elif kind == "cut":
        path.write_bytes(content[: chance.randrange(len(content))])
    elif kind == "hole":
        start = chance.randrange(len(content))
        content[start : start + 4096] = bytes(len(content[start : start + 4096]))
        path.write_bytes(content)
    else:
        kind += _damage_entry(path, kind, chance)
    return kind


def _damage_entry(path, kind, chance):
    with lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 26) as env, env.begin(write=True) as transaction:
        name = chance.choice(["nextid", "deleted_ids", *"123456"])
        row = json.loads(zlib.decompress(transaction.get(b"3")))
        if kind == "entry":
            value = chance.choice(ODD)
            text = json.dumps(value).encode()
            stored = chance.choice([text, zlib.compress(text), zlib.compress(text)[:-4], b"", None])
            if stored is None:
                transaction.delete(name.encode())
            else:
                transaction.put(name.encode(), stored)
            return f" {name} = {value!r:.80}"
        field = chance.choice(
            [*row, "stress", "magmoms", "constraints", "initial_charges", "masses", "momenta", "tags"]
        )
        value = chance.choice(ODD)
        if kind == "nested" and isinstance(row.get(field), dict):
            row[field] = dict(row[field]) | {chance.choice(["x", *map(str, row[field])]): value}
        else:
            row[field] = value
        transaction.put(b"3", zlib.compress(json.dumps(row).encode()))
        return f" {field} = {value!r:.80}"


def by_ase(path):
    """What ASE reads, in a form that can be compared; ``None`` where it fails."""
    try:
        with lmdb.open(str(path), subdir=False, lock=False, readonly=True) as env, env.begin() as transaction:
            n_rows = len([key for key, _ in transaction.cursor() if key.isdigit()])
        if n_rows > 10:
            return None
        database = connect(str(path), type="aselmdb", readonly=True)
        try:
            return [summary(row.toatoms(add_additional_information=True)) for row in database.select()]
        finally:
            database.close()
    except Exception:  # noqa: BLE001 - whatever a damaged file makes of ASE
        return None


def summary(atoms):
    results = {} if atoms.calc is None else atoms.calc.results
    return (
        atoms.numbers.tolist(),
        repr(atoms.positions.tolist()),
        repr(None if results.get("energy") is None else float(results["energy"])),
    )


def one(folder, original, chance):
    """Damage the middle file, curate all, and say what is wrong; nothing where all is right."""
    middle = folder / "in" / "middle.aselmdb"
    middle.write_bytes(original)
    how = damage(middle, chance)
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    source = ASELMDBSource(str(folder / "in"))
    step, sink = AtomicStatsFilter(str(work / "s.parquet")), AtomicDataZarrSink(str(work / "m.zarr"))
    pipeline = Pipeline(source, [step], sink, db_file=work / "m.db", resume=True)
    try:
        run_pipeline(pipeline, progress=False, on_error="skip")
        failed = pipeline.failed_indices
        if not failed:
            gather_pipeline(pipeline)
        found = [] if failed else [summary(atoms) for atoms in AtomicDataset(work / "m.zarr")]
    except Exception as exc:  # noqa: BLE001 - it is what is looked for
        return f"{how}: {type(exc).__name__}: {exc!s:.200}"
    if set(failed) - {1}:
        return f"{how}: another item failed: {failed}"
    if failed and "middle.aselmdb" not in failed[1] and "structure" not in failed[1]:
        return f"{how}: the error names no place: {failed[1]:.200}"
    if not failed and len(found) < 12 + 6:
        return f"{how}: {len(found)} structures of 18, and nothing failed"
    if not failed and (expected := by_ase(middle)) is not None and found[6:-6] != expected:
        return f"{how}: not what ASE reads"
    return None


def main():
    folder, seed, n_times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    logging.disable()
    (folder / "in").mkdir(parents=True)
    for name in ("left", "middle", "right"):
        write(folder / "in" / f"{name}.aselmdb")
    original = (folder / "in" / "middle.aselmdb").read_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, resource.RLIM_INFINITY))  # ASE maps 2 TB to write
    for number in range(n_times):
        chance = random.Random(f"{seed}-{number}")
        if wrong := one(folder, original, chance):
            print(f"{seed}-{number}: {wrong}", flush=True)  # noqa: T201
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
