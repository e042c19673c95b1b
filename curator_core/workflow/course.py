"""The order of a workflow's steps: which is where, and what follows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from curator_core.workflow.block import CollectArrayResults
from curator_core.workflow.experiments import ExperimentData
from curator_core.workflow.progress import Outline, Place, Progress, WorkflowStatus
from curator_core.workflow.step import Element, Loop, Step


@dataclass(frozen=True)
class Course:
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
        start, found = Place(len(self.before)), Progress.read(job_dir)
        if found is None:
            return Progress(self.name, self.outline, start, WorkflowStatus.RUNNING).at(start)
        found.check_same(self.name, self.outline, job_dir)
        if self.before or found.status is WorkflowStatus.DONE:
            return replace(found, failures=()).at(start)
        return found.at(found.place)

    def step(self, place: Place) -> Step:
        """The step at a place."""
        return steps_of(self._element(place))[place.step]

    def following(self, place: Place, job_dir: Path) -> Place | None:
        """What comes after a place; ``None`` at the end. The condition of a loop is asked."""
        element = self._element(place)
        if place.step + 1 < len(steps_of(element)):
            return replace(place, step=place.step + 1)
        if isinstance(element, Loop) and place.iteration + 1 < element.n_iterations:
            folder = element.steps[-1].folder(job_dir)
            if element.until is None or not element.until(ExperimentData.from_file(folder)):
                return Place(place.element, place.iteration + 1)
        after = Place(place.element + 1)
        return after if after.element - len(self.before) < len(self.elements) else None

    def is_collected_next(self, place: Place) -> bool:
        """Whether the step after a place is there to collect the results of this one."""
        siblings = steps_of(self._element(place))[place.step + 1 :]
        if not isinstance(self._element(place), Loop):
            rest = self.elements[place.element - len(self.before) + 1 :]
            siblings = all_steps(rest[:1])
        return bool(siblings) and isinstance(siblings[0].block, CollectArrayResults)

    def _element(self, place: Place) -> Element:
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
