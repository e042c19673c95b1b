"""Commands of other packages come in by entry point."""

import pytest

COMMANDS = """
import click

@click.command()
@click.option("--times", default=1)
def greet(times):
    'Say hello.'
    click.echo("hello " * times)
    if times > 2:
        raise RuntimeError("out of breath")

@click.command()
def loud():
    'Log.'
    import logging
    logging.getLogger("curator").info("heard")
"""


@pytest.fixture
def plugin(folder, monkeypatch):
    """A package with commands: two that work, one whose library is missing, one that is no command."""
    site = folder / "site"
    info = site / "curator_fake-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: curator-fake\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[curator.commands]\n"
        "greet = fake_commands:greet\n"
        "loud = fake_commands:loud\n"
        "needy = fake_needy:command [extra]\n"
        "odd = fake_commands:COMMANDS\n"
        "run = fake_commands:greet\n"
    )
    (site / "fake_commands.py").write_text(COMMANDS + "\nCOMMANDS = 1\n")
    (site / "fake_needy.py").write_text("open('imported', 'w').close()\nimport no_such_library\n")
    from curator_core.cli import cli

    cli.__dict__.pop("_foreign", None)
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    yield site
    cli.__dict__.pop("_foreign", None)


def test_command_runs(executable, plugin):
    """A command of another package runs like curator's own."""
    result = executable("greet", "--times", "2")
    assert (result.code, result.out) == (0, "hello hello \n")


def test_help_lists_it(curator, plugin):
    """It is listed with its help."""
    assert "  greet       Say hello.\n" in curator("--help").out


def test_broken_command_is_listed_as_unavailable(curator, plugin):
    """One whose library is missing is listed with what to install, and the others are still there."""
    out = " ".join(curator("--help").out.split())
    assert "needy (unavailable: it needs no_such_library," in out
    assert "run Process the items of PIPELINE." in out


def test_broken_command_is_one_line_when_invoked(executable, plugin):
    """Invoking it says in one line what is missing, whatever its options."""
    result = executable("needy", "--whatever", "5")
    assert result.code == 2
    (line,) = [line for line in result.err.splitlines() if line.startswith("error:")]
    assert line == (
        "error: The command 'needy' of curator-fake is unavailable: it needs no_such_library, which is not installed. "
        "Install it with: pip install 'curator-fake[extra]'"
    )


def test_what_is_no_command_is_refused(curator, plugin):
    """An entry point that gives something else says so."""
    result = curator("odd")
    assert result.code == 2
    assert "fake_commands:COMMANDS is no click command" in result.err


def test_not_imported_unless_asked_for(curator, plugin, folder):
    """Other packages are not imported for a command of curator's own."""
    curator("backends")
    assert not (folder / "imported").exists()


def test_errors_are_one_line(curator, plugin):
    """An error in such a command is one line, too."""
    result = curator("greet", "--times", "3")
    assert result.err.splitlines()[-1] == "error: unexpected RuntimeError: out of breath (--traceback shows where)"


def test_common_options_are_accepted(curator, plugin):
    """--traceback and --verbose work there, too."""
    assert "Traceback" in curator("greet", "--times", "3", "--traceback").err
    assert curator("loud", "-v").err.endswith(" heard\n")


def test_curators_own_command_wins(curator, plugin):
    """A command of a name that curator uses itself is ignored, with a warning."""
    assert "warning: the command 'run' of curator-fake is ignored" in curator("loud").err
