"""The console in a real browser: every page opens, nothing complains, the main numbers are there."""

import contextlib
import re
import urllib.request

import pytest
from playwright.sync_api import TimeoutError

from harness import PATIENCE, waited

PAGES = ["/", "/tables", "/features", "/runs", "/models", "/endpoints", "/workflows", "/monitors", "/audit", "/api"]


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    context.set_default_timeout(PATIENCE * 1_000)
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
        answer = page.request.get(platform.url + path)
        assert answer.status == 200, path
        # a file that runs logged is a download, and no page
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        page.goto(platform.url + path)
        links = page.eval_on_selector_all("main a[href^='/'], nav a[href^='/']", "all => all.map(a => a.getAttribute('href'))")
        # one of a kind is enough: /runs/ID stands for all runs
        kinds = {re.sub(r"[0-9a-f-]{12,}|\d+", "*", link) for link in seen}
        for link in links:
            if re.sub(r"[0-9a-f-]{12,}|\d+", "*", link) not in kinds:
                waiting.append(link)
    assert page.complaints == []
    assert len(seen) > len(PAGES)


@pytest.mark.parametrize("path", [*PAGES, "/models/arrival_delay", "/endpoints/arrival_delay", "/monitors/arrival_delay"])
def test_no_page_is_wider_than_a_telephone(platform, page, path):
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(platform.url + path, wait_until="networkidle")

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#theme").is_visible()


def test_a_browser_is_told_on_a_page_that_nothing_is_there(platform, page):
    answer = page.goto(platform.url + "/nowhere")
    assert (answer.status, page.locator("h1").inner_text()) == (404, "Not here")
    page.goto(platform.url + "/models/nothing")
    assert page.locator(".crumbs a").inner_text() == "Models", "a way back"

    other = page.request.get(platform.url + "/nowhere", headers={"accept": "*/*"})
    assert (other.status, other.headers["content-type"]) == (404, "application/problem+json")


def test_the_theme_that_was_chosen_is_there_before_anything_is_drawn(platform, page):
    page.goto(platform.url + "/monitors/arrival_delay", wait_until="networkidle")
    for theme in ("dark", "light"):
        page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
        page.add_init_script("""new MutationObserver((_, observer) => {
            if (document.body) { window.themeAtBody = document.documentElement.dataset.theme; observer.disconnect(); }
        }).observe(document, { childList: true, subtree: true })""")
        page.reload(wait_until="networkidle")
        assert page.evaluate("window.themeAtBody") == theme


def test_the_overview_shows_the_numbers_of_the_run(platform, page):
    page.goto(platform.url + "/", wait_until="networkidle")

    text = page.locator("main").inner_text()

    assert grouped(platform.made) in text


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
    page.locator("[data-chart] svg.main-svg").nth(charts - 1).wait_for(state="attached")
    assert page.locator("figure details table").count() >= charts


def test_keys_lead_through_the_pages(platform, page):
    page.goto(platform.url + "/", wait_until="networkidle")

    def leads_to_the_models():
        # the second key counts for a moment only
        page.keyboard.press("g")
        page.keyboard.press("m")
        with contextlib.suppress(TimeoutError):
            page.wait_for_url("**/models", timeout=5_000)
            return True

    waited(leads_to_the_models)

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
    urllib.request.urlopen(sent, timeout=PATIENCE).read()

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


def test_runs_are_compared_by_name_within_their_experiment(platform, page):
    def mlflow(call, body):
        return platform.post(f"/api/2.0/mlflow/{call}", body)

    experiment, at = mlflow("experiments/create", {"name": "owls compared"})["experiment_id"], 1_790_000_000_000

    def started(name, tags=()):
        body = {"experiment_id": experiment, "run_name": name, "start_time": at, "tags": list(tags)}
        return mlflow("runs/create", body)["run"]["info"]["run_id"]

    parent = started("grid")
    shallow, deep = (started(name, [{"key": "mlflow.parentRunId", "value": parent}]) for name in ("shallow", "deep"))
    for run, score in [(shallow, 0.5), (deep, 0.25)]:
        for step in range(11):
            metrics = [{"key": "train/loss", "value": score / (step + 1), "timestamp": at, "step": step}]
            if step % 5 == 0:
                metrics.append({"key": "validation/loss", "value": score / (step + 1), "timestamp": at, "step": step})
            mlflow("runs/log-batch", {"run_id": run, "metrics": metrics})
    mlflow("runs/log-metric", {"run_id": deep, "key": "tiny", "value": 1e-9, "timestamp": at})
    mlflow("runs/log-parameter", {"run_id": deep, "key": "note", "value": "x" * 400})

    page.goto(f"{platform.url}/runs?experiment={experiment}", wait_until="networkidle")
    names = page.locator("#runs tbody tr td:nth-child(2)").all_inner_texts()
    assert [name.removeprefix("↳").strip() for name in names][0] == "grid", "before those that it started"
    compare = page.get_by_role("button", name="Compare the chosen runs")
    assert compare.is_disabled()
    for run in (shallow, deep):
        page.locator(f"input[value='{run}']").check()
    compare.click()
    page.wait_for_url("**/runs?*compare=*")

    assert f"experiment={experiment}" in page.url
    assert page.locator("input[name=compare]:checked").count() == 2
    headings = page.locator("section thead").first.inner_text()
    assert "shallow" in headings and "deep" in headings
    text = page.locator("section").first.inner_text()
    assert "1.00e-9" in text, "a small number is no zero"
    hidden = "all => all.map(sheet => sheet.scrollWidth - sheet.clientWidth)"
    assert max(page.eval_on_selector_all("section .sheet", hidden)) <= 0, "long values are broken"
    assert page.complaints == []

    page.goto(f"{platform.url}/runs/{deep}", wait_until="networkidle")
    page.locator("[data-chart] svg.main-svg .scatterlayer").first.wait_for(state="attached")
    drawn = page.eval_on_selector_all("[data-chart] .scatterlayer path.js-line", "all => all.map(a => a.getAttribute('d').length)")
    assert len(drawn) == 2 and min(drawn) > 10, "also what was measured at each fifth step"
    page.goto(f"{platform.url}/runs/{parent}", wait_until="networkidle")
    assert {"shallow", "deep"} <= {link.strip() for link in page.locator("#runs a").all_inner_texts()}


def test_sorting_puts_what_is_missing_last_both_ways(platform, page):
    experiment = platform.post("/api/2.0/mlflow/experiments/create", {"name": "owls sorted"})["experiment_id"]
    for name, value in [("a", 0.5), ("b", None), ("c", 2.0), ("d", 10.0)]:
        body = {"experiment_id": experiment, "run_name": name, "start_time": 1_790_000_000_000}
        run = platform.post("/api/2.0/mlflow/runs/create", body)["run"]["info"]["run_id"]
        if value is not None:
            metric = {"run_id": run, "key": "score", "value": value, "timestamp": 1_790_000_000_000}
            platform.post("/api/2.0/mlflow/runs/log-metric", metric)
    page.goto(f"{platform.url}/runs?experiment={experiment}", wait_until="networkidle")

    def sorted_by_score():
        page.get_by_role("columnheader", name="score").click()
        return "".join(page.locator("#runs tbody tr td:nth-child(2)").all_inner_texts())

    assert sorted_by_score() == "acdb"
    assert sorted_by_score() == "dcab"
