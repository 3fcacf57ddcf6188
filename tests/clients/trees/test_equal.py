"""What a model answers behind an endpoint is what its library answers: 10,000 rows each, to 1e-6."""

import lightgbm_models
import numpy as np
import pytest
import rows
import xgboost as xgb
import xgboost_models
from asking import predictions
from harness import mainspring

ROWS = rows.make(10_000, seed=11)
STRANGE = rows.strange(ROWS, seed=12)
# categories beyond those of the training are an error of XGBoost where it knows them
KNOWN_CODES = STRANGE.assign(code=ROWS.code)


def put_up(server, name, path):
    mainspring(server.folder, "register", name, str(path))
    mainspring(server.folder, "deploy", name)


def assert_same(ours, theirs):
    theirs = np.asarray(theirs, dtype=float)
    assert len(ours) == 10_000
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", lightgbm_models.OBJECTIVES)
def test_lightgbm(server, folder, name):
    booster = lightgbm_models.train(name, folder / f"{name}.txt")
    put_up(server, f"lgb_{name}", folder / f"{name}.txt")
    assert_same(predictions(server, f"lgb_{name}", STRANGE), booster.predict(STRANGE))


@pytest.mark.parametrize("kind", ["train_early_stopped", "train_with_own_objective"])
def test_lightgbm_kept_trees(server, folder, kind):
    booster = getattr(lightgbm_models, kind)(folder / f"{kind}.txt")
    put_up(server, f"lgb_{kind}", folder / f"{kind}.txt")
    assert_same(predictions(server, f"lgb_{kind}", STRANGE), booster.predict(STRANGE))


def test_lightgbm_without_names(server, folder):
    booster = lightgbm_models.train_on_arrays(folder / "arrays.txt")
    put_up(server, "lgb_arrays", folder / "arrays.txt")
    array = STRANGE.assign(origin=ROWS.origin.cat.codes, hour=ROWS.hour.cat.codes).to_numpy(float)
    assert_same(predictions(server, "lgb_arrays", array), booster.predict(array))


@pytest.mark.parametrize("name", xgboost_models.OBJECTIVES)
def test_xgboost(server, folder, name):
    # one half as JSON, the other as UBJSON; `test_xgboost_formats` shows that they are the same
    ending = "json" if len(name) % 2 else "ubj"
    booster = xgboost_models.train(name, folder / f"{name}.{ending}")
    put_up(server, f"xgb_{name}", folder / f"{name}.{ending}")
    asked = xgboost_models.frame_for(name, KNOWN_CODES)
    theirs = booster.predict(xgb.DMatrix(asked, enable_categorical=True))
    ours = predictions(server, f"xgb_{name}", asked)
    if name == "softmax":
        ours = ours.argmax(axis=1)
    assert_same(ours, theirs)


def test_xgboost_formats(server, folder):
    xgboost_models.train("logistic", folder / "formats.json").save_model(folder / "formats.ubj")
    for ending in ["json", "ubj"]:
        put_up(server, f"xgb_formats_{ending}", folder / f"formats.{ending}")
    ours = predictions(server, "xgb_formats_json", ROWS)
    assert (ours == predictions(server, "xgb_formats_ubj", ROWS)).all()


def test_xgboost_estimator_stops_at_its_best_iteration(server, folder):
    model = xgboost_models.train_early_stopped(folder / "early.json")
    put_up(server, "xgb_early", folder / "early.json")
    assert_same(predictions(server, "xgb_early", ROWS), model.predict(ROWS))


def test_xgboost_booster_uses_all_its_trees(server, folder):
    booster = xgboost_models.train_booster_with_best_iteration(folder / "best.ubj")
    put_up(server, "xgb_best", folder / "best.ubj")
    theirs = booster.predict(xgb.DMatrix(ROWS, enable_categorical=True))
    assert_same(predictions(server, "xgb_best", ROWS), theirs)


def test_xgboost_without_names(server, folder):
    booster = xgboost_models.train_on_arrays(folder / "arrays.json")
    put_up(server, "xgb_arrays", folder / "arrays.json")
    codes = {name: ROWS[name].cat.codes.where(ROWS[name].notna(), np.nan) for name in ["origin", "hour"]}
    array = STRANGE.assign(code=ROWS.code, **codes).to_numpy(float)
    data = xgb.DMatrix(array, feature_types=["q"] * 4 + ["c"] * 3, enable_categorical=True)
    assert_same(predictions(server, "xgb_arrays", array), booster.predict(data))
