//! The libraries' own answers, and models that were damaged.

use mainspring_spec::DataType;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::{Body, Link, Scorer, Value};

const REGRESSION: &[u8] = include_bytes!("fixtures/regression.txt");
const MULTICLASS: &[u8] = include_bytes!("fixtures/multiclass.txt");
const POISSON_JSON: &[u8] = include_bytes!("fixtures/poisson.json");
const POISSON_UBJSON: &[u8] = include_bytes!("fixtures/poisson.ubj");
const CLASSIFIER: &[u8] = include_bytes!("fixtures/classifier.skops");
const EXPECTED: &str = include_str!("fixtures/expected.json");

/// What a model answers to the rows, one after the other.
fn answers(model: &[u8]) -> Vec<f64> {
    let expected: Json = serde_json::from_str(EXPECTED).unwrap();
    let scorer = Scorer::compile(&read(model).unwrap().artifact).unwrap();
    let mut answers = vec![];
    for row in expected["rows"].as_array().unwrap() {
        let values = row.as_array().unwrap().iter().map(|value| match value {
            Json::Null => Value::Null,
            Json::String(text) => Value::Text(text),
            number if number.is_i64() => Value::Int(number.as_i64().unwrap()),
            number => Value::Float(number.as_f64().unwrap()),
        });
        let mut encoded = vec![0.0; scorer.encoder().columns()];
        scorer.encoder().encode_row(values, &mut encoded);
        let mut out = vec![0.0; scorer.outputs()];
        scorer.score_row(&encoded, &mut out).unwrap();
        answers.extend(out);
    }
    answers
}

fn assert_same(model: &[u8], name: &str) {
    let expected: Json = serde_json::from_str(EXPECTED).unwrap();
    let mut flat = vec![];
    for answer in expected[name].as_array().unwrap() {
        match answer.as_array() {
            Some(shares) => flat.extend(shares.iter().map(|share| share.as_f64().unwrap())),
            None => flat.push(answer.as_f64().unwrap()),
        }
    }
    let found = answers(model);
    assert_eq!(found.len(), flat.len());
    for (at, (found, expected)) in found.iter().zip(&flat).enumerate() {
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{name} {at}: {found}, not {expected}");
    }
}

#[test]
fn models_answer_what_their_libraries_answered() {
    assert_same(REGRESSION, "regression");
    assert_same(MULTICLASS, "multiclass");
    assert_same(CLASSIFIER, "classifier");
    assert_same(POISSON_JSON, "poisson");
    assert_same(POISSON_UBJSON, "poisson");
}

#[test]
fn an_estimator_keeps_the_names_of_its_classes() {
    let imported = read(CLASSIFIER).unwrap();

    assert_eq!(imported.format, Format::LightGbmSkops);
    assert_eq!(imported.artifact.classes, ["early", "late", "on time"]);
}

#[test]
fn archives_that_hold_no_estimator_are_refused() {
    let archive = |name: &str, text: &str| {
        let mut writer = rawzip::ZipArchiveWriter::new(vec![]);
        let (mut entry, config) = writer.new_file(name).start().unwrap();
        let mut data = config.wrap(&mut entry);
        std::io::Write::write_all(&mut data, text.as_bytes()).unwrap();
        let (_, descriptor) = data.finish().unwrap();
        entry.finish(descriptor).unwrap();
        writer.finish().unwrap()
    };
    let forest = r#"{"__class__": "RandomForestClassifier", "__module__": "sklearn.ensemble", "content": {}}"#;
    let unfitted = r#"{"__class__": "LGBMClassifier", "__module__": "lightgbm.sklearn",
        "content": {"content": {"_Booster": {"__class__": "str", "content": "null"}, "_class_map": {"content": "null"}}}}"#;
    for (bytes, words) in [
        (b"PK\x03\x04 cut off".to_vec(), "no whole archive"),
        (archive("data.pkl", "torch"), "archive without a schema.json"),
        (archive("schema.json", "{"), "cannot be read"),
        (archive("schema.json", forest), "sklearn.ensemble.RandomForestClassifier"),
        (archive("schema.json", unfitted), "was not fitted"),
        (CLASSIFIER[..CLASSIFIER.len() / 2].to_vec(), "no whole archive"),
    ] {
        let said = read(&bytes).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}

