"""Fenced blocks of a documentation page, and how to run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')
_STATUS = re.compile(r"\[exit status (\d+)\]$")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    title: str | None
    text: str
    line: int
    section: str
    """The heading above it."""


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    content = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(content):
        title = _TITLE.search(match[2])
        line = content.count("\n", 0, match.start()) + 1
        headings = _HEADING.findall(content, 0, match.start())
        section = headings[-1] if headings else ""
        found.append(Block(match[1], title[1] if title else None, match[3], line, section))
    return found


class Reader:
    """Somebody who follows a page in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CURATOR_CACHE_DIR": str(folder / ".cache"),
            "PYTHONWARNINGS": "ignore",
            "COLUMNS": "120",
            "LC_ALL": "C.UTF-8",
        }
        for name in ("CURATOR_DEMO_DIR", "DAGSTER_HOME", "PYTEST_ADDOPTS"):
            self.environment.pop(name, None)

    def follow(
        self,
        page: Path,
        languages: tuple[str, ...] = ("python", "yaml", "toml", "bash", "console"),
        sections: tuple[str, ...] | None = None,
    ) -> None:
        """Do what a page says, or some of its sections: write and run Python, run commands, compare their output."""
        found = blocks(page)
        commands = "".join(block.text for block in found if block.language == "console")
        for block in found:
            where = f"{page.name}:{block.line}"
            if block.language not in languages or (sections is not None and block.section not in sections):
                continue
            if block.language == "python":
                is_run_later = re.search(rf"^\$ python {re.escape(str(block.title))}\b", commands, re.MULTILINE)
                self._python(block, where, is_run=is_run_later is None)
            elif block.language == "yaml" and block.title is not None:
                (self.folder / block.title).write_text(block.text, encoding="utf-8")
            elif block.language == "toml" and block.title == "pyproject.toml":
                self._install(tomllib.loads(block.text)["project"])
            elif block.language == "bash":
                self._shell(block.text, where)
            elif block.language == "console":
                self._console(block, where)

    def _install(self, project: dict[str, Any]) -> None:
        """Make a package known as ``pip install -e .`` does: by its metadata, on the path of every program."""
        told = self.folder / f"{project['name']}-{project['version']}.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8")
        groups = (
            "\n".join([f"[{group}]", *(f"{name} = {place}" for name, place in entries.items())])
            for group, entries in project["entry-points"].items()
        )
        (told / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
        self.environment["PYTHONPATH"] = str(self.folder)

    def _python(self, block: Block, where: str, *, is_run: bool) -> None:
        script = self.folder / (block.title or f"block_{block.line}.py")
        script.write_text(block.text, encoding="utf-8")
        if not is_run:
            return
        if script.name.startswith("test_"):
            status, output = self._run([sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", script.name])
        else:
            status, output = self._run([sys.executable, script.name])
            if status == -signal.SIGABRT and not output and "icechunk" in block.text:
                # A thread of Icechunk that asks for the interpreter while that exits ends the process, once in some
                # fifty times: all is done by then.
                status, output = self._run([sys.executable, script.name])
        assert status == 0, f"{where} ended with {status}:\n{output}"

    def _shell(self, text: str, where: str) -> None:
        """Run lines whose exported variables hold for the rest of the page."""
        status, output = self._run(["bash", "-euc", f"{text}\nenv -0 > .environment"])
        assert status == 0, f"{where}:\n{output}"
        pairs = (self.folder / ".environment").read_text(encoding="utf-8").split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs if pair)

    def _console(self, block: Block, where: str) -> None:
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            if command.split()[0] in ("make", "pip"):
                continue
            status, output = self._run(["bash", "-c", command])
            lines = shown.strip().splitlines()
            said = _STATUS.search(lines[-1]) if lines else None
            wanted = lines[:-1] if said else lines
            if command.startswith("timeout"):
                assert status in (137, -9), f"{where}: $ {command} ended with {status}:\n{output}"
            else:
                assert status == (int(said[1]) if said else 0), f"{where}: $ {command}\n{output}"
            assert matches(wanted, output), f"{where}: $ {command} printed\n{output}\nThe page shows\n{shown}"

    def _run(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout


def matches(shown: list[str], output: str) -> bool:
    """Whether output is as shown; a line ``...`` stands for any lines, ``...`` within one for anything.

    A command that is shown without output may print what it likes.
    """
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"\n"
        for line in shown
    )
    printed = "".join(f"{line.rstrip()}\n" for line in output.strip().splitlines())
    return not shown or re.fullmatch(pattern, printed) is not None
