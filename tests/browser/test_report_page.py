"""A report in a real browser."""

import importlib.util
from pathlib import Path

import pytest

from curator_core import run_pipeline
from curator_core.testing import FaultySource, JsonSink, NumbersSource

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """The report of a run with failures and names that do not fit."""
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("needs matplotlib")
    from curator_core.report import write_report

    folder = tmp_path_factory.mktemp("report") / ("long_folder_name_" * 8)
    folder.mkdir()
    faults = {"000003": ["fail"], "000007": ["fail"]}
    source = FaultySource(NumbersSource(40), str(folder / "log"), faults)
    pipeline = source.write(JsonSink(str(folder / "out"))).with_settings(db_file=folder / "run.db")
    run_pipeline(pipeline, on_error="skip", progress=False)
    write_report(folder / "run.db", folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_is_quiet(browser, page_file, width, scheme):
    """On a telephone and on a screen, light and dark: nothing sticks out, nothing is fetched, nothing is complained."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    fetched, complaints = [], []
    page.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(Path(page_file).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in fetched if not url.startswith("data:")] == [Path(page_file).as_uri()]
    assert complaints == []
    colours = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('svg text')).fill]"
    )
    light = [sum(map(int, colour[4:-1].split(","))) > 384 for colour in colours]
    assert light == ([True, False] if scheme == "light" else [False, True])
    page.close()


def test_tracebacks_unfold_without_scripts(browser, page_file):
    """A traceback is hidden until its item is clicked, also where scripts are off."""
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(Path(page_file).as_uri())
    trace = page.get_by_text("Traceback (most recent call last)").first
    assert not trace.is_visible()
    page.locator("details.failure summary").first.click()
    assert trace.is_visible()
    page.context.close()
