"""A project with three models, trained by the binary: what the suites of the inference protocol ask."""

import pathlib

import numpy as np

from harness import mainspring

ROWS = 900
WIDE = 28
CITIES = ["Rome", "Oslo", "São Paulo"]


def make(folder: pathlib.Path) -> dict:
    """Writes, applies and trains the project; gives the rows it learned from, by column."""
    random = np.random.default_rng(7)
    wide = random.random((ROWS, WIDE)).round(6)
    rows = {
        "id": np.arange(ROWS),
        **{f"x{number}": wide[:, number] for number in range(WIDE)},
        "city": random.choice(CITIES, ROWS),
        "nights": random.integers(1, 15, ROWS),
        "breakfast": random.random(ROWS) < 0.5,
        "distance": (random.random(ROWS) * 100).round(3),
    }
    rows["late"] = wide[:, 0] + wide[:, 1] > 1.0
    south = np.array([city == "Rome" for city in rows["city"]])
    rows["season"] = np.where(south, "summer", np.where(rows["distance"] > 50, "winter", "spring"))
    rows["price"] = rows["nights"] * 80.0 + rows["breakfast"] * rows["nights"] * 10.0 + rows["distance"]

    def write(file: str, text: str):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    kinds = {"id": "int64", "city": "string", "nights": "int64", "breakfast": "bool", "distance": "float64"}
    kinds |= {"late": "bool", "season": "string", "price": "float64"}
    columns = "".join(f"  - {{name: {name}, type: {kinds.get(name, 'float64')}}}\n" for name in rows)
    write("mainspring.yaml", "project: stays\n")
    write("sources/stays.yaml", f"source: stays\npath: data/*.csv\nkey: [id]\ncolumns:\n{columns}")
    header = ",".join(rows)
    lines = [",".join(_cell(rows[name][at]) for name in rows) for at in range(ROWS)]
    write("data/stays.csv", "\n".join([header, *lines, ""]))
    mixed = "[city, nights, breakfast, distance]"
    for name, task, label, features in [
        ("late", "binary", "late", "[" + ", ".join(f"x{number}" for number in range(WIDE)) + "]"),
        ("season", "multiclass", "season", mixed),
        ("price", "regression", "price", mixed),
    ]:
        write(
            f"models/{name}.yaml",
            f"model: {name}\ntask: {task}\nobservations: {{from: stays, label: {label}}}\nfeatures: {features}\n"
            "split: {by: random, test: 0.2}\ntrainer: {boosted_trees: {trees: 20, leaves: 8}}\npromote: auto\n",
        )
        write(f"endpoints/{name}.yaml", f"endpoint: {name}\nmodel: {name}\n")
    # trained, and behind no endpoint
    write(
        "models/spare.yaml",
        "model: spare\ntask: regression\nobservations: {from: stays, label: price}\nfeatures: [distance]\n"
        "split: {by: random, test: 0.2}\ntrainer: {constant: {}}\npromote: manual\n",
    )
    mainspring(folder, "apply")
    mainspring(folder, "run")
    return rows


def _cell(value) -> str:
    return str(value).lower() if isinstance(value, np.bool_) else str(value)
