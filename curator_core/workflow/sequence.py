"""The order of a workflow's steps: which is where, and what follows it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from curator_core.experiments.data import ExperimentData
from curator_core.workflow.block import CollectArrayResults
from curator_core.workflow.state import Outline, Position, Progress, WorkflowStatus
from curator_core.workflow.step import Element, Loop, Step


@dataclass(frozen=True)
class StepSequence:
    """What is carried out, one step after the other."""

    name: str
    """The workflow's name."""
    elements: Sequence[Element]
    """Its steps and loops."""
    before: tuple[str | list[str], ...] = ()
    """Names of what comes before them and is left out."""

    @property
    def outline(self) -> Outline:
        """Names of all steps."""
        return [*self.before, *map(outlined, self.elements)]

    def progress(self, job_dir: Path) -> Progress:
        """Where to begin, or to go on, in a job's folder.

        Raises
        ------
        ConfigError
            The folder belongs to another workflow.
        """
        start, found = self.first(), Progress.read(job_dir)
        if found is None:
            place = start or Position(len(self.before))
            return Progress(self.name, self.outline, place, WorkflowStatus.RUNNING).at(start)
        found.check_same(self.name, self.outline, job_dir)
        if self.before or found.status is WorkflowStatus.DONE:
            return replace(found, failures=()).at(start)
        return found.at(found.place)

    def first(self, element: int = 0) -> Position | None:
        """The first step from an element on, by its position in the course; ``None`` where there is none."""
        for position, found in enumerate(self.elements[element:], start=len(self.before) + element):
            if steps_of(found) and not (isinstance(found, Loop) and found.n_iterations == 0):
                return Position(position)
        return None

    def step(self, place: Position) -> Step:
        """The step at a place, under a name that no other one has: ``fit`` or, for the next of that name, ``fit-2``."""
        step = steps_of(self._element(place))[place.step]
        at = sum(len(names) if isinstance(names, list) else 1 for names in self.outline[: place.element]) + place.step
        name = unique_names(flat(self.outline))[at]
        if name != step.name:
            step = copy.copy(step)
            object.__setattr__(step, "name", name)
        return step

    def following(self, place: Position, job_dir: Path) -> Position | None:
        """What comes after a place; ``None`` at the end. The condition of a loop is asked."""
        element = self._element(place)
        if place.step + 1 < len(steps_of(element)):
            return replace(place, step=place.step + 1)
        if isinstance(element, Loop) and place.iteration + 1 < element.n_iterations:
            folder = element.steps[-1].folder(job_dir)
            if element.until is None or not element.until(ExperimentData.from_file(folder)):
                return Position(place.element, place.iteration + 1)
        return self._after(place)

    def after_failure(self, place: Position, job_dir: Path) -> Position | None:
        """What comes although the step at a place failed; ``None`` where the next one needs it, or there is none."""
        element, candidates = self._element(place), [self._after(place)]
        if place.step + 1 < len(steps_of(element)):
            candidates = [replace(place, step=place.step + 1)]
        elif isinstance(element, Loop) and place.iteration + 1 < element.n_iterations:
            candidates.append(Position(place.element, place.iteration + 1))
        if not any(map(self._is_independent, candidates)):
            return None  # without asking a condition, of a table that may not be there
        following = self.following(place, job_dir)
        return following if self._is_independent(following) else None

    def is_collected_next(self, place: Position) -> bool:
        """Whether the step after a place is there to collect the results of this one."""
        siblings = steps_of(self._element(place))[place.step + 1 :]
        if not isinstance(self._element(place), Loop):
            after = self._after(place)
            siblings = [] if after is None else steps_of(self._element(after))
        return bool(siblings) and isinstance(siblings[0].block, CollectArrayResults)

    def _is_independent(self, place: Position | None) -> bool:
        return place is not None and self.step(place).dependency == "afterany"

    def _after(self, place: Position) -> Position | None:
        return self.first(place.element - len(self.before) + 1)

    def _element(self, place: Position) -> Element:
        return self.elements[place.element - len(self.before)]


def steps_of(element: Element) -> Sequence[Step]:
    """The steps of a loop, or a step itself."""
    return element.steps if isinstance(element, Loop) else [element]


def all_steps(elements: Iterable[Element]) -> list[Step]:
    """The steps of several, in order."""
    return [step for element in elements for step in steps_of(element)]


def outlined(element: Element) -> str | list[str]:
    """The names of its steps."""
    return [step.name for step in element.steps] if isinstance(element, Loop) else element.name


def flat(outline: Outline) -> list[str]:
    """The names of all steps, in order."""
    return [name for names in outline for name in (names if isinstance(names, list) else [names])]


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of which no two are the same: the second ``fit`` is ``fit-2``."""
    taken, found = set(names), list[str]()
    for name in names:
        unique = name
        if name in found:
            unique = next(other for n in itertools.count(2) if (other := f"{name}-{n}") not in taken)
            taken.add(unique)
        found.append(unique)
    return found
