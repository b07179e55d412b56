"""The report is opened as a person opens it: in a browser, from a file, with no network."""

from __future__ import annotations

import json
import shutil

import pytest
from sets import small_set

from evop.reference import model_dir
from evop.stages.audit import audit
from evop.stages.search import search

SECTIONS = ("verdict", "groups", "pattern", "needs", "search", "map", "size", "again")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A search of text, one of a channel's grain, their audit on text and questions, timed."""
    place = tmp_path_factory.mktemp("report")
    built = small_set(continuations=["math_word"], items=24, select_items=8, audit_items=12)
    options = {"device": "cpu", "dtype": "float32", "max_tokens": 96, "min_group_tokens": 50}
    for name, more in {
        "blocks": {"strategy": "greedy"},
        "channels": {"grain": "channel", "strategy": "random"},
    }.items():
        search(model_dir(), built, place / name, evaluations=40, deploy="any", remove=0.15, **more, **options)
    audit(model_dir(), built, [place / "blocks", place / "channels"], place / "audit", device="cpu", dtype="float32")
    return place / "audit" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium here: install Debian's chromium and chromium-driver to see the report opened")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync")
    quiet += ("disable-background-networking", "disable-component-update", "window-size=1100,1400")
    for word in (*quiet, f"user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture
def opened(browser, report):
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(report.as_uri())
    return browser


def columns(browser, table, column):
    cells = f"return [...document.querySelectorAll('{table} tbody tr')].map(r => r.cells[{column}].textContent)"
    return browser.execute_script(cells)


def test_nothing_is_fetched_and_nothing_goes_wrong(opened, report):
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}
    assert opened.get_log("browser") == []
    html = report.read_text()
    assert "src=" not in html
    assert "@import" not in html


def test_every_section_is_there_and_says_something(opened):
    for name in SECTIONS:
        section = opened.find_element("id", name)
        assert section.find_element("tag name", "h2").text
        assert len(section.text) > 40
    assert len(opened.find_elements("css selector", "figure svg")) >= 7
    assert all(figure.text.strip() for figure in opened.find_elements("css selector", "figure"))
    links = [link.get_attribute("href").partition("#")[2] for link in opened.find_elements("css selector", "nav a")]
    assert tuple(links) == SECTIONS
    assert "would have lost" in opened.find_element("id", "verdict").text


def test_tables_are_sorted_by_their_heads(opened):
    table = "#verdict table"
    for expected in ("descending", "ascending"):
        head = opened.find_elements("css selector", f"{table} th")[4]
        head.find_element("tag name", "button").click()
        assert head.get_attribute("aria-sort") == expected
        found = [float(text) for text in columns(opened, table, 4)]
        assert found == sorted(found, reverse=expected == "descending")
    opened.find_elements("css selector", f"{table} th button")[0].click()
    names = columns(opened, table, 0)
    assert names == sorted(names, reverse=True)


def test_one_domain_is_shown_alone(opened):
    count = (
        "return [...document.querySelectorAll('[id^=\"group:\"]')].filter(e => !e.classList.contains('gone')).length"
    )
    everything = opened.execute_script(count)
    opened.find_element("css selector", "#domain option:nth-child(2)").click()
    assert 0 < opened.execute_script(count) < everything
    opened.find_element("css selector", "#domain option:nth-child(1)").click()
    assert opened.execute_script(count) == everything


@pytest.mark.parametrize("width", [390, 1100])
def test_the_page_itself_never_scrolls_sideways(opened, width):
    opened.set_window_size(width, 1000)
    wide = opened.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1]


def test_the_verdict_is_that_of_the_numbers(report):
    found = json.loads((report.parent / "audit.json").read_text())
    first = found["patterns"][0]["name"]
    row = next(r for r in found["summary"] if (r["pattern"], r["split"], r["kind"]) == (first, "audit", "text"))
    label = next(r["label"] for r in found["groups"] if r["group"] == row["worst_group"])
    html = report.read_text()
    assert f"The group that pays most is {label}: it lost {row['worst']:.3f} nats a token" in html
    assert (report.parent / "speed.json").is_file()


def test_the_same_audit_gives_the_same_page(report, tmp_path):
    """But for what was timed."""
    from calibration import CalibrationSet
    from evop.auditing.audit_file import AuditFile
    from evop.report.page import page

    built = small_set(continuations=["math_word"], items=24, select_items=8, audit_items=12)
    file, runs = AuditFile.find(report.parent), {"blocks": report.parent.parent / "blocks"}
    assert isinstance(built, CalibrationSet)
    assert page(file, built, runs) == page(file, built, runs)
