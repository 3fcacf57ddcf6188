"""Tells a Mainspring server of a run of another tool with `openlineage-python`, and reads the graph that it joined.

    pip install openlineage-python
    MAINSPRING_URL=http://127.0.0.1:7878 python examples/clients/openlineage_events.py
"""

import json
import os
import urllib.parse
import urllib.request
import uuid
from datetime import datetime, timezone

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.transport.http import HttpConfig, HttpTransport

URL = os.environ.get("MAINSPRING_URL", "http://127.0.0.1:7878")

client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=URL)))
run, job = Run(str(uuid.uuid4())), Job("nightly", "load_customers")
for state in (RunState.START, RunState.COMPLETE):
    client.emit(
        RunEvent(
            eventType=state,
            eventTime=datetime.now(timezone.utc).isoformat(),
            run=run,
            job=job,
            producer="https://example.com/nightly",
            inputs=[InputDataset("postgres://crm:5432", "crm.public.customers")],
            outputs=[OutputDataset("s3://warehouse", "customers")],
        )
    )

node = urllib.parse.quote("job:nightly/load_customers", safe="")
with urllib.request.urlopen(f"{URL}/api/v1/lineage?node={node}") as answer:
    for edge in json.load(answer)["edges"]:
        print(f"{edge['from']} -> {edge['to']} ({edge['kind']})")
