"""Names of classes and functions: registered, from installed packages' entry points, or as ``module:name``."""

from __future__ import annotations

import difflib
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Generic, TypeVar

from curator_core.errors import ConfigError, DuplicateNameError, MissingDependencyError, UnknownNameError
from curator_core.pipeline.components import Component

C = TypeVar("C")
K = TypeVar("K", bound=Component)


class Registry(Generic[C]):
    """Classes by name; those of other packages are loaded when first asked for.

    Parameters
    ----------
    kind
        What is registered, for messages.
    group
        Entry-point group that other packages use.
    base
        Class that every entry must be a subclass of.
    built_in
        ``module:Class`` by name of those that curator brings along: known where it is not installed, too, as in a
        checkout on the path.
    """

    def __init__(
        self, kind: str, group: str, base: type[C], built_in: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.kind = kind
        self.group = group
        self.base = base
        self.built_in = built_in
        self._lock = threading.Lock()
        self._classes: dict[str, type[C]] = {}
        self._found: dict[str, EntryPoint] | None = None
        self._clashes: dict[str, list[str]] = {}

    def register(self, name: str, cls: type[C]) -> type[C]:
        """Add a class; one that is defined again, as a notebook's cell does, takes its own place.

        Raises
        ------
        DuplicateNameError
            The name is taken by another class.
        """
        if not _is_subclass(cls, self.base):
            raise ConfigError(f"The {self.kind} {name!r} must be a subclass of {self.base.__name__}, not {cls!r}.")
        with self._lock:
            taken = self._classes.get(name)
            declared = self._entry_points().get(name) if taken is None else None
            known = _place(taken) if taken is not None else declared.value if declared is not None else None
            if known is not None and not _is_place_of(known, cls, is_declared=taken is None):
                raise DuplicateNameError(f"A {self.kind} named {name!r} is registered already: {known}.")
            self._add(name, cls)
        return cls

    def get(self, name: str) -> type[C]:
        """Look a class up, loading it if need be.

        Raises
        ------
        UnknownNameError
            No such name; the message lists the known ones.
        DuplicateNameError
            Two packages have the name.
        ConfigError
            The entry point gives something that is no such class.
        """
        cls = self._classes.get(name)
        if cls is not None:
            return cls
        entry = self._entry_points().get(name)
        if entry is None:
            raise UnknownNameError.of(self.kind, name, self.names())
        if name in self._clashes:
            places = ", ".join([entry.value, *self._clashes[name]])
            raise DuplicateNameError(
                f"Several packages have a {self.kind} named {name!r}: {places}. Uninstall all but one of them, or name "
                "the class as module:Class."
            )
        try:
            loaded = entry.load()
        except MissingDependencyError:  # says which extra to install
            raise
        except (ImportError, AttributeError) as exc:
            raise ConfigError(
                f"Cannot load the {self.kind} {name!r} from {entry.value!r} "
                f"(an entry point of group {self.group!r}): {exc}."
            ) from exc
        if not (isinstance(loaded, type) and issubclass(loaded, self.base)):
            raise ConfigError(
                f"Entry point {name!r} of group {self.group!r} gives {loaded!r}, no subclass of {self.base.__name__}."
            )
        self._add(name, loaded)
        return loaded

    def name_of(self, cls: type[C]) -> str | None:
        """The name under which this very class is known, ``None`` when it has none.

        A class keeps the name it was registered under also where it arrives by value, in a worker that never saw
        it registered. Of entry points, those are loaded that have its name or end in it.
        """
        marked = vars(cls).get(_MARK)
        if marked is not None:
            return str(marked)
        own = getattr(cls, "name", "") or cls.__name__
        declared = self._entry_points().items()
        near = {name for name, entry in declared if name == own or entry.attr == cls.__qualname__}
        for name in sorted(near, key=lambda name: (name != own, name)):
            try:
                if self.get(name) is cls:
                    return name
            except (ConfigError, MissingDependencyError):  # of another package, which has a class of that name
                continue
        return None

    def _add(self, name: str, cls: type[C]) -> None:
        self._classes[name] = cls
        if _MARK not in vars(cls) or name == getattr(cls, "name", ""):
            type.__setattr__(cls, _MARK, name)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Within, classes may be registered and loaded; afterwards, those of before are known."""
        before = dict(self._classes)
        try:
            yield
        finally:
            with self._lock:
                self._classes = before

    def has(self, name: str) -> bool:
        """Whether a class has that name already, or an installed package says that one of its classes has."""
        return name in self._classes or name in self._entry_points()

    def is_declared(self, name: str) -> bool:
        """Whether every process knows the name: it is curator's own, or an installed package's."""
        return name in self._entry_points()

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self._classes, *self._entry_points()})

    def _entry_points(self) -> dict[str, EntryPoint]:
        """What is declared; what an installed curator of another version says of our own names does not count."""
        if self._found is None:
            found = {name: EntryPoint(name, value, self.group) for name, value in self.built_in.items()}
            for entry in entry_points(group=self.group):
                known = found.setdefault(entry.name, entry)
                is_ours = entry.name in self.built_in and entry.module.partition(".")[0] in _OUR_PACKAGES
                if not is_ours and entry.value != known.value:
                    self._clashes.setdefault(entry.name, []).append(entry.value)
            self._found = found
        return self._found


_MARK = "_registered_name"
"""Attribute of a class of its own: the name it is known by."""
_OUR_PACKAGES = ("curator_core", "curator_dagster")


def _place(cls: type) -> str:
    """``module:Class``, the same in every process also for classes of the user's own script."""
    return f"{stable_module_name(cls.__module__)}:{cls.__qualname__}"


def _is_place_of(place: str, cls: type, *, is_declared: bool) -> bool:
    """Whether a class is meant; the entry point of a package may name a module that only imports it."""
    if not is_declared:
        return place == _place(cls)
    module, _, name = place.partition(":")
    return name.strip() == cls.__qualname__ and module.partition(".")[0] == cls.__module__.partition(".")[0]


def _is_subclass(cls: object, base: type) -> bool:
    return isinstance(cls, type) and issubclass(cls, base)


BUILT_IN_COMPONENTS: Mapping[str, str] = MappingProxyType(
    {
        "atomic_names": "curator_core.domains.atoms.naming.filter:AtomicNamesFilter",
        "ase_file": "curator_core.domains.atoms.ase_files.source:ASEFileSource",
        "ase_lmdb": "curator_core.domains.atoms.sources:ASELMDBSource",
        "atomic_data_zarr": "curator_core.domains.atoms.sinks:AtomicDataZarrSink",
        "atomic_stats": "curator_core.domains.atoms.filters:AtomicStatsFilter",
        "csv": "curator_core.domains.table.csv_files.sources:CSVSource",
        "cast": "curator_core.filters.casting:CastFilter",
        "anomaly": "curator_core.domains.grid.fields.climatology:AnomalyFilter",
        "climatology": "curator_core.domains.grid.fields.climatology:ClimatologyFilter",
        "crop": "curator_core.domains.grid.operations.cropping:CropFilter",
        "deaccumulation": "curator_core.domains.grid.filters.accumulations:DeaccumulationFilter",
        "derived": "curator_core.domains.grid.fields.derived:DerivedFilter",
        "duplicates": "curator_core.filters.duplicates:DuplicatesFilter",
        "feather": "curator_core.domains.table.sources:FeatherSource",
        "forcings": "curator_core.domains.grid.fields.forcings:ForcingsFilter",
        "grid_zarr": "curator_core.domains.grid.sinks:GridZarrSink",
        "grib": "curator_core.domains.grid.grib.sources:GRIBSource",
        "mesh_zarr": "curator_core.domains.mesh.sinks:MeshZarrSink",
        "mask": "curator_core.domains.grid.operations.masking:MaskFilter",
        "mesh_statistics": "curator_core.domains.mesh.quality.statistics:MeshStatisticsFilter",
        "triangulate": "curator_core.domains.mesh.operations.simplices:TriangulateFilter",
        "tetrahedralise": "curator_core.domains.mesh.operations.simplices:TetrahedraliseFilter",
        "surface": "curator_core.domains.mesh.operations.surfaces:SurfaceFilter",
        "slice": "curator_core.domains.mesh.operations.surfaces:SliceFilter",
        "edges": "curator_core.domains.mesh.operations.surfaces:EdgesFilter",
        "data_location": "curator_core.domains.mesh.operations.data_location:DataLocationFilter",
        "merge_points": "curator_core.domains.mesh.operations.cleaning:MergePointsFilter",
        "clean_cells": "curator_core.domains.mesh.operations.cleaning:CleanCellsFilter",
        "measures": "curator_core.domains.mesh.operations.measures:MeasuresFilter",
        "orient": "curator_core.domains.mesh.operations.measures:OrientFilter",
        "mesh_crop": "curator_core.domains.mesh.operations.cropping:MeshCropFilter",
        "transform": "curator_core.domains.mesh.operations.transforming:TransformFilter",
        "mesh_points": "curator_core.domains.mesh.operations.sampling:MeshPointsFilter",
        "decimate": "curator_core.domains.mesh.operations.decimating:DecimateFilter",
        "mesh_checks": "curator_core.domains.mesh.quality.checks:MeshChecksFilter",
        "names": "curator_core.domains.grid.filters.names:NamesFilter",
        "meshio": "curator_core.domains.mesh.meshio_source:MeshioSource",
        "non_finite": "curator_core.filters.nonfinite:NonFiniteFilter",
        "netcdf": "curator_core.domains.grid.sources:NetCDFSource",
        "netcdf_files": "curator_core.domains.grid.netcdf.sinks:NetCDFSink",
        "netcdf_years": "curator_core.domains.grid.netcdf.year_sinks:NetCDFYearsSink",
        "json_lines": "curator_core.domains.table.json_lines.sources:JSONLinesSource",
        "parquet": "curator_core.domains.table.parquet_files:ParquetSource",
        "parquet_dataset": "curator_core.domains.table.sinks:ParquetSink",
        "permutation": "curator_core.filters.permutation:PermutationFilter",
        "regrid": "curator_core.domains.grid.operations.regridding:RegridFilter",
        "resample": "curator_core.domains.grid.operations.resampling:ResampleFilter",
        "rounding": "curator_core.filters.rounding:RoundingFilter",
        "point_statistics": "curator_core.domains.grid.filters.points:PointStatisticsFilter",
        "sample": "curator_core.sources.sampling:SampleSource",
        "select": "curator_core.filters.selection:SelectFilter",
        "statistics": "curator_core.filters.statistics.filter:StatisticsFilter",
        "tendency_statistics": "curator_core.domains.grid.fields.tendencies:TendencyStatisticsFilter",
        "calendar": "curator_core.domains.grid.filters.calendars:CalendarFilter",
        "thin": "curator_core.domains.grid.operations.thinning:ThinFilter",
        "table_checks": "curator_core.domains.table.checks:TableChecksFilter",
        "table_zarr": "curator_core.domains.table.zarr_arrays.sinks:TableZarrSink",
        "units": "curator_core.filters.units:UnitsFilter",
        "value_checks": "curator_core.filters.checks.filter:ValueChecksFilter",
        "vtk": "curator_core.domains.mesh.sources:VTKSource",
        "vtu_files": "curator_core.domains.mesh.vtk_files:VTUSink",
        "zarr": "curator_core.domains.grid.zarr_stores.sources:ZarrSource",
    }
)
"""Where our own are; those of other packages are declared by entry points."""

components: Registry[Component] = Registry("component", "curator.components", Component, BUILT_IN_COMPONENTS)
"""Sources, filters and sinks by name."""


def register_component(cls: type[K]) -> type[K]:
    """Class decorator: make a component known under its `name`."""
    components.register(cls.component_name(), cls)
    return cls


def imported(reference: str, *, where: str) -> object:
    """What ``module:name`` or ``package.module.name`` names; the module is imported, which runs it.

    Parameters
    ----------
    reference
        The name.
    where
        What asks for it, for messages.

    Raises
    ------
    ConfigError
        There is no such module, or nothing of that name in it.
    MissingDependencyError
        The module needs a package that is not installed.
    """
    module_name, separator, name = reference.partition(":") if ":" in reference else reference.rpartition(".")
    if not (module_name and separator and name):
        raise ConfigError(f"{where}: {reference!r} names nothing that can be imported; write module:name.")
    try:
        found: object = _imported_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except MissingDependencyError:  # says which extra to install
        raise
    except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as exc:
        raise ConfigError(f"{where}: cannot load {reference!r}: {exc}.{_meant(exc)}") from exc
    return found


def _meant(error: Exception) -> str:
    if not isinstance(error, AttributeError) or error.name is None:
        return ""
    near = difflib.get_close_matches(error.name, dir(error.obj), n=3)
    return f" Is {' or '.join(map(repr, near))} meant?" if near else ""


def _imported_module(name: str) -> ModuleType:
    return sys.modules["__main__"] if stable_module_name("__main__") == name else import_module(name)


def stable_module_name(module: str) -> str:
    """The same name in every process, also for the user's own script, which is ``__main__`` in one."""
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules.get(module) or sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name not in ("__main__", "__mp_main__"):
        return str(spec.name.removesuffix(".__main__"))
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else "__main__"
