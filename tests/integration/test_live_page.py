"""The live page of a running process, in a real browser."""

import json
import re
import socket
import time
from contextlib import ExitStack

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.browser import chromium
from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.endpoint import answers, ask
from tests.support.numbered import fill_kafka, numbered
from tests.support.ports import LOOPBACK, ReservedPort
from tests.support.topics import TopicWriter, create_topic, end_offsets

pytestmark = pytest.mark.integration

TOKEN = "control-token-0123456789"
PARTITIONS = 3
RECORDS = 1_000
PLENTY = 300
PHONE = {"width": 320, "height": 640}
MARKUP = "<img src=x onerror=alert(1)>"
SOURCE, SINK = "source orders", "sink replica"


class Running:
    """A source `orders` and a sink `replica` that carry a Kafka topic through Rivven to another one."""

    def __init__(self, kafka, rivven, directory):
        self.kafka = kafka.bootstrap
        self.origin, self.middle, self.copy = (f"page-{time.time_ns()}-{part}" for part in ("a", "b", "c"))
        fill_kafka(self.kafka, self.origin, PARTITIONS, RECORDS)
        create_topic(self.kafka, self.copy, PARTITIONS)
        raw = {"value_format": "raw"}
        source = source_file(
            self.kafka, rivven.bootstrap, self.origin, self.middle, f"g-{self.origin}", **raw
        )
        sink = sink_file(self.kafka, rivven.bootstrap, self.middle, self.copy, f"g-{self.middle}", **raw)
        self.port = ReservedPort()
        self.address = self.port.address
        document = {
            **source,
            "sources": {"orders": source["sources"]["in"]},
            "sinks": {"replica": sink["sinks"]["out"]},
            "settings": {"health": {"enabled": True, "port": self.port.number}, "control": {"token": TOKEN}},
        }
        self.process = Connector(directory, document)

    def add(self, count):
        with TopicWriter(self.kafka, self.origin, PARTITIONS) as writer:
            for partition in range(PARTITIONS):
                writer.write(partition, numbered(partition, range(RECORDS, RECORDS + count)))

    def copied(self):
        return sum(end_offsets(self.kafka, self.copy).values())

    def status(self, title):
        direction, _, name = title.partition(" ")
        return next(
            each for each in ask(self.address, "/status").json[f"{direction}s"] if each["name"] == name
        )

    def caught_up(self):
        return all(self.status(title)["lag"]["total"] == 0 for title in (SOURCE, SINK))


@pytest.fixture(scope="module")
def running(kafka, rivven, tmp_path_factory):
    running = Running(kafka, rivven, tmp_path_factory.mktemp("page"))
    with running.port, running.process as process:
        wait_until(lambda: answers(running.address, "/ready"), 60, process.log_tail)
        wait_until(lambda: running.copied() == PARTITIONS * RECORDS, 30, process.log_tail)
        yield running
        assert process.stop() == 0, process.log_tail()
        log = process.log()
        assert TOKEN not in log
        assert "Traceback" not in log


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser):
    """Opens the page of an address; it asks for nothing elsewhere, and nothing goes wrong in it."""
    problems, requests = [], []
    with ExitStack() as stack:

        def open_page(address, scheme="light", viewport=None, before=None):
            viewport = viewport or {"width": 1280, "height": 900}
            context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
            stack.callback(context.close)
            context.set_default_timeout(10_000)
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("dialog", lambda dialog: problems.append(dialog.message))
            # The console tells of answers that are no success, which some tests are about.
            page.on(
                "console",
                lambda message: "Failed to load resource" in message.text or problems.append(message.text),
            )
            page.on("request", lambda request: requests.append((address, request.url)))
            if before:
                before(page)
            page.goto(f"http://{address}/")
            return page

        yield open_page
    assert problems == []
    for address, url in requests:
        assert url.startswith((f"http://{address}/", "data:image/svg+xml,"))
        assert TOKEN not in url


def card(page, title):
    return page.locator(f".card[data-connector='{title}']")


def shown(page, title):
    """The texts of a card by their name, and the rows of its table."""
    return card(page, title).evaluate(
        """(card) => ({
            ...Object.fromEntries([...card.querySelectorAll("[data-is]")].map((e) => [e.dataset.is, e.textContent])),
            rows: [...card.querySelectorAll("tbody tr")].map((row) => [...row.children].map((e) => e.textContent)),
        })"""
    )


