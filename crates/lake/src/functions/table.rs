//! Which functions are guarded, and how each of them grows.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::analyzer::function_rewrite::ApplyFunctionRewrites;

use super::concatenation::Concatenation;
use super::growth::Growth;
use super::guard::Guarded;
use super::rewrite::Guarding;

/// The functions that make more than they are given, by their first names.
const GROWING: [(&str, Growth); 33] = [
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::RegexpReplace),
    ("regexp_match", Growth::RegexpMatch),
    ("concat", Growth::Times(1)),
    ("concat_ws", Growth::Separate),
    // with a count below zero, a part of the text stands on both sides of what is put into it
    ("overlay", Growth::Times(2)),
    ("encode", Growth::Times(2)),
    ("to_char", Growth::Format),
    // a character becomes an item, with a view of 16 bytes at the most
    ("string_to_array", Growth::Times(17)),
    ("range", Growth::Series),
    ("generate_series", Growth::Series),
    ("make_array", Growth::Times(1)),
    ("map", Growth::Times(1)),
    ("array_append", Growth::Times(1)),
    ("array_prepend", Growth::Times(1)),
    ("array_concat", Growth::Times(1)),
    ("array_union", Growth::Times(1)),
    // makes its list once for each row
    ("array_has", Growth::Times(1)),
    ("array_repeat", Growth::ListRepeat),
    ("array_resize", Growth::ListResize),
    ("array_replace", Growth::ListReplace),
    ("array_replace_n", Growth::ListReplace),
    ("array_replace_all", Growth::ListReplace),
    ("array_positions", Growth::ListPositions),
    ("array_to_string", Growth::ListJoin),
    ("arrays_zip", Growth::ListZip),
    ("arrow_cast", Growth::Cast),
    ("arrow_try_cast", Growth::Cast),
    ("cast_to_type", Growth::Cast),
    ("try_cast_to_type", Growth::Cast),
];

/// A built-in function, and the one in its place.
struct Pair {
    built_in: Arc<ScalarUDF>,
    guarded: Arc<ScalarUDF>,
}

fn pair(built_in: Arc<ScalarUDF>, growth: Growth) -> Pair {
    let guarded = Arc::new(ScalarUDF::new_from_impl(Guarded::over(built_in.clone(), growth)));
    Pair { built_in, guarded }
}

static PAIRS: LazyLock<HashMap<String, Pair>> = LazyLock::new(|| {
    let growing = HashMap::from(GROWING);
    let guarded = |function: Arc<ScalarUDF>| {
        let growth = growing.get(function.name())?;
        Some((function.name().to_owned(), pair(function, *growth)))
    };
    SessionStateDefaults::default_scalar_functions().into_iter().filter_map(guarded).collect()
});

static CONCATENATION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let operator = Arc::new(ScalarUDF::new_from_impl(Concatenation::default()));
    pair(operator, Growth::Times(1)).guarded
});

/// The guarded function in place of a built-in one; none where it needs no guard or has it.
pub(super) fn in_place_of(function: &Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>> {
    let known = PAIRS.get(function.name())?;
    (known.built_in == *function).then(|| known.guarded.clone())
}

/// The built-in function behind a guarded one.
pub(super) fn behind(function: &Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>> {
    let known = PAIRS.get(function.name())?;
    (known.guarded == *function).then(|| known.built_in.clone())
}

/// The function in place of the operator `||`.
pub(super) fn concatenation() -> Arc<ScalarUDF> {
    CONCATENATION.clone()
}

/// An engine whose functions have a bound.
pub(crate) fn guarded(mut engine: SessionStateBuilder) -> SessionStateBuilder {
    for function in engine.scalar_functions().iter_mut().flatten() {
        if let Some(guarded) = in_place_of(function) {
            *function = guarded;
        }
    }
    engine.with_analyzer_rule(Arc::new(ApplyFunctionRewrites::new(vec![Arc::new(Guarding)])))
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionState;

    use super::*;

    fn engine() -> SessionState {
        guarded(SessionStateBuilder::new().with_default_features()).build()
    }

    #[test]
    fn every_function_of_the_table_is_there_and_guarded_under_all_its_names() {
        let engine = engine();

        for (name, _) in GROWING {
            let known = PAIRS.get(name).unwrap_or_else(|| panic!("there is no function {name}"));
            let aliases = known.built_in.aliases().iter().map(String::as_str);
            for called in aliases.chain([name]) {
                let found = &engine.scalar_functions()[called];
                assert!(found.inner().is::<Guarded>(), "{called} is called without a guard");
                assert_eq!(found.name(), name);
            }
        }
    }

    #[test]
    fn a_guarded_function_tells_of_itself_what_the_built_in_one_does() {
        for Pair { built_in, guarded } in PAIRS.values() {
            let name = built_in.name();
            assert_eq!(guarded.aliases(), built_in.aliases(), "{name}");
            assert_eq!(guarded.signature(), built_in.signature(), "{name}");
            assert_eq!(guarded.documentation(), built_in.documentation(), "{name}");
            assert_eq!(guarded.is_strict(), built_in.is_strict(), "{name}");
            assert_eq!(guarded.short_circuits(), built_in.short_circuits(), "{name}");
            assert_eq!(in_place_of(built_in).as_ref(), Some(guarded), "{name}");
            assert_eq!(in_place_of(guarded), None, "{name} is guarded once");
            assert_eq!(behind(guarded).as_ref(), Some(built_in), "{name}");
        }
    }
}
