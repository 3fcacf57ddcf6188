"""Asks an endpoint by Open Inference Protocol V2, in batches of JSON."""

import numpy as np
import pandas as pd

BATCH = 2_500


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


def predictions(server, endpoint: str, given) -> np.ndarray:
    """The probabilities of classes, or else the prediction, of each row."""
    answered = []
    for first in range(0, len(given), BATCH):
        part = given[first : first + BATCH]
        inputs = tensors(part) if isinstance(part, pd.DataFrame) else all_numbers(part)
        answer = server.post(f"/v2/models/{endpoint}/infer", {"inputs": inputs})
        outputs = {output["name"]: output for output in answer["outputs"]}
        output = outputs.get("probabilities", outputs["prediction"])
        answered.append(np.array(output["data"], dtype=float).reshape(output["shape"]))
    return np.concatenate(answered)
