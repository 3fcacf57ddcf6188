//! Whatever bytes a file holds: no panic, and every row is accounted for.

use proptest::prelude::*;
use serde_json::json;

use super::{House, source};

fn csv_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b",".to_vec()),
        4 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        2 => Just(b"\"".to_vec()),
        3 => "[a-z0-9.]{0,4}".prop_map(String::into_bytes),
        2 => (-5_i64..20).prop_map(|n| format!("{n},a\n").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn ingested(name: &str, content: &[u8], more: serde_json::Value) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let house = House::new().await;
        house.write(&format!("data/{name}"), content);
        // `ingest` asserts that rows read are rows landed, superseded, quarantined and dropped.
        let report = house.ingest(&source(more)).await;
        if report.version.is_some() {
            let rows = house.integers("SELECT count(*) FROM t").await;
            assert_eq!(rows, [i64::try_from(report.rows_landed).unwrap()]);
            if report.rows_quarantined > 0 {
                let rows = house.integers("SELECT count(*) FROM quarantine.t").await;
                assert_eq!(rows, [i64::try_from(report.rows_quarantined).unwrap()]);
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_csv_is_accounted_for(body in csv_like()) {
        let checks = json!([
            {"range": {"column": "id", "min": 0, "max": 15}, "on_fail": "drop"},
            {"unique": ["name"]},
        ]);
        ingested("a.csv", &[b"id,name\n".as_slice(), &body].concat(), json!({"key": ["id"], "checks": checks}));
    }

    #[test]
    fn any_bytes_in_any_format_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        ingested("a.csv", &body, json!({}));
        ingested("a.jsonl", &body, json!({}));
        ingested("a.parquet", &[b"PAR1".as_slice(), &body, b"PAR1"].concat(), json!({}));
    }
}
