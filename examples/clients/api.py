"""Asks a Mainspring server for its models, predicts one row, and reads a long list page by page.

    MAINSPRING_URL=http://127.0.0.1:7878 python examples/clients/api.py
"""

import json
import os
import urllib.parse
import urllib.request

URL = os.environ.get("MAINSPRING_URL", "http://127.0.0.1:7878")


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def every(path):
    """All items of a list, a page at a time."""
    after = {}
    while True:
        page = ask(f"{path}?{urllib.parse.urlencode({'limit': 50, **after})}")
        yield from page["items"]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


for model in every("/api/v1/models"):
    print(f"model {model['model']}: {model['versions']} versions, champion is {model['champion']}")

for endpoint in every("/api/v1/endpoints"):
    name = endpoint["endpoint"]
    row = ask(f"/api/v1/endpoints/{name}")["example"]
    answer = ask(f"/api/v1/endpoints/{name}/predict", {"rows": [row]})
    print(f"endpoint {name}: version {answer['version']} predicts {answer['predictions'][0]['prediction']}")

print(f"{sum(1 for _ in every('/api/v1/audit'))} entries in the audit log")
