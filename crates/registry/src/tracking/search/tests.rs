//! Searches against an oracle that looks at every record, sorts them all, and knows nothing of indexes or cursors.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use mainspring_catalog::{Principal, Stored};
use proptest::prelude::*;

use super::page::search;
use super::*;
use crate::tracking::index::Index;
use crate::tracking::points::{Point, Series};
use crate::{DatasetInput, Environment, Experiment, Origin, Run, RunStatus, Stage};

/// What a run of the test is: its record, and the metrics that lie in the store of points.
#[derive(Debug, Clone)]
struct Made {
    run: Run,
    metrics: BTreeMap<String, f64>,
}

fn stored<D>(version: i64, document: D) -> Stored<D> {
    Stored { version, created_at: Timestamp::UNIX_EPOCH, updated_at: Timestamp::UNIX_EPOCH, document }
}

fn experiment(number: u64) -> Experiment {
    Experiment {
        name: format!("experiment {number}"),
        key: number.to_string(),
        number: Some(number),
        ..Experiment::default()
    }
}

fn run(id: usize) -> Run {
    Run {
        id: format!("{id:032x}"),
        experiment: "1".into(),
        name: None,
        origin: Origin::Client,
        stage: Stage::Active,
        deleted_at: None,
        user: None,
        model: None,
        parent: None,
        status: RunStatus::Running,
        params: BTreeMap::new(),
        tags: BTreeMap::new(),
        by: Principal::local_owner(),
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
        commit: None,
        environment: Environment::elsewhere(),
        tables: BTreeMap::new(),
        metrics: BTreeMap::new(),
        artifacts: vec![],
        inputs: vec![],
        model_inputs: vec![],
        model_outputs: vec![],
        version: None,
        error: None,
    }
}

fn index_of(made: &[Made]) -> Index {
    let index = Index::default();
    for number in 0..3 {
        index.put_experiment(stored(1, experiment(number)));
    }
    let mut id = 0;
    for (version, Made { run, metrics }) in (2..).zip(made) {
        for (key, value) in metrics {
            id += 1;
            let last = Point { step: 1, at_ms: 1, value: *value };
            index.put_series(&run.id, key, Series { id, last, at_ms_max: last.at_ms });
        }
        index.put_run(stored(version, run.clone()));
    }
    index
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("ab"), Just("A"), Just(""), Just("a%b"), Just("a\nb")].prop_map(Into::into)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(2.5),
        Just(-1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY)
    ]
}

fn few<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    prop::collection::btree_map(prop_oneof![Just("x".to_owned()), Just("y".to_owned())], value, 0..3)
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![3 => Just(Stage::Active), 1 => Just(Stage::Deleted)]
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let inputs = prop::collection::vec((word(), word(), prop::option::of(word())), 0..3);
    let one = (
        0_u64..3,
        stage(),
        few(word()),
        few(word()),
        few(number()),
        (0_i64..4, prop::option::of(0_i64..4)),
        (prop::option::of(word()), word()),
        inputs,
    );
    prop::collection::vec(one, 0..25).prop_map(|all| {
        let made = all.into_iter().enumerate();
        made.map(|(id, (number, stage, params, tags, metrics, (started, ended), (name, user), inputs))| Made {
            run: Run {
                experiment: number.to_string(),
                stage,
                params,
                tags,
                name,
                user: Some(user),
                started_at: Timestamp::from_millisecond(started).unwrap(),
                ended_at: ended.map(|ended| Timestamp::from_millisecond(ended).unwrap()),
                inputs: inputs
                    .into_iter()
                    .map(|(name, digest, context)| DatasetInput {
                        name,
                        digest,
                        tags: context.map(|context| ("mlflow.data.context".to_owned(), context)).into_iter().collect(),
                    })
                    .collect(),
                ..run(id)
            },
            metrics,
        })
        .collect()
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("x".to_owned()), Just("y".to_owned()), Just("unknown".to_owned())]
}

fn number_test() -> impl Strategy<Value = NumberTest> {
    (0..6, number()).prop_map(|(kind, bound)| match kind {
        0 => NumberTest::Equal(bound),
        1 => NumberTest::NotEqual(bound),
        2 => NumberTest::Above(bound),
        3 => NumberTest::AtLeast(bound),
        4 => NumberTest::Below(bound),
        _ => NumberTest::AtMost(bound),
    })
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![Just("%"), Just("a%"), Just("_"), Just("a_b"), Just("%b"), Just("")].prop_map(Into::into)
}

