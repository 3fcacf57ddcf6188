//! Any course of writes against a plain list: what is read at each version is what was written by then.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append {
        first: i64,
        rows: i64,
    },
    Overwrite {
        first: i64,
        rows: i64,
    },
    ReplaceKeys {
        first: i64,
        rows: i64,
    },
    Delete {
        below: i64,
    },
    /// The last write again.
    Repeat,
    Maintain,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0_i64..40, 0_i64..15);
    prop_oneof![
        4 => range().prop_map(|(first, rows)| Step::Append { first, rows }),
        1 => range().prop_map(|(first, rows)| Step::Overwrite { first, rows }),
        2 => range().prop_map(|(first, rows)| Step::ReplaceKeys { first, rows }),
        1 => (0_i64..40).prop_map(|below| Step::Delete { below }),
        1 => Just(Step::Repeat),
        1 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
    ]
}

type Rows = Vec<(i64, String)>;

/// What the list is after a step.
fn follow(rows: &mut Rows, step: &Step, value: &str) {
    let new = |first: i64, number: i64| (first..first + number).map(|id| (id, value.to_owned()));
    match *step {
        Step::Append { first, rows: number } => rows.extend(new(first, number)),
        Step::Overwrite { first, rows: number } => *rows = new(first, number).collect(),
        Step::ReplaceKeys { first, rows: number } => {
            rows.retain(|row| row.0 < first || row.0 >= first + number);
            rows.extend(new(first, number));
        }
        Step::Delete { below } => rows.retain(|row| row.0 >= below),
        Step::Repeat | Step::Maintain | Step::Reopen => {}
    }
    rows.sort();
}

async fn take(lake: &Lake, step: &Step, value: &str, id: WriteId) -> Option<Committed> {
    let batch = |first: i64, number: i64| stream(rows(first..first + number, value));
    let key = ["id".to_owned()];
    Some(match *step {
        Step::Append { first, rows } => lake.append(&events(), batch(first, rows), id).await.unwrap(),
        Step::Overwrite { first, rows } => lake.overwrite(&events(), batch(first, rows), id).await.unwrap(),
        Step::ReplaceKeys { first, rows } => lake.replace_keys(&events(), &key, batch(first, rows), id).await.unwrap(),
        Step::Delete { below } if lake.exists(&events()).await.unwrap() => {
            lake.delete(&events(), &format!("id < {below}"), id).await.unwrap()
        }
        _ => return None,
    })
}

async fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = open(folder.path()).await;
    let mut model = Rows::new();
    let mut versions: Vec<(u64, Rows)> = vec![];
    let mut last: Option<(Step, String, WriteId)> = None;
    for (sequence, step) in (0..).zip(steps) {
        let value = format!("write {sequence}");
        match &step {
            Step::Reopen => lake = open(folder.path()).await,
            Step::Maintain => drop(lake.maintain(MaintainOptions::default()).await.unwrap()),
            Step::Repeat => {
                if let Some((step, value, id)) = &last {
                    assert!(take(&lake, step, value, id.clone()).await.unwrap().replayed);
                }
            }
            step => {
                if let Some(done) = take(&lake, step, &value, id(sequence)).await {
                    assert!(!done.replayed);
                    follow(&mut model, step, &value);
                    versions.push((done.version, model.clone()));
                    last = Some((step.clone(), value, id(sequence)));
                }
            }
        }
        if !versions.is_empty() {
            assert_eq!(contents(lake.read(&events(), At::Latest).await.unwrap()).await, model, "after {step:?}");
        }
    }
    for (version, rows) in &versions {
        assert_eq!(&contents(lake.read(&events(), At::Version(*version)).await.unwrap()).await, rows, "at {version}");
    }
    for pair in versions.windows(2) {
        let (from, to) = (pair[0].0, pair[1].0);
        match lake.added_since(&events(), Some(from), to).await {
            Ok(added) => {
                let mut whole = [pair[0].1.clone(), contents(added).await].concat();
                whole.sort();
                assert_eq!(whole, pair[1].1, "from {from} to {to}");
            }
            Err(Error::Rewritten { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn every_version_reads_as_it_was_written(steps in proptest::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
