"""Every kind of LightGBM model that runs here."""

import lightgbm as lgb
import numpy as np

import rows

ROUNDS = 30
COMMON = {
    "num_leaves": 15, "min_data_in_leaf": 5, "min_data_per_group": 10, "cat_smooth": 2, "learning_rate": 0.2,
    "verbose": -1, "num_threads": 2, "seed": 7,
}

# name: parameters, and of which kind the label is
OBJECTIVES = {
    "regression": ({"objective": "regression"}, "number"),
    "regression_sqrt": ({"objective": "regression", "reg_sqrt": True}, "number"),
    "l1_sqrt": ({"objective": "regression_l1", "reg_sqrt": True}, "number"),
    "quantile_sqrt": ({"objective": "quantile", "alpha": 0.8, "reg_sqrt": True}, "number"),
    "l1": ({"objective": "regression_l1"}, "number"),
    "huber": ({"objective": "huber"}, "number"),
    "fair": ({"objective": "fair"}, "number"),
    "quantile": ({"objective": "quantile", "alpha": 0.8}, "number"),
    "mape": ({"objective": "mape"}, "positive"),
    "poisson": ({"objective": "poisson"}, "positive"),
    "gamma": ({"objective": "gamma"}, "positive"),
    "tweedie": ({"objective": "tweedie"}, "positive"),
    "cross_entropy": ({"objective": "cross_entropy"}, "share"),
    "cross_entropy_lambda": ({"objective": "cross_entropy_lambda"}, "share"),
    "binary": ({"objective": "binary"}, "binary"),
    "binary_sigmoid": ({"objective": "binary", "sigmoid": 0.7, "is_unbalance": True}, "binary"),
    "multiclass": ({"objective": "multiclass", "num_class": 4}, "class"),
    "multiclass_ova": ({"objective": "multiclassova", "num_class": 4, "sigmoid": 1.5}, "class"),
    "lambdarank": ({"objective": "lambdarank"}, "rank"),
    "rank_xendcg": ({"objective": "rank_xendcg"}, "rank"),
    "forest": ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, "binary"),
    "forest_of_classes": (
        {"objective": "multiclass", "num_class": 4, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, "class"
    ),
    "dart": ({"objective": "regression", "boosting": "dart", "drop_rate": 0.4, "skip_drop": 0.2}, "number"),
    "goss": ({"objective": "regression", "data_sample_strategy": "goss"}, "number"),
    "extra_trees": ({"objective": "regression", "extra_trees": True}, "number"),
    "zero_as_missing": ({"objective": "regression", "zero_as_missing": True}, "number"),
    "nothing_missing": ({"objective": "regression", "use_missing": False}, "number"),
    "trained_on_whole_rows": ({"objective": "regression"}, "whole"),
    "one_hot": ({"objective": "regression", "max_cat_to_onehot": 100}, "number"),
    "sets": ({"objective": "regression", "max_cat_to_onehot": 1, "max_cat_threshold": 64}, "number"),
    "one_leaf": ({"objective": "regression", "min_data_in_leaf": 100_000}, "number"),
}


def label(kind: str, frame):
    number = rows.labels(frame, 5)
    match kind:
        case "number" | "whole":
            return number
        case "positive":
            return np.exp(number / 3).round(2) + 0.01
        case "share":
            return 1 / (1 + np.exp(-number))
        case "binary":
            return (number > number.median()).astype(int)
        case "class" | "rank":
            return np.digitize(number, np.quantile(number, [0.25, 0.5, 0.75]))


def train(name: str, path) -> lgb.Booster:
    parameters, kind = OBJECTIVES[name]
    frame = rows.make(2_000, seed=1, missing=kind != "whole")
    categories = ["code", "origin", "hour"] if name != "zero_as_missing" else ["origin", "hour"]
    groups = [20] * 100 if kind == "rank" else None
    data = lgb.Dataset(frame, label(kind, frame), group=groups, categorical_feature=categories)
    if name == "one_leaf":
        data = lgb.Dataset(frame, label(kind, frame), params={"min_data_in_bin": 1})
    booster = lgb.train({**COMMON, **parameters}, data, ROUNDS)
    booster.save_model(path)
    return lgb.Booster(model_file=path)


def train_early_stopped(path) -> lgb.Booster:
    frame, held_out = rows.make(1_000, seed=1), rows.make(500, seed=2)
    data = lgb.Dataset(frame, rows.labels(frame, 5))
    check = lgb.Dataset(held_out, rows.labels(held_out, 6), reference=data)
    stop = lgb.early_stopping(3, verbose=False)
    booster = lgb.train({**COMMON, "objective": "regression", "learning_rate": 0.5}, data, 200, [check], callbacks=[stop])
    assert 0 < booster.best_iteration < 200
    booster.save_model(path)
    return booster


def train_with_own_objective(path) -> lgb.Booster:
    def squared(predicted, data):
        return predicted - data.get_label(), np.ones(len(predicted))

    frame = rows.make(1_000, seed=1)
    booster = lgb.train({**COMMON, "objective": squared}, lgb.Dataset(frame, rows.labels(frame, 5)), ROUNDS)
    booster.save_model(path)
    return booster


def train_on_arrays(path) -> lgb.Booster:
    """Features without names, categories as numbers only."""
    frame = rows.make(2_000, seed=1)
    array = frame.assign(origin=frame.origin.cat.codes, hour=frame.hour.cat.codes).to_numpy(float)
    data = lgb.Dataset(array, label("binary", frame), categorical_feature=[4, 5, 6])
    booster = lgb.train({**COMMON, "objective": "binary"}, data, ROUNDS)
    booster.save_model(path)
    return booster