fn text_test() -> impl Strategy<Value = TextTest> {
    prop_oneof![
        word().prop_map(TextTest::Equal),
        word().prop_map(TextTest::NotEqual),
        prop::collection::hash_set(word(), 1..3).prop_map(TextTest::In),
        prop::collection::hash_set(word(), 1..3).prop_map(TextTest::NotIn),
        pattern().prop_map(|pattern| TextTest::Like(Pattern::like(&pattern).unwrap())),
        Just(TextTest::IsNull),
        Just(TextTest::IsNotNull),
    ]
}

fn clause() -> impl Strategy<Value = RunClause> {
    prop_oneof![
        (key(), number_test()).prop_map(|(key, test)| RunClause::Metric(key, test)),
        (key(), text_test()).prop_map(|(key, test)| RunClause::Param(key, test)),
        (key(), text_test()).prop_map(|(key, test)| RunClause::Tag(key, test)),
        text_test().prop_map(|test| RunClause::Text(TextField::Name, test)),
        text_test().prop_map(|test| RunClause::Text(TextField::User, test)),
        number_test().prop_map(|test| RunClause::Number(NumberField::Started, test)),
        number_test().prop_map(|test| RunClause::Number(NumberField::Ended, test)),
        text_test().prop_map(|test| RunClause::Dataset(DatasetField::Name, test)),
        text_test().prop_map(|test| RunClause::Dataset(DatasetField::Context, test)),
    ]
}

fn order() -> impl Strategy<Value = RunOrder> {
    let key = prop_oneof![
        key().prop_map(OrderKey::Metric),
        key().prop_map(OrderKey::Param),
        key().prop_map(OrderKey::Tag),
        Just(OrderKey::Text(TextField::Name)),
        Just(OrderKey::Number(NumberField::Started)),
        Just(OrderKey::Number(NumberField::Ended)),
    ];
    (key, any::<bool>()).prop_map(|(key, ascending)| RunOrder { key, ascending })
}

fn query() -> impl Strategy<Value = RunQuery> {
    let view = prop_oneof![3 => Just(StageView::Active), 1 => Just(StageView::Deleted), 1 => Just(StageView::All)];
    let (clauses, order) = (prop::collection::vec(clause(), 0..3), prop::collection::vec(order(), 0..3));
    let experiments = prop::collection::vec(0_u64..4, 1..4);
    (experiments, view, clauses, order, 1_usize..6).prop_map(|(experiments, view, clauses, order, limit)| RunQuery {
        experiments,
        view,
        clauses,
        order,
        after: None,
        limit,
    })
}

fn number_holds(test: NumberTest, value: Option<f64>) -> bool {
    let Some(value) = value else { return false };
    match test {
        NumberTest::Equal(bound) => value == bound,
        NumberTest::NotEqual(bound) => value != bound,
        NumberTest::Above(bound) => value > bound,
        NumberTest::AtLeast(bound) => value >= bound,
        NumberTest::Below(bound) => value < bound,
        NumberTest::AtMost(bound) => value <= bound,
    }
}

fn oracle_holds(clause: &RunClause, Made { run, metrics }: &Made) -> bool {
    let ended = run.ended_at.map(Timestamp::as_millisecond);
    match clause {
        RunClause::Metric(key, test) => number_holds(*test, metrics.get(key).copied()),
        RunClause::Param(key, test) => test.holds(run.params.get(key).map(String::as_str)),
        RunClause::Tag(key, test) => test.holds(run.tags.get(key).map(String::as_str)),
        RunClause::Text(TextField::Name, test) => test.holds(run.name.as_deref()),
        RunClause::Text(_, test) => test.holds(run.user.as_deref()),
        RunClause::Number(NumberField::Started, test) => {
            number_holds(*test, Some(run.started_at.as_millisecond() as f64))
        }
        RunClause::Number(NumberField::Ended, test) => number_holds(*test, ended.map(|ended| ended as f64)),
        RunClause::Dataset(field, test) => run.inputs.iter().any(|input| match field {
            DatasetField::Name => test.holds(Some(&input.name)),
            DatasetField::Digest => test.holds(Some(&input.digest)),
            DatasetField::Context => {
                input.tags.get("mlflow.data.context").is_some_and(|context| test.holds(Some(context)))
            }
        }),
    }
}

