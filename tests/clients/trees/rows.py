"""Rows with everything that trees are asked about: numbers with ties, zeros, what is missing, categories as text, as whole
numbers with names and as plain codes."""

import numpy as np
import pandas as pd

AIRPORTS = ["EWR", "JFK", "LGA", "BOS", "ORD", "SFO", "LAX", "MIA", "DEN", "SEA", "IAH", "ATL"]
HOURS = [0, 5, 6, 9, 12, 15, 18, 23]
CODES = 70


def make(count: int, seed: int, missing: bool = True) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "wind": random.normal(size=count),
            # few values, so that rows lie on thresholds
            "seats": random.integers(-3, 4, count).astype(float),
            "delay": np.where(random.random(count) < 0.4, 0.0, random.normal(size=count) * 10),
            "distance": random.lognormal(3, 2, count),
            "code": random.integers(0, CODES, count).astype(float),
            "origin": pd.Categorical(random.choice(AIRPORTS, count), categories=AIRPORTS),
            "hour": pd.Categorical(random.choice(HOURS, count), categories=HOURS),
        }
    )
    if missing:
        for name in ["wind", "delay", "code"]:
            frame.loc[random.random(count) < 0.12, name] = np.nan
        for name in ["origin", "hour"]:
            frame.loc[random.random(count) < 0.05, name] = None
    return frame


def labels(frame: pd.DataFrame, seed: int) -> pd.Series:
    """A number that depends on every column, and on what is missing."""
    random = np.random.default_rng(seed)
    airport = frame["origin"].cat.codes.map(lambda code: (code * 7 % 5) - 2.0)
    hour = frame["hour"].cat.codes.map(lambda code: (code * 3 % 4) * 0.5)
    code = frame["code"].fillna(-1).map(lambda code: (code * 13 % 11) / 5.0)
    score = (
        frame["wind"].fillna(1.3)
        + frame["seats"] * 0.3
        + np.where(frame["delay"] == 0, 1.5, frame["delay"].fillna(-8) * 0.1)
        + np.log1p(frame["distance"]) * 0.2
        + airport * 0.7
        + hour
        + code
    )
    return score + random.normal(size=len(frame)) * 0.2


def strange(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same rows with values at the ends: tiny, huge, negative zero, codes that no training row had."""
    random = np.random.default_rng(seed)
    frame = frame.copy()
    ends = [0.0, -0.0, 1e-35, -1e-35, 1e-36, 1e-300, -1e-300, 1e30, -1e30, 1e-7, 5e-324]
    for name in ["wind", "delay", "distance"]:
        at = random.random(len(frame)) < 0.05
        frame.loc[at, name] = random.choice(ends, at.sum())
    at = random.random(len(frame)) < 0.05
    frame.loc[at, "code"] = random.choice([-1.0, CODES, CODES + 40, 100_000.0], at.sum())
    return frame
