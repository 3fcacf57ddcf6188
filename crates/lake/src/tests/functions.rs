//! Functions make what they always made, and refuse to make more than a server can hold.

use datafusion::prelude::SessionContext;

use super::*;
use crate::lake::session_config;

async fn refusal(lake: &Lake, query: &str) -> Error {
    let collected = match lake.sql(query).await {
        Ok(frame) => frame.collect().await.map_err(Error::from),
        Err(error) => Err(error),
    };
    collected.err().unwrap_or_else(|| panic!("{query} is not refused"))
}

/// Rows of a number, as many as a batch has.
const ROWS: &str = "FROM (SELECT unnest(generate_series(1, 8192)) AS value)";

/// What the engine answers without a guard.
async fn unguarded(query: &str) -> Vec<RecordBatch> {
    let engine = SessionContext::new_with_config(session_config(2));
    engine.sql(query).await.unwrap().collect().await.unwrap()
}

#[tokio::test]
async fn a_function_that_would_make_more_than_it_may_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;

    for (function, query) in [
        ("repeat", "SELECT repeat('x', 2000000000 + value) FROM (SELECT unnest(generate_series(1, 8192)) AS value)"),
        ("repeat", "SELECT length(repeat('x', 2000000000))"),
        ("range", "SELECT range(0, 1000000000000)"),
        (
            "generate_series",
            "SELECT generate_series(0, 1000000000000 + value) FROM (SELECT unnest(generate_series(1, 2)) AS value)",
        ),
        ("lpad", "SELECT lpad('x', 2000000000)"),
        ("rpad", "SELECT rpad('x', 2000000000 + value, 'ab') FROM (SELECT unnest(generate_series(1, 2)) AS value)"),
        ("array_repeat", "SELECT array_repeat(1, 1000000000000)"),
        ("array_repeat", "SELECT list_repeat(value, 1000000000) FROM (SELECT unnest(generate_series(1, 2)) AS value)"),
        ("array_resize", "SELECT array_resize([1], 1000000000000)"),
        (
            "replace",
            "WITH t AS (SELECT repeat('x', 100000 + value) AS s FROM (SELECT unnest(generate_series(1, 1)) AS value)) \
             SELECT replace(s, 'x', s) FROM t",
        ),
        (
            "regexp_replace",
            "WITH t AS (SELECT repeat('x', 100000 + value) AS s FROM (SELECT unnest(generate_series(1, 1)) AS value)) \
             SELECT regexp_replace(s, 'x', s, 'g') FROM t",
        ),
        ("array_to_string", "SELECT array_to_string(array_repeat(1, 20000), repeat(',', 100000))"),
        ("array_replace_all", "SELECT array_replace_all(array_repeat('x', 20000), 'x', repeat('y', 100000))"),
        // of constants alone
        ("concat", "SELECT concat(repeat('x', 200000), repeat('y', 200000))"),
        ("concat_ws", "SELECT concat_ws(repeat('x', 200000), 'a', 'b', 'c')"),
        ("to_char", "SELECT to_char(TIMESTAMP '2024-01-01T00:00:00', repeat('%c', 100000))"),
        ("encode", "SELECT encode(repeat('x', 200000), 'hex')"),
        ("regexp_match", "SELECT regexp_match(repeat('x', 100000), '((((x*))))')"),
        ("string_to_array", "SELECT string_to_array(repeat('a,', 40000), ',')"),
        ("array_concat", "SELECT array_concat(range(0, 30000), range(0, 30000))"),
        ("array_union", "SELECT array_union(range(0, 30000), range(30000, 60000))"),
        ("arrays_zip", "SELECT arrays_zip(range(0, 30000), range(0, 30000))"),
        ("array_positions", "SELECT array_positions(array_repeat(true, 100000), true)"),
        // what the planner makes functions of
        ("||", "SELECT repeat('x', 200000) || repeat('y', 200000)"),
        ("array_concat", "SELECT range(0, 30000) || range(0, 30000)"),
        ("make_array", "SELECT [range(0, 30000), range(0, 30000)]"),
        ("overlay", "SELECT OVERLAY(repeat('x', 200000) PLACING repeat('y', 200000) FROM 1 FOR 0)"),
        (
            "approx_percentile_cont",
            "SELECT approx_percentile_cont(0.5, 1000000000000) WITHIN GROUP (ORDER BY value) \
             FROM (SELECT unnest(generate_series(1, 10)) AS value)",
        ),
    ] {
        let error = refusal(&lake, query).await;

        let words = error.to_string();
        assert!(words.contains(&format!("`{function}`")) && words.contains("the most is"), "{query}: {words}");
        assert!(!error.may_pass(), "{query} is refused each time");
    }
    assert_eq!(count(lake.sql(&format!("SELECT value {ROWS}")).await.unwrap()).await, 8_192);
}

