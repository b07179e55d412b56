"""The report is opened as a person opens it: in a browser, from a file, with no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from borne import frontier as frontier_of
from borne import judgement
from plan_of_the_house import ROOT
from sets import small_set

from evop.reference import model_dir
from evop.report.frontier_page import frontier_page
from evop.stages.audit import audit
from evop.stages.search import search

SECTIONS = ("verdict", "groups", "pattern", "needs", "search", "map", "size", "again")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two short searches, one of them of a channel's grain, and their audit on text and questions, timed."""
    place = tmp_path_factory.mktemp("report")
    sizes = {"passages": 3, "audit_passages": 2, "items": 12, "select_items": 8, "audit_items": 8}
    built = small_set(continuations=["math_word"], **sizes)
    built.save(place / "set")
    how = {"device": "cpu", "dtype": "float32"}
    options = {**how, "deploy": "any", "max_tokens": 96, "min_group_tokens": 50}
    for name, grain in {"blocks": "subblock", "channels": "channel"}.items():
        search(model_dir(), built, place / name, grain=grain, strategy="random", evaluations=6, remove=0.15, **options)
    audit(model_dir(), place / "set", [place / "blocks", place / "channels"], place / "audit", random_patterns=4, **how)
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
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


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
    assert "random patterns of this size, the worst group loses" in opened.find_element("id", "verdict").text


def test_tables_are_sorted_by_their_heads(opened):
    table = "#verdict .table:nth-of-type(1) table"
    for expected in ("descending", "ascending"):
        head = opened.find_elements("css selector", f"{table} th")[2]
        head.find_element("tag name", "button").click()
        assert head.get_attribute("aria-sort") == expected
        worst = [float(text.split()[0]) for text in columns(opened, table, 2)]
        assert worst == sorted(worst, reverse=expected == "descending")
    opened.find_elements("css selector", f"{table} th button")[1].click()
    names = columns(opened, table, 1)
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


def test_a_table_wider_than_a_phone_scrolls_and_shows_it(opened):
    opened.set_window_size(390, 1000)
    opened.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    tables = opened.find_elements("css selector", "#groups .table")
    assert tables
    for table in tables:
        assert int(table.get_property("scrollWidth")) > int(table.get_property("clientWidth"))
        assert table.value_of_css_property("overflow-x") == "auto"
        assert table.value_of_css_property("background-image").count("linear-gradient") == 4


def test_the_page_says_which_model_and_pattern_in_a_readers_words(opened, report):
    road = report.parent.parent.name
    assert opened.find_element("tag name", "h1").text == "Who pays for pruning reference/model"
    subtitle = opened.find_element("css selector", ".sub").text
    assert subtitle.startswith(f"The pattern of {road}/blocks: 15% of the blocks' parameters, grain subblock, ")
    opened.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")
    words = opened.find_element("tag name", "body").text
    assert "questions" in words
    assert "item" not in words.replace(str(report.parent.parent), "")


def test_the_verdict_is_that_of_the_numbers(report):
    numbers = json.loads((report.parent / "audit.json").read_text())
    first = numbers["patterns"][0]["name"]
    row = next(r for r in numbers["summary"] if (r["pattern"], r["split"], r["kind"]) == (first, "audit", "text"))
    label = next(r["label"] for r in numbers["groups"] if r["group"] == row["worst_group"])
    html = report.read_text()
    assert f"The group that pays most is {label}: it lost {row['worst_measured']:.3f} nats per token" in html
    assert f"the worst group is estimated to lose {row['worst']:.3f}" in html
    assert (report.parent / "speed.json").is_file()


RENDER = """
import shlex, sys
from pathlib import Path
from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile
from evop.reference import model_dir
from evop.report import page
from evop.timing.speed_file import SpeedFile

place = Path(sys.argv[1])
runs = {name: place / name for name in ("blocks", "channels")}
words = ["evop", "audit", "--model", str(model_dir()), "--calibration", str(place / "set")]
words += [word for run in runs.values() for word in ("--pattern", str(run))]
words += ["--random-patterns", "4", "--device", "cpu", "--dtype", "float32", "--out", str(place / "audit")]
audit, speed = AuditFile.find(place / "audit"), SpeedFile.read(place / "audit" / "speed.json")
html = page(audit, CalibrationSet.load(place / "set"), runs, speed, shlex.join(words))
sys.stdout.buffer.write(html.encode())
"""


def test_the_files_of_an_audit_give_its_page_in_another_process(report):
    """What is in the page comes from the disk, times included, and not from an order that differs by process."""
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RENDER, str(report.parent.parent)]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == report.read_bytes()


@pytest.fixture(scope="module")
def frontier(tmp_path_factory):
    """A frontier of two budgets, of which one is too much."""
    points = {"0.10": judgement({"law": 0.5}), "0.20": judgement({"law": 0.5, "sums": 2.0})}
    file = frontier_of({name: {"masked": judged} for name, judged in points.items()})
    place = tmp_path_factory.mktemp("frontier") / "frontier.html"
    place.write_text(frontier_page(file))
    return place


def test_a_point_of_the_frontier_is_clicked_and_says_its_groups(browser, frontier):
    browser.get("about:blank")  # what a new tab of the browser fetches is none of ours
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(frontier.as_uri())
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {frontier.as_uri()}
    assert browser.get_log("browser") == []
    assert columns(browser, "#groups table", 0) == ["law/0 <words>"]
    browser.find_element("css selector", "circle[data-name='0.20']").click()
    assert columns(browser, "#groups table", 0) == ["sums/0 <words>", "law/0 <words>"]
    assert "--pattern RUN@0.20 " in browser.find_element("id", "command").text
    assert "10.0% removed: law/0 <words>" in browser.execute_script(
        "return document.querySelector('circle title').textContent"
    )


def test_the_panels_of_the_domains_choose_points_too(browser, frontier):
    browser.get(frontier.as_uri())
    panels = browser.find_element("css selector", "#domains svg")
    assert {"law", "sums", "0.1", "3"} <= {text.text for text in panels.find_elements("css selector", "text")}
    chosen = "return [...document.querySelectorAll('#domains .chosen')].map(e => e.id)"
    assert browser.execute_script(chosen) == ["point:0.10:law:text:0"]
    dot = browser.find_element("id", "point:0.20:law:text:0")
    browser.execute_script("arguments[0].dispatchEvent(new MouseEvent('click'))", dot)
    assert set(browser.execute_script(chosen)) == {"point:0.20:law:text:0", "point:0.20:sums:item:0"}
    assert browser.find_element("id", "named").text == "20.0% removed"
