"""The console in a real browser: every page opens, nothing complains, the main numbers are there."""

import re

import pytest

PAGES = ["/", "/tables", "/features", "/runs", "/models", "/endpoints", "/workflows", "/monitors", "/audit", "/api"]


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.complaints.append(f"outside: {request.url}") if "127.0.0.1" not in request.url else None)
    page.on("response", lambda answer: page.complaints.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None)
    yield page
    context.close()


def grouped(number):
    return f"{number:,}"


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_without_complaint(platform, page, path):
    page.goto(platform.url + path, wait_until="networkidle")

    assert page.locator("h1").count() == 1
    assert page.locator("nav a[aria-current]").count() == 1
    assert page.complaints == []


def test_every_link_of_every_page_leads_somewhere(platform, page):
    seen, waiting = set(), list(PAGES)
    while waiting and len(seen) < 120:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        answer = page.goto(platform.url + path)
        assert answer.status == 200, path
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        links = page.eval_on_selector_all("main a[href^='/'], nav a[href^='/']", "all => all.map(a => a.getAttribute('href'))")
        # one of a kind is enough: /runs/ID stands for all runs
        kinds = {re.sub(r"[0-9a-f-]{12,}|\d+", "*", link) for link in seen}
        for link in links:
            if re.sub(r"[0-9a-f-]{12,}|\d+", "*", link) not in kinds:
                waiting.append(link)
    assert page.complaints == []
    assert len(seen) > len(PAGES)


def test_the_overview_shows_the_numbers_of_the_run(platform, page):
    page.goto(platform.url + "/", wait_until="networkidle")

    text = page.locator("main").inner_text()

    assert grouped(platform.report["predictions"]["made"]) in text


def test_tables_show_profile_and_quarantine(platform, page):
    page.goto(platform.url + "/tables/sources.weather", wait_until="networkidle")

    text = page.locator("main").inner_text()

    assert "wind_gust" in text
    assert grouped(platform.report["tables"]["weather"]["rows_quarantined"]) in text


def test_a_model_shows_its_gates_and_lineage(platform, page):
    page.goto(platform.url + "/models/arrival_delay", wait_until="networkidle")

    text = page.locator("main").inner_text()

    assert "champion" in text
    assert f"{platform.report['test']['auc']:.3f}"[:5] in text
    assert page.locator("svg.graph a").count() >= 5


def test_charts_are_drawn_and_each_has_its_table(platform, page):
    page.goto(platform.url + "/monitors/arrival_delay", wait_until="networkidle")

    charts = page.locator("[data-chart]").count()
    assert charts >= 1
    assert page.locator("[data-chart] svg.main-svg").count() >= charts
    assert page.locator("figure details table").count() >= charts


def test_keys_lead_through_the_pages(platform, page):
    page.goto(platform.url + "/", wait_until="networkidle")

    page.keyboard.press("g")
    page.keyboard.press("m")
    page.wait_for_url("**/models")

    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") in {"light", "dark"}


def test_the_api_page_shows_every_operation_and_its_types(platform, page):
    document = platform.json("/api/v1/openapi.json")
    page.goto(platform.url + "/api", wait_until="networkidle")

    text = page.locator("main").inner_text()

    missing = [path for path in document["paths"] if path not in text]
    assert missing == []
    assert page.locator("details.folded").count() == len(document["components"]["schemas"])
    page.get_by_role("link", name="ListOfTableView", exact=True).click()
    assert page.locator("details.folded[open]").inner_text().startswith("ListOfTableView")
    assert page.complaints == []