#[tokio::test]
async fn a_type_whose_every_value_is_wide_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;

    for query in [
        "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)')",
        "SELECT arrow_try_cast(value, 'FixedSizeBinary(40000)') FROM (SELECT unnest(generate_series(1, 2)) AS value)",
        "SELECT CAST(NULL AS INT[2000000000])",
        "SELECT TRY_CAST([value] AS INT[2000000000]) FROM (SELECT unnest(generate_series(1, 2)) AS value)",
    ] {
        let error = refusal(&lake, query).await.to_string();

        assert!(error.contains("each value of the type") && error.contains("the most is 32768"), "{query}: {error}");
    }
}

#[tokio::test]
async fn a_limit_beyond_all_rows_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;

    let greatest = "SELECT value % 3 AS k, max(value) AS greatest FROM (SELECT unnest(generate_series(1, 100)) AS value) GROUP BY k \
                    ORDER BY greatest DESC NULLS LAST LIMIT 1000000000000";

    assert_eq!(count(lake.sql(greatest).await.unwrap()).await, 3);
    let collected = lake.sql(greatest).await.unwrap().collect().await.unwrap();
    assert_eq!(collected.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
}

#[tokio::test]
async fn what_functions_make_is_what_they_make_without_a_guard() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;

    for expression in [
        "repeat(s, n)",
        "repeat('ab', 3)",
        "lpad(s, 8)",
        "lpad(s, abs(n), 'xy')",
        "rpad(s, 5, 'ü')",
        "replace(s, 'a', s)",
        r"regexp_replace(s, '(a)(b)', '\2\1\2', 'g')",
        "regexp_replace(s, 'n', '', 'i')",
        "regexp_match(s, '(b)(c)?')",
        "concat(s, '-', n)",
        "concat(s || 'x', 'y', 'z', NULL, s)",
        "concat_ws(', ', s, NULL, n)",
        "concat_ws('', s, 'a', 'b')",
        "s || '-' || n",
        "'<' || s",
        "s || NULL",
        "upper(s || s) || 'x'",
        "OVERLAY(s PLACING 'zz' FROM 2 FOR 1)",
        "encode(s, 'hex')",
        "to_char(DATE '2024-02-03', '%Y/%m')",
        "date_format(TIMESTAMP '2024-02-03T04:05:06', '%c')",
        "string_to_array(s, 'b')",
        "range(n)",
        "range(n, 0, -1)",
        "generate_series(1, n)",
        "generate_series(DATE '2024-01-01', DATE '2024-03-01', INTERVAL '1 month')",
        "range(TIMESTAMP '2024-01-01T00:00:00', TIMESTAMP '2024-01-02T00:00:00', INTERVAL '6 hours')",
        "make_array(s, 'b')",
        "[n, 1]",
        "array_append([1], n)",
        "[1] || [2, 3]",
        "array_repeat(s, abs(n))",
        "array_repeat([n], 2)",
        "array_resize([1], abs(n), 7)",
        "array_replace([1, 2, 1], 1, n)",
        "array_replace_all([1, 2, 1], 1, n)",
        "array_to_string([1, NULL, 3], s, '?')",
        "arrays_zip([1], [2, 3])",
        "array_positions([1, 2, 1], 1)",
        "array_union([1], [2])",
        "array_has([s, 'b'], 'b')",
        "array_has([s, 'c'], 'b')",
        "array_contains(make_array(s, 'c'), 'b')",
        "array_has([n, 1], n)",
        "arrow_cast(n, 'Utf8')",
        "arrow_cast(s, 'LargeUtf8') || 'x'",
        "arrow_cast(s, 'Utf8View') || s",
        "arrow_cast(arrow_cast(s, 'Binary') || arrow_cast(s, 'Binary'), 'Utf8')",
    ] {
        let rows = "(VALUES ('abc', 3), (NULL, 2), ('', -1), ('ñandú', NULL)) AS t(s, n)";
        let query = format!("SELECT {expression} FROM {rows}");

        let guarded = lake.sql(&query).await.unwrap().collect().await.unwrap();

        assert_eq!(guarded, unguarded(&query).await, "{expression}");
    }
}

#[tokio::test]
async fn a_batch_whose_bound_is_too_high_is_made_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    // one long text and one great count, in different rows
    let query = "SELECT value, repeat(CASE WHEN value = 7 THEN repeat('x', 20000) ELSE 'y' END, \
                 CASE WHEN value = 900 THEN 20000 ELSE 2 END) AS text FROM (SELECT unnest(generate_series(1, 1000)) AS value) ORDER BY value";

    let parts = lake.sql(query).await.unwrap().collect().await.unwrap();

    let of = |batches: &[RecordBatch]| arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap();
    assert_eq!(of(&parts), of(&unguarded(query).await));
}
