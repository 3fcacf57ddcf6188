"""Every kind of XGBoost model that runs here."""

import numpy as np
import xgboost as xgb

import rows
from lightgbm_models import label

ROUNDS = 30
COMMON = {"max_depth": 4, "eta": 0.3, "max_cat_to_onehot": 4, "nthread": 2, "seed": 7}

OBJECTIVES = {
    "squarederror": ({"objective": "reg:squarederror"}, "number"),
    "squaredlogerror": ({"objective": "reg:squaredlogerror"}, "positive"),
    "pseudohuber": ({"objective": "reg:pseudohubererror"}, "number"),
    "absoluteerror": ({"objective": "reg:absoluteerror"}, "number"),
    "quantile": ({"objective": "reg:quantileerror", "quantile_alpha": 0.7}, "number"),
    "reg_logistic": ({"objective": "reg:logistic"}, "share"),
    "logistic": ({"objective": "binary:logistic"}, "binary"),
    "logistic_with_base": ({"objective": "binary:logistic", "base_score": 0.2, "scale_pos_weight": 3}, "binary"),
    "logitraw": ({"objective": "binary:logitraw"}, "binary"),
    "hinge": ({"objective": "binary:hinge"}, "binary"),
    "poisson": ({"objective": "count:poisson"}, "positive"),
    "gamma": ({"objective": "reg:gamma"}, "positive"),
    "tweedie": ({"objective": "reg:tweedie"}, "positive"),
    "cox": ({"objective": "survival:cox"}, "positive"),
    "softprob": ({"objective": "multi:softprob", "num_class": 4}, "class"),
    "softmax": ({"objective": "multi:softmax", "num_class": 4}, "class"),
    "softprob_forest": ({"objective": "multi:softprob", "num_class": 4, "num_parallel_tree": 3, "subsample": 0.7}, "class"),
    "rank_pairwise": ({"objective": "rank:pairwise"}, "rank"),
    "rank_ndcg": ({"objective": "rank:ndcg"}, "rank"),
    "rank_map": ({"objective": "rank:map"}, "binary_rank"),
    "forest": ({"objective": "reg:squarederror", "num_parallel_tree": 4, "subsample": 0.7, "colsample_bynode": 0.7}, "number"),
    "dart": ({"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.3}, "number"),
    "dart_of_classes": ({"objective": "multi:softprob", "num_class": 4, "booster": "dart", "rate_drop": 0.3}, "class"),
    "approx": ({"objective": "reg:squarederror", "tree_method": "approx"}, "number"),
    "lossguide": ({"objective": "reg:squarederror", "grow_policy": "lossguide", "max_leaves": 31, "max_depth": 0}, "number"),
    "one_hot": ({"objective": "reg:squarederror", "max_cat_to_onehot": 100}, "number"),
    "sets": ({"objective": "reg:squarederror", "max_cat_to_onehot": 1}, "number"),
    "trained_on_whole_rows": ({"objective": "reg:squarederror"}, "whole"),
    "pruned": ({"objective": "reg:squarederror", "gamma": 20.0, "tree_method": "exact", "max_depth": 6}, "plain"),
    "large_numbers": ({"objective": "reg:squarederror"}, "large"),
}


def frame_for(name: str, frame):
    """What a model is given: the exact method knows no categories."""
    return frame.drop(columns=["origin", "hour"]) if name == "pruned" else frame


def train(name: str, path) -> xgb.Booster:
    parameters, kind = OBJECTIVES[name]
    frame = rows.make(2_000, seed=1, missing=kind != "whole")
    if kind == "large":
        target = rows.labels(frame, 5) * 1e5 + 1e6
    else:
        target = label({"binary_rank": "binary", "plain": "number"}.get(kind, kind), frame)
    data = xgb.DMatrix(frame_for(name, frame), target, enable_categorical=True)
    if kind.endswith("rank"):
        data.set_group([20] * 100)
    booster = xgb.train({**COMMON, **parameters}, data, ROUNDS)
    booster.save_model(path)
    return booster


def train_early_stopped(path) -> xgb.XGBRegressor:
    frame, held_out = rows.make(1_000, seed=1), rows.make(500, seed=2)
    model = xgb.XGBRegressor(n_estimators=200, learning_rate=0.6, early_stopping_rounds=3, enable_categorical=True)
    model.fit(frame, rows.labels(frame, 5), eval_set=[(held_out, rows.labels(held_out, 6))], verbose=False)
    assert 0 < model.best_iteration < 190
    model.save_model(path)
    return model


def train_booster_with_best_iteration(path) -> xgb.Booster:
    """A booster, unlike an estimator, predicts with all its trees."""
    frame, held_out = rows.make(1_000, seed=1), rows.make(500, seed=2)
    data = xgb.DMatrix(frame, rows.labels(frame, 5), enable_categorical=True)
    check = xgb.DMatrix(held_out, rows.labels(held_out, 6), enable_categorical=True)
    parameters = {**COMMON, "objective": "reg:squarederror", "eta": 0.6}
    booster = xgb.train(parameters, data, 200, evals=[(check, "held_out")], early_stopping_rounds=5, verbose_eval=False)
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    booster.save_model(path)
    return booster


def train_on_arrays(path) -> xgb.Booster:
    """Features without names, categories as numbers only."""
    frame = rows.make(2_000, seed=1)
    codes = {name: frame[name].cat.codes.where(frame[name].notna(), np.nan) for name in ["origin", "hour"]}
    array = frame.assign(**codes).to_numpy(float)
    data = xgb.DMatrix(array, label("binary", frame), feature_types=["q"] * 4 + ["c"] * 3, enable_categorical=True)
    booster = xgb.train({**COMMON, "objective": "binary:logistic"}, data, ROUNDS)
    booster.save_model(path)
    return booster
