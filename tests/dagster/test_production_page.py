"""What the page "In production" says, done: its files, its three processes, its alert."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.docs import pages

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "how-to"

pytestmark = [pytest.mark.campaign, pytest.mark.xdist_group("postgres")]


@pytest.fixture
def written(deployment):
    """The page's files, and the pipeline of the page that it refers to."""
    found = pages.blocks(PAGES / "dagster-production.md")
    files = {block.title: block.text for block in found if block.title}
    (files["definitions.py"],) = [
        block.text for block in pages.blocks(PAGES / "dagster-automation.md") if block.title == "definitions.py"
    ]
    port = deployment.port("code")
    for name, text in files.items():
        place = deployment.home if name == "dagster.yaml" else deployment.folder
        (place / name).write_text(text.replace("port: 4000", f"port: {port}"))
    (commands,) = [block.text for block in found if block.language == "sh"]
    return [shlex.split(line, comments=True) for line in commands.splitlines()]


def test_the_page_in_production(deployment, written, new_database):
    """Started as it says, a folder is followed and published; a file that cannot be read raises the alert."""
    from dagster import DagsterInstance

    folder = deployment.folder / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("hello")
    url = new_database()
    own = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "DAGSTER_PG_URL": url}
    ports = {"4000": "code", "3000": "webserver"}
    home = os.environ | own | {"DAGSTER_HOME": str(deployment.home)}
    for command, name in zip(written, ["code", "daemon", "webserver"], strict=True):
        words = [str(deployment.port(ports[word])) if word in ports else word for word in command]
        deployment.start(name, words, own if name == "code" else home)
        deployment.await_port(name)
    published = deployment.folder / "upper" / "000000.txt"
    deployment.wait_for(published.exists, lambda: deployment.log("daemon").read_text()[-3000:])
    assert published.read_text() == "HELLO"
    (folder / "b.txt").write_bytes(b"\xff")
    alerts = deployment.folder / "alerts.txt"
    deployment.wait_for(alerts.exists, lambda: deployment.log("code").read_text()[-3000:])
    assert alerts.read_text().startswith("texts_refresh: ")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DAGSTER_PG_URL", url)
        with DagsterInstance.from_config(str(deployment.home)) as instance:
            assert "curator/curation" in instance.get_runs(limit=1)[0].tags
            assert instance.run_retries_enabled