/// A model with a line of its text written otherwise.
fn rewritten(model: &[u8], from: &str, to: &str) -> ModelArtifact {
    let text = String::from_utf8(model.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    read(text.replace(from, to).as_bytes()).unwrap().artifact
}

#[test]
fn every_objective_that_learned_the_root_squares_its_scores() {
    for objective in ["regression", "regression_l1", "fair", "quantile", "mape"] {
        let link_of = |line: String| rewritten(REGRESSION, "objective=regression\n", &line).link;

        assert_eq!(link_of(format!("objective={objective}\n")), Link::Identity, "{objective}");
        assert_eq!(link_of(format!("objective={objective} sqrt\n")), Link::SignedSquare, "{objective}");
    }
}

#[test]
fn categories_that_pandas_kept_as_floats_are_the_whole_numbers_they_are() {
    let floats = rewritten(MULTICLASS, "[6, 12, 18]", "[6.0, 12.0, 18.0]");
    let fractions = rewritten(MULTICLASS, "[6, 12, 18]", "[6.0, 12.5, 18.0]");

    assert_eq!(floats, read(MULTICLASS).unwrap().artifact);
    assert_eq!(fractions.inputs[3].data_type, DataType::String);
}

#[test]
fn json_and_binary_json_are_the_same_model() {
    let (json, binary) = (read(POISSON_JSON).unwrap(), read(POISSON_UBJSON).unwrap());

    assert_eq!(json.artifact, binary.artifact);
    assert_eq!((json.format, binary.format), (Format::XgBoostJson, Format::XgBoostUbjson));
    assert_eq!(json.objective, "count:poisson");
}

#[test]
fn an_imported_model_is_stored_and_read_back() {
    for model in [REGRESSION, MULTICLASS, POISSON_JSON] {
        let artifact = read(model).unwrap().artifact;
        let Body::Trees(ensemble) = &artifact.body else { panic!("no trees") };
        assert!(!ensemble.sets.is_empty(), "the fixtures ask about categories");

        let read_back = ModelArtifact::from_bytes(&artifact.to_bytes().unwrap()).unwrap();

        assert_eq!(read_back, artifact);
    }
}

#[test]
fn what_cannot_be_run_is_said() {
    let change = |from: &str, to: &str| {
        let text = String::from_utf8(REGRESSION.to_vec()).unwrap();
        assert!(text.contains(from), "{from}");
        text.replace(from, to).into_bytes()
    };
    let changed_json = |from: &str, to: &str| {
        let text = String::from_utf8(POISSON_JSON.to_vec()).unwrap();
        assert!(text.contains(from), "{from}");
        text.replace(from, to).into_bytes()
    };
    for (bytes, words) in [
        (b"\x80\x04\x95 a pickle".to_vec(), "neither LightGBM text or skops nor XGBoost"),
        (vec![], "neither LightGBM text or skops nor XGBoost"),
        (change("is_linear=0", "is_linear=1"), "linear_tree"),
        (change("objective=regression", "objective=my_own"), "`my_own` is not known"),
        (change("end of trees", ""), "not whole"),
        (change("num_tree_per_iteration=1", "num_tree_per_iteration=9999999999"), "not whole iterations"),
        (change("max_feature_idx=3", "max_feature_idx=7"), "names 4 features and has 8"),
        (change("num_leaves=5", "num_leaves=4000000000"), "`leaf_value` has 5 numbers"),
        (changed_json("count:poisson", "count:sheep"), "`count:sheep` is not known"),
        (changed_json("\"name\":\"gbtree\"", "\"name\":\"gblinear\""), "`gblinear` is not run here"),
        (changed_json("\"num_class\":\"0\"", "\"num_class\":\"99999999\""), "more than the 10000 allowed"),
        (changed_json("\"num_target\":\"1\"", "\"num_target\":\"2\""), "2 targets"),
        (b"{\"learner\": 7}".to_vec(), "invalid type"),
        ([b"{".as_slice(), &b"L\x00\x00\x00\x00\x00\x00\x00\x01a["[..], &[b'['; 100]].concat(), "nested deeper"),
        (b"{L\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(), "a length is"),
        (b"{i\x07learner[$T#i\x05".to_vec(), "marker 0x54"),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "expected `{words}` in: {error}");
    }
}

#[test]
fn a_way_that_leads_back_is_refused() {
    let text = String::from_utf8(REGRESSION.to_vec()).unwrap();
    let line = text.lines().find(|line| line.starts_with("left_child=")).unwrap();
    let children = line.split_once('=').unwrap().1.split(' ').count();
    let back = format!("left_child={}", vec!["0"; children].join(" "));

    let error = read(text.replace(line, &back).as_bytes()).unwrap_err().to_string();

    assert!(error.contains("not a tree"), "{error}");
}

#[test]
fn sets_that_list_the_same_categories_again_are_refused() {
    let mut model: Json = serde_json::from_slice(POISSON_JSON).unwrap();
    let trees = model["learner"]["gradient_booster"]["model"]["trees"].as_array_mut().unwrap();
    let tree = trees.iter_mut().find(|tree| !tree["categories"].as_array().unwrap().is_empty()).unwrap();
    for name in ["categories_nodes", "categories_segments", "categories_sizes"] {
        let again = tree[name][0].clone();
        tree[name].as_array_mut().unwrap().push(again);
    }

    let error = read(model.to_string().as_bytes()).unwrap_err().to_string();

    assert!(error.contains("its sets have more categories than"), "{error}");
}

#[test]
fn a_model_cut_at_any_byte_is_refused_or_still_whole() {
    for model in [REGRESSION, MULTICLASS, POISSON_JSON, POISSON_UBJSON] {
        for end in 0..model.len() {
            check(&model[..end]);
        }
    }
    // of binary JSON only the end can be missing
    assert!(read(&POISSON_UBJSON[..POISSON_UBJSON.len() - 1]).is_err());
}

/// A model is refused, or it scores.
fn check(bytes: &[u8]) {
    if let Ok(imported) = read(bytes) {
        let scorer = Scorer::compile(&imported.artifact).unwrap();
        let mut out = vec![0.0; scorer.outputs()];
        for number in [0.0, 1.5, f64::NAN, -1e300] {
            scorer.score_row(&vec![number; scorer.encoder().columns()], &mut out).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn flipped_bits_are_refused_or_score(model in 0usize..4, flips in proptest::collection::vec(any::<(u32, u8)>(), 1..8)) {
        let mut bytes = [REGRESSION, MULTICLASS, POISSON_JSON, POISSON_UBJSON][model].to_vec();
        for (at, bit) in flips {
            let at = at as usize % bytes.len();
            bytes[at] ^= 1 << (bit % 8);
        }
        check(&bytes);
    }

    /// Digits in the places of digits reach the checks behind the parsers.
    #[test]
    fn changed_digits_are_refused_or_score(model in 0usize..3, changes in proptest::collection::vec(any::<(u32, u8)>(), 1..8)) {
        let mut bytes = [REGRESSION, MULTICLASS, POISSON_JSON][model].to_vec();
        let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
        for (at, digit) in changes {
            bytes[digits[at as usize % digits.len()]] = b'0' + digit % 10;
        }
        check(&bytes);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(head in 0usize..4, tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let head: &[u8] = [b"tree\n".as_slice(), b"{\"", b"{L", b"{i\x07learner{"][head];
        check(&[head, &tail].concat());
    }
}