/// Numbers before NaN before nothing, whichever way the rest goes.
fn oracle_compare(order: &RunOrder, a: &Made, b: &Made) -> Ordering {
    #[derive(PartialEq, PartialOrd)]
    enum Value {
        Number(f64),
        Text(String),
    }
    let value = |Made { run, metrics }: &Made| match &order.key {
        OrderKey::Metric(key) => metrics.get(key).map(|value| Value::Number(*value)),
        OrderKey::Param(key) => run.params.get(key).cloned().map(Value::Text),
        OrderKey::Tag(key) => run.tags.get(key).cloned().map(Value::Text),
        OrderKey::Text(_) => run.name.clone().map(Value::Text),
        OrderKey::Number(NumberField::Started) => Some(Value::Number(run.started_at.as_millisecond() as f64)),
        OrderKey::Number(NumberField::Ended) => run.ended_at.map(|ended| Value::Number(ended.as_millisecond() as f64)),
    };
    let class = |value: &Option<Value>| match value {
        Some(Value::Number(number)) if number.is_nan() => 1,
        Some(_) => 0,
        None => 2,
    };
    let (a, b) = (value(a), value(b));
    let by_value = || match (&a, &b) {
        (Some(a), Some(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        _ => Ordering::Equal,
    };
    let directed = || if order.ascending { by_value() } else { by_value().reverse() };
    class(&a).cmp(&class(&b)).then_with(directed)
}

fn oracle(made: &[Made], query: &RunQuery) -> Vec<String> {
    let experiments: HashSet<String> = query.experiments.iter().map(ToString::to_string).collect();
    let mut found: Vec<&Made> = made
        .iter()
        .filter(|made| experiments.contains(&made.run.experiment) && query.view.sees(made.run.stage))
        .filter(|made| query.clauses.iter().all(|clause| oracle_holds(clause, made)))
        .collect();
    found.sort_by(|a, b| {
        let mut compared = Ordering::Equal;
        for order in &query.order {
            compared = compared.then_with(|| oracle_compare(order, a, b));
        }
        if !query.order.iter().any(|order| order.key == OrderKey::Number(NumberField::Started)) {
            compared = compared.then_with(|| b.run.started_at.cmp(&a.run.started_at));
        }
        compared.then_with(|| a.run.id.cmp(&b.run.id))
    });
    found.into_iter().map(|made| made.run.id.clone()).collect()
}

proptest! {
    #[test]
    fn pages_of_a_search_are_what_an_oracle_finds(made in made(), query in query()) {
        let index = index_of(&made);
        let mut query = query;
        let mut found = Vec::new();
        // each page but the last is full, so this many are enough
        for _ in 0..=made.len() {
            let page = search(&index, &query);
            prop_assert!(page.runs.len() <= query.limit);
            found.extend(page.runs.iter().map(|(run, _)| run.id.to_string()));
            match page.next {
                Some(next) => {
                    // as it comes back from a client
                    let text = serde_json::to_string(&next).unwrap();
                    query.after = Some(serde_json::from_str(&text).unwrap());
                }
                None => break,
            }
        }
        prop_assert_eq!(found, oracle(&made, &query));
    }
}

#[test]
fn a_pattern_knows_case_and_its_two_signs_alone() {
    let like = |pattern: &str, text: &str| Pattern::like(pattern).unwrap().matches(text);

    assert!(like("a%", "abc") && like("a_c", "abc") && like("%", "") && like("a.c", "a.c"));
    assert!(!like("a.c", "abc") && !like("A%", "abc") && !like("a", "ab") && !like("_", ""));
    assert!(Pattern::ilike("A%").unwrap().matches("abc"));
    assert!(Pattern::like(&"%a".repeat(6_000)).is_err());
}

#[test]
fn a_run_of_a_deleted_experiment_counts_as_deleted() {
    let index = index_of(&[Made { run: run(1), metrics: BTreeMap::new() }]);
    index.put_experiment(stored(9, Experiment { stage: Stage::Deleted, ..experiment(1) }));
    let query = |view| RunQuery { experiments: vec![1], view, clauses: vec![], order: vec![], after: None, limit: 10 };

    assert_eq!(search(&index, &query(StageView::Active)).runs.len(), 0);
    assert_eq!(search(&index, &query(StageView::Deleted)).runs.len(), 1);
}