def number(text):
    return int(text.replace(",", ""))


def expect_part(page, title, part):
    return expect(card(page, title).locator(f"[data-is='{part}']"), f"{part} of {title}")


def expect_live(page):
    expect(page.locator("#link")).to_have_text("Live", timeout=15_000)


def expect_accessible(page):
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_the_numbers_are_those_of_the_status(running, open_page):
    wait_until(running.caught_up, 30, running.process.log_tail)
    page = open_page(running.address)
    expect_live(page)
    expect(page.locator("h1")).to_have_text("rivven-kafka")
    report = ask(running.address, "/status").json
    expect(page.locator("#process")).to_contain_text(f"{report['version']} · up ")
    expect(page.locator("#process")).to_contain_text(f"process {report['pid']}")
    expect(page.locator("#health")).to_have_text("healthy")
    assert page.title() == "healthy - rivven-kafka"
    for title in (SOURCE, SINK):
        card(page, title).locator("summary").click()
        expect(card(page, title).locator("tbody tr")).to_have_count(PARTITIONS)
        status, texts = running.status(title), shown(page, title)
        assert texts["name"] == status["name"]
        assert texts["state"] == status["status"] == "running"
        assert number(texts["events"]) == status["events_processed"] == PARTITIONS * RECORDS
        assert number(texts["lag"]) == status["lag"]["total"] == 0
        assert number(texts["errors"]) == status["errors_count"]
        assert number(texts["restarts"]) == status["restarts"] == 0
        assert [[row[0], *map(number, row[1:5])] for row in texts["rows"]] == [
            [each["topic"], each["partition"], each["position"], each["end"], each["records"]]
            for each in status["lag"]["partitions"]
        ]
        assert card(page, title).locator("[data-is=error]").is_hidden()


