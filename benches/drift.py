"""The peer of the drift benchmark: the same statistics of the same columns by SciPy and NumPy.

Called by the benchmark as  drift.py FOLDER ROWS COLUMNS;  reads reference.f64 and current.f64, column after column, and
prints one line of JSON: seconds, and the statistics of each column.
"""

import json
import pathlib
import sys
import time

import numpy as np
from scipy import stats
from scipy.spatial import distance


def compare(reference, current):
    """Returns the statistics of one column."""
    test = stats.ks_2samp(reference, current)
    deciles = np.unique(np.quantile(reference, np.arange(1, 11) / 10, method="inverted_cdf"))
    bins = np.concatenate([[-np.inf, reference.min()], np.nextafter(deciles, np.inf), [np.inf]])
    # The last bin is for nulls, of which there are none.
    left, right = (np.append(np.histogram(side, bins)[0], 0) for side in (reference, current))
    shares = (left + 0.5) / (left + 0.5).sum(), (right + 0.5) / (right + 0.5).sum()
    return {
        "ks": float(test.statistic),
        "ks_p_value": float(test.pvalue),
        "wasserstein": float(stats.wasserstein_distance(reference, current)),
        "jensen_shannon": float(distance.jensenshannon(left, right, 2.0)),
        "psi": float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()),
    }


folder, rows, columns = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
reference = np.fromfile(folder / "reference.f64").reshape(columns, rows)
current = np.fromfile(folder / "current.f64").reshape(columns, rows)
started = time.perf_counter()
statistics = [compare(reference[column], current[column]) for column in range(columns)]
print(json.dumps({"seconds": time.perf_counter() - started, "statistics": statistics}))
