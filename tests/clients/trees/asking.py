"""Asks an endpoint by Open Inference Protocol V2, in batches of JSON."""

import json
import urllib.request

import numpy as np
import pandas as pd
from harness import PATIENCE

# an endpoint gives up on what takes a second, and a machine may be slow
BATCH = 1_000


def tensors(frame: pd.DataFrame) -> list:
    """One tensor a column: text for categories with names, numbers for the rest, null for what is missing."""
    made = []
    for name, column in frame.items():
        kind = "FP64"
        if isinstance(column.dtype, pd.CategoricalDtype):
            kind = "BYTES" if column.cat.categories.inferred_type == "string" else "INT64"
        data = [None if pd.isna(value) else value for value in column.astype(object)]
        if kind == "INT64":
            data = [None if value is None else int(value) for value in data]
        made.append({"name": name, "shape": [len(frame)], "datatype": kind, "data": data})
    return made


def all_numbers(array: np.ndarray) -> list:
    """All columns as one tensor."""
    data = [None if np.isnan(value) else float(value) for value in array.ravel()]
    return [{"name": "input", "shape": list(array.shape), "datatype": "FP64", "data": data}]


# the same rows are asked of many endpoints: what is sent is made once
KNOWN: dict[int, tuple] = {}


def bodies(given) -> list[bytes]:
    """The requests for rows, which are a frame or an array."""
    if id(given) not in KNOWN:
        parts = [given[first : first + BATCH] for first in range(0, len(given), BATCH)]
        made = [tensors(part) if isinstance(part, pd.DataFrame) else all_numbers(part) for part in parts]
        # kept with the rows, so that no others get their identity
        KNOWN[id(given)] = given, [json.dumps({"inputs": inputs}).encode() for inputs in made]
    return KNOWN[id(given)][1]


def answers(server, endpoint: str, given):
    """The outputs of each batch by name."""
    for body in bodies(given):
        request = urllib.request.Request(
            f"{server.url}/v2/models/{endpoint}/infer", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            yield {output["name"]: output for output in json.load(answer)["outputs"]}


def predictions(server, endpoint: str, given) -> np.ndarray:
    """The probabilities of classes, or else the prediction, of each row."""
    answered = []
    for outputs in answers(server, endpoint, given):
        output = outputs.get("probabilities", outputs["prediction"])
        answered.append(np.array(output["data"], dtype=float).reshape(output["shape"]))
    return np.concatenate(answered)


def classes(server, endpoint: str, given) -> list[str]:
    """The class of each row."""
    return [name for outputs in answers(server, endpoint, given) for name in outputs["class"]["data"]]