def test_anybody_can_read_it(running, open_page):
    for scheme in ("light", "dark"):
        for viewport in (None, PHONE):
            page = open_page(running.address, scheme, viewport)
            expect_live(page)
            card(page, SOURCE).locator("summary").click()
            expect_accessible(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        card(page, SOURCE).get_by_role("button", name="Pause source orders").click()
        expect(page.get_by_role("dialog", name="Pause source orders")).to_be_visible()
        expect_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    assert running.status(SOURCE)["paused"] is False


@pytest.mark.symptom("The live page shows no buttons that work.")
def test_pause_with_the_keyboard_alone(running, open_page):
    page = open_page(running.address)
    expect_live(page)
    pause = card(page, SOURCE).get_by_role("button", name="Pause source orders")
    for _ in range(20):
        page.keyboard.press("Tab")
        if pause.evaluate("(node) => node === document.activeElement"):
            break
    page.keyboard.press("Enter")
    field = page.get_by_label("Control token")
    expect(field).to_be_focused()
    assert field.get_attribute("type") == "password"
    for wrong, answer in (("wrong", "Refused (403): wrong token."), ("ключ", "Not sent: that is no token.")):
        page.keyboard.type(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(answer)
        expect(field).to_be_focused()
    assert running.status(SOURCE)["paused"] is False
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect_part(page, SOURCE, "answer").to_have_text("Told to pause.")
    expect_part(page, SOURCE, "state").to_have_text("paused")
    resume = card(page, SOURCE).get_by_role("button", name="Resume source orders")
    expect(resume).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text("source orders: paused")
    assert running.status(SOURCE)["status"] == "paused"

    # It really reads nothing.
    before = running.copied()
    running.add(7)
    expect_part(page, SOURCE, "lag").to_have_text(str(7 * PARTITIONS), timeout=20_000)
    expect(card(page, SOURCE).locator("summary")).to_have_text("3 partitions, 3 behind")
    time.sleep(1)
    assert running.copied() == before
    assert running.status(SOURCE)["lag"]["total"] == 7 * PARTITIONS

    # The token is known from now on, and nowhere in the document.
    assert TOKEN not in page.content() + page.url
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    page.keyboard.press("Enter")
    expect_part(page, SOURCE, "state").to_have_text("running")
    wait_until(lambda: running.copied() == before + 7 * PARTITIONS, 30, running.process.log_tail)
    expect_part(page, SOURCE, "lag").to_have_text("0", timeout=20_000)
    expect_part(page, SINK, "events").to_have_text(f"{running.status(SINK)['events_processed']:,}")

    page.get_by_role("button", name="Forget the token").click()
    restart = card(page, SINK).get_by_role("button", name="Restart sink replica")
    restart.click()
    expect(page.get_by_role("dialog", name="Restart sink replica")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    assert "restart, as asked" not in running.process.log()
    restart.click()
    field.fill(TOKEN)
    page.get_by_role("button", name="Restart", exact=True).click()
    expect_part(page, SINK, "answer").to_have_text("Told to restart.")
    wait_until(
        lambda: "restart, as asked connector=replica" in running.process.log(), 20, running.process.log_tail
    )


def listens(running, stack):
    """Whether there is a place at the events for one more; it is kept until the end of the stack."""
    other = stack.enter_context(socket.create_connection((LOOPBACK, running.port.number)))
    other.sendall(b"GET /events HTTP/1.1\r\n\r\n")
    return other.recv(12) != b"HTTP/1.0 503"


def test_without_events_the_status_is_asked_for(running, open_page):
    with ExitStack() as stack:
        # Twice: the places of tabs that were closed just now are free a few seconds later.
        for pause_s in (3, 0):
            while listens(running, stack):
                pass
            time.sleep(pause_s)
        page = open_page(running.address)
        expect(page.locator("#link")).to_have_text("Asking every 2 seconds")
        expect_part(page, SOURCE, "events").to_have_text(f"{running.status(SOURCE)['events_processed']:,}")
        uptime = page.locator("#process").text_content()
        expect(page.locator("#process")).not_to_have_text(uptime)
    # The next test wants one of the places, which are free when they are written to in vain.
    with ExitStack() as stack:
        wait_until(lambda: listens(running, stack), 15)


def test_a_tab_that_nobody_sees_leaves_the_connection_to_others(running, open_page):
    page = open_page(running.address)
    expect_live(page)
    # Without a window all tabs count as seen.
    turn = """(hidden) => {
        Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
        page.evaluate(turn, True)
    with page.expect_request("**/status"):
        pass
    expect(page.locator("#link")).to_have_text("Live")
    with page.expect_request("**/events"):
        page.evaluate(turn, False)
    expect_live(page)


def made_up(report, partitions):
    """The report of a process that has been given hostile texts, and many partitions."""
    [source] = report["sources"]
    each = {"position": 1_000_000, "end": 1_000_500, "seconds": 2.5}
    topics = (f"{MARKUP}-{n % 3}" for n in range(partitions))
    source["lag"] = {
        "total": 500 * partitions,
        "partitions": [
            {"topic": topic, "partition": n, "records": n * 7 % 500, **each} for n, topic in enumerate(topics)
        ],
    }
    source |= {
        "name": MARKUP,
        "status": "restarting",
        "last_error": f"{MARKUP}\n</p><script>alert(2)</script>" + "x" * 500,
        "waiting_for": MARKUP,
        "caught_up": False,
        "latency": {"p50_seconds": 0.0042, "p99_seconds": 1.25, "count": 9},
        "rate": {"records_per_second": 1234.5, "bytes_per_second": 5_600_000},
        "stalled": [
            {
                "topic": MARKUP,
                "partition": 0,
                "since": source["since"],
                "reason": MARKUP,
                "position": 1,
                "end": 2,
            }
        ],
    }
    return report


def test_texts_stay_texts_and_many_partitions_are_usable(running, open_page):
    report = json.dumps(made_up(ask(running.address, "/status").json, PLENTY))

    def before(page):
        page.route("**/events", lambda route: route.fulfill(status=503))
        page.route("**/status", lambda route: route.fulfill(body=report, content_type="application/json"))

    page = open_page(running.address, viewport=PHONE, before=before)
    title = f"source {MARKUP}"
    expect_part(page, title, "name").to_have_text(MARKUP)
    texts = shown(page, title)
    assert texts["error-text"] == json.loads(report)["sources"][0]["last_error"]
    assert (texts["rate"], texts["bytes"], texts["p50"], texts["p99"]) == (
        "1,235",
        "5.6 MB/s",
        "4.2 ms",
        "1.3 s",
    )
    assert (texts["lag"], texts["lag-time"]) == (f"{500 * PLENTY:,}", "2.5 s behind")
    assert (texts["state"], texts["summary"]) == (
        "restarting, 1 stalled",
        f"{PLENTY} partitions, {PLENTY - 1} behind",
    )
    assert page.locator("img, main script").count() == 0
    assert texts["rows"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    card(page, title).locator("summary").click()
    rows = card(page, title).locator("tbody tr")
    expect(rows).to_have_count(PLENTY)
    assert rows.first.locator("th").text_content() == f"{MARKUP}-0"
    # What does not change is not written again: a row that is marked by hand stays as it is.
    rows.nth(5).evaluate("(row) => { row.marked = true; }")
    card(page, title).get_by_role("button", name="Lag", exact=True).click()
    expect(card(page, title).locator("th[aria-sort]")).to_have_text("Lag")
    lags = [number(row[4]) for row in shown(page, title)["rows"]]
    assert lags == sorted(lags, reverse=True)
    assert page.evaluate("[...document.querySelectorAll('tbody tr')].filter((row) => row.marked).length") == 1

    page.get_by_label("Filter").fill(f"{MARKUP}-1:4")
    expect(rows).to_have_count(sum(str(n).startswith("4") and n % 3 == 1 for n in range(PLENTY)))
    expect(page.locator("#shown")).to_have_text("1 of 2 connectors")
    expect(card(page, SINK)).to_be_hidden()
    expect_accessible(page)
    page.get_by_label("Filter").fill("replica")
    expect(card(page, SINK)).to_be_visible()
    expect(card(page, title)).to_be_hidden()
    page.get_by_label("Filter").fill("no such thing")
    expect(page.locator("#nothing")).to_have_text("No connector and no topic is called so.")


def test_a_lag_that_is_known_in_part_is_not_shown_as_all_of_it(running, open_page):
    report = ask(running.address, "/status").json
    [source] = report["sources"]
    each = {"topic": "t", "position": 5, "end": 5, "seconds": None, "committed": 5}
    lags = [0, None, None]
    partitions = [{**each, "partition": n, "records": lag} for n, lag in enumerate(lags)]
    source |= {"caught_up": None, "lag": {"total": 0, "partitions": partitions}}
    body = json.dumps(report)

    def before(page):
        page.route("**/events", lambda route: route.fulfill(status=503))
        page.route("**/status", lambda route: route.fulfill(body=body, content_type="application/json"))

    page = open_page(running.address, before=before)
    expect_part(page, SOURCE, "lag").to_have_text("≥ 0")
    expect_part(page, SOURCE, "lag-part").to_have_text("at least: 2 partitions not known")
    assert (
        card(page, SOURCE).locator("dd:has([data-is=lag])").get_attribute("title")
        == "Not known: 2 partitions of 3"
    )
    expect_part(page, SINK, "lag-part").to_have_text("")
    assert card(page, SINK).locator("dd:has([data-is=lag])").get_attribute("title") == ""
    expect_accessible(page)


def test_errors_are_shown_and_the_page_outlives_the_process(rivven, topic_name, tmp_path, open_page):
    # A name is text, too. Nobody answers as Kafka there.
    document = sink_file(f"{LOOPBACK}:1", rivven.bootstrap, topic_name(), "to", "g", request_timeout_ms=500)
    document["sinks"] = {MARKUP: document["sinks"]["out"]}
    with ReservedPort() as port:
        document["settings"] = {"health": {"enabled": True, "port": port.number}}
        process = Connector(tmp_path, document)
        with process:
            wait_until(lambda: answers(port.address, "/live"), 60, process.log_tail)
            page = open_page(port.address)
            title = f"sink {MARKUP}"
            expect_part(page, title, "state").to_have_text("restarting", timeout=20_000)
            expect_part(page, title, "reason").to_have_text(re.compile(r"Next start in \d+ s"))
            [sink] = ask(port.address, "/status").json["sinks"]
            assert "127.0.0.1:1" in sink["last_error"]
            expect_part(page, title, "error-text").to_have_text(sink["last_error"])
            expect(page.locator("#health")).to_have_text("unhealthy")
            # There is no token.
            assert page.get_by_role("button", name=re.compile("Pause|Restart")).count() == 0
            expect(page.locator("#control")).to_contain_text("settings.control.token")
            expect_accessible(page)
            first = process.pid
            process.kill()
            expect(page.locator("#link")).to_contain_text("No answer since", timeout=15_000)
            process.start()
            expect_live(page)
            expect(page.locator("#process")).to_contain_text(f"process {process.pid}")
            assert process.pid != first
            # A page that listens holds nothing up.
            process.stop(10)
