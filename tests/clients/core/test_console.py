"""The console in a real browser: every page opens, nothing complains, the main numbers are there."""

import re
import urllib.request

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


@pytest.mark.parametrize(
    "printed, leads_to",
    [
        ("/#/experiments/1/runs/0199aaaa", "/runs/0199aaaa"),
        ("/#/experiments/1", "/runs?experiment=1"),
        ("/#/models/arrival_delay/versions/1", "/models/arrival_delay"),
    ],
)
def test_addresses_that_mlflows_client_prints_lead_to_our_pages(platform, page, printed, leads_to):
    page.goto(platform.url + printed)

    page.wait_for_url(platform.url + leads_to)


def test_the_profile_of_a_table_fits_a_usual_screen(platform, page):
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(platform.url + "/tables/sources.weather", wait_until="networkidle")

    hidden = page.evaluate("(() => { const s = document.querySelector('#profile').parentElement; return s.scrollWidth - s.clientWidth })()")
    assert hidden <= 0


def test_the_page_of_a_clients_run_shows_what_was_logged(platform, page):
    def mlflow(call, body):
        return platform.post(f"/api/2.0/mlflow/{call}", body)

    experiment = mlflow("experiments/create", {"name": "owls at night"})["experiment_id"]
    started = {"experiment_id": experiment, "run_name": "brave-owl-7", "start_time": 1_790_000_000_000}
    run = mlflow("runs/create", started)["run"]["info"]["run_id"]
    metric = {"run_id": run, "key": "my_score", "value": 0.4567, "timestamp": 1_790_000_000_000, "step": 0}
    mlflow("runs/log-metric", metric)
    mlflow("runs/set-tag", {"run_id": run, "key": "mlflow.note.content", "value": "Tries a deeper tree"})
    mlflow("runs/set-tag", {"run_id": run, "key": "team", "value": "blue"})
    path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/plots/words.txt"
    sent = urllib.request.Request(platform.url + path, b"whoo", method="PUT")
    urllib.request.urlopen(sent, timeout=30).read()

    page.goto(f"{platform.url}/runs?experiment={experiment}", wait_until="networkidle")
    listed = page.locator("main").inner_text()
    assert "brave-owl-7" in listed and "0.4567" in listed, "also while the run goes on"
    page.goto(f"{platform.url}/runs/{run}", wait_until="networkidle")

    text = page.locator("main").inner_text()
    for there in ["brave-owl-7", "owls at night", "Tries a deeper tree", "0.4567", "blue", "plots/words.txt"]:
        assert there in text, there
    assert "on the test rows" not in text and "Made by" not in text
    href = page.get_by_role("link", name="plots/words.txt").get_attribute("href")
    assert platform.get(href) == b"whoo"
    assert page.complaints == []


def test_metrics_that_are_no_finite_numbers_are_shown_wherever_runs_are(platform, page):
    def mlflow(call, body):
        return platform.post(f"/api/2.0/mlflow/{call}", body)

    experiment, at = mlflow("experiments/create", {"name": "diverged"})["experiment_id"], 1_790_000_000_000
    runs = []
    for values in [{"loss": "NaN", "norm": "Infinity"}, {"loss": 0.25, "norm": "-Infinity"}]:
        run = mlflow("runs/create", {"experiment_id": experiment, "start_time": at})["run"]["info"]["run_id"]
        for key, value in values.items():
            mlflow("runs/log-metric", {"run_id": run, "key": key, "value": value, "timestamp": at, "step": 3})
        mlflow("runs/update", {"run_id": run, "status": "FINISHED", "end_time": at + 60_000})
        runs.append(run)

    listed = {run["id"]: (run["metrics"], run["not_finite"]) for run in platform.json("/api/v1/runs?of=diverged")["items"]}
    assert listed == {
        runs[0]: ({}, {"loss": {"value": "NaN", "step": 3}, "norm": {"value": "Infinity", "step": 3}}),
        runs[1]: ({"loss": 0.25}, {"norm": {"value": "-Infinity", "step": 3}}),
    }
    for run, (_, not_finite) in listed.items():
        assert platform.json(f"/api/v1/runs/{run}")["not_finite"] == not_finite

    def times_shown(path):
        page.goto(platform.url + path, wait_until="networkidle")
        text = page.locator("main").inner_text()
        return [text.count(word) for word in ("NaN", "−∞")]

    assert times_shown(f"/runs/{runs[0]}") == [2, 0], "as a tile and in the table"
    assert times_shown(f"/runs?experiment={experiment}") == [1, 1]
    assert times_shown(f"/runs?experiment={experiment}&compare={','.join(runs)}") == [2, 2], "beside each other too"
    assert page.complaints == []
