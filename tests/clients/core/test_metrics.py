"""Prometheus can read what we tell it."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics


def test_metrics_parse_and_count_a_prediction(platform):
    # the 40 days that were replayed end with 9 August; the online store answers exactly for the last two days before it
    fields = {
        "origin": "JFK", "carrier": "B6", "dest": "BOS", "tailnum": "N184JB", "distance": 187,
        "sched_dep_at": "2013-08-09T14:00:00Z",
    }

    def requests():
        text = platform.get("/metrics").decode()
        parse = openmetrics if text.rstrip().endswith("# EOF") else text_string_to_metric_families
        samples = [sample for family in parse(text) for sample in family.samples]
        wanted = {"endpoint": "arrival_delay", "outcome": "answered"}
        return sum(s.value for s in samples if s.name.endswith("requests_total") and s.labels == wanted)

    before = requests()
    answer = platform.predict({"as_of": "2013-08-09T13:00:00Z", "rows": [fields]})

    assert requests() == before + 1
    assert 0 < answer["predictions"][0]["prediction"] < 1
    assert (answer["version"], answer["degraded"]) == (1, False)
