//! Offline and online agree in a shop, whatever comes when, and are what one computes by hand.

use jiff::Timestamp;
use mainspring_catalog::Principal;
use proptest::prelude::*;

use super::shop::{Event, Shop, assert_same, changed, event, events};
use super::world::{HOUR, MINUTE, START, block_on};
use crate::{MissReason, OnlineStore, Scope, Value};

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn online_agrees_with_offline_bit_for_bit_while_time_goes_on(
        events in events(), late in events(), moments in prop::collection::vec(0..60_i64, 1..12)
    ) {
        block_on(async {
            let shop = Shop::new().await;
            shop.add(1, &events).await;
            shop.backfill().await;
            for step in 1..=12 {
                let now = START + step * HOUR;
                if step == 6 {
                    shop.add(2, &late).await;
                    shop.backfill().await;
                }
                shop.materialize(Some(now)).await;
                // Requests ask for moments in the last hour, among customers one of whom nobody knows.
                let customers = [Some("ann"), Some("bob"), Some("eve"), Some("zoe"), Some("nobody"), None];
                let rows: Vec<(Option<String>, i64)> = moments
                    .iter()
                    .flat_map(|minute| customers.map(|who| (who.map(str::to_owned), now - minute * MINUTE)))
                    .collect();
                assert_same(&shop.offline(&rows).await, &shop.online(&rows).await, &format!("hour {step}"));
            }
        });
    }

    #[test]
    fn what_is_known_later_changes_nothing(events in events(), other in events(), at in 0..600_i64) {
        block_on(async {
            let at = START + at * MINUTE;
            let rows: Vec<_> = ["ann", "bob", "eve", "zoe"].map(|who| (Some(who.to_owned()), at)).to_vec();
            let before: Vec<Event> = events.iter().filter(|event| event.known <= at).cloned().collect();
            // Another future: rows of other values, known only after the moment.
            let future = other.into_iter().map(|event| Event { known: event.known.max(at + 1), ..event });
            let mut changed = before.clone();
            changed.extend(future);

            let (one, two) = (Shop::new().await, Shop::new().await);
            one.add(1, &events).await;
            two.add(1, &changed).await;
            one.backfill().await;
            two.backfill().await;

            let (one, two) = (one.offline(&rows).await, two.offline(&rows).await);
            for (row, (a, b)) in one.iter().zip(&two).enumerate() {
                assert!(a.iter().zip(b).all(|(a, b)| a.same(b)), "row {row}: {a:?} {b:?}");
            }
        });
    }
}

#[test]
fn values_are_those_one_computes_by_hand() {
    block_on(async {
        let shop = Shop::new().await;
        let noon = START + 12 * HOUR;
        let events = [
            event("ann", noon - 5 * HOUR, noon - 5 * HOUR, 10.0),
            event("ann", noon - HOUR / 2, noon - HOUR / 2, 4.0),
            // Happened before, known only in half an hour.
            event("ann", noon - HOUR / 4, noon + HOUR / 2, 100.0),
            event("bob", noon - 3 * HOUR, noon - 3 * HOUR, 7.0),
            // An equal event is another event.
            event("bob", noon - 3 * HOUR, noon - 3 * HOUR, 7.0),
        ];
        shop.add(1, &events).await;
        shop.backfill().await;
        let rows =
            [(Some("ann".to_owned()), noon), (Some("ann".to_owned()), noon + HOUR), (Some("bob".to_owned()), noon)];

        let found = shop.offline(&rows).await;

        let value = |row: usize, name: &str| found[row][shop.input(name)].clone();
        assert!(value(0, "amount").same(&Value::Float(4.0)), "{found:?}");
        assert!(value(0, "spent_1h").same(&Value::Float(4.0)));
        assert!(value(0, "spent_6h").same(&Value::Float(14.0)));
        assert!(value(0, "events_6h").same(&Value::Int(2)));
        assert!(value(0, "age").same(&Value::Int(33)), "{:?}", value(0, "age"));
        assert!(value(1, "amount").same(&Value::Float(100.0)));
        assert!(value(1, "spent_6h").same(&Value::Float(104.0)));
        assert!(value(2, "amount").is_null(), "three hours are more than the two it lives");
        assert!(value(2, "events_6h").same(&Value::Int(2)));
        assert!(value(2, "born").same(&Value::Int(1990)));
    });
}

#[test]
fn new_files_are_folded_in_and_the_same_twice_does_nothing() {
    block_on(async {
        let shop = Shop::new().await;
        let owner = Principal::local_owner();
        let first: Vec<Event> = (0..50).map(|number| event("ann", START + number, START + number, 0.1)).collect();
        shop.add(1, &first).await;
        let whole = shop.features.backfill("spending", &owner).await.unwrap();
        shop.add(2, &first[..5]).await;

        let added = shop.features.backfill("spending", &owner).await.unwrap();
        let again = shop.features.backfill("spending", &owner).await.unwrap();

        assert_eq!((whole.materialization.scope, whole.materialization.rows_written), (Scope::Whole, 50));
        assert_eq!((added.materialization.scope, added.materialization.rows_written), (Scope::New, 5));
        assert!(again.unchanged);
        let fresh = shop.features.freshness("spending").await.unwrap();
        assert_eq!((fresh.rows, fresh.entities, fresh.version), (55, 1, Some(added.materialization.version)));
        assert_eq!(fresh.latest_event_time.unwrap().as_microsecond(), START + 49);
    });
}

#[test]
fn misses_say_why() {
    block_on(async {
        let shop = Shop::new().await;
        shop.add(1, &[event("ann", START, START, 1.0), event("ann", START + 100 * HOUR, START + 100 * HOUR, 1.0)])
            .await;
        shop.backfill().await;
        let rows =
            [(Some("ann".to_owned()), START), (Some("who".to_owned()), START + 100 * HOUR), (None, START + 100 * HOUR)];

        let before = shop.online(&rows[..1]).await;
        shop.materialize(None).await;
        let after = shop.online(&rows).await;

        let reasons = |found: &crate::FeatureRows, row: usize| {
            found
                .missed
                .iter()
                .filter(|miss| miss.row == row && miss.view == "spending")
                .map(|miss| miss.reason)
                .collect::<Vec<_>>()
        };
        assert_eq!(reasons(&before, 0), [MissReason::NotMaterialized]);
        assert_eq!(reasons(&after, 0), [MissReason::TooEarly]);
        assert_eq!(reasons(&after, 1), [MissReason::UnknownEntity]);
        assert_eq!(reasons(&after, 2), [MissReason::NoKey]);
    });
}

#[test]
fn wider_window_is_never_answered_from_rows_kept_for_a_shorter_one() {
    block_on(async {
        let mut shop = Shop::new().await;
        let events: Vec<Event> =
            (0..300).map(|n| event("ann", START + n * HOUR / 10, START + n * HOUR / 10, 0.1 * n as f64)).collect();
        // Of bob nothing is kept for six hours.
        let old = [event("bob", START + 2 * HOUR, START + 2 * HOUR, 5.0)];
        shop.add(1, &[&events[..], &old[..]].concat()).await;
        shop.backfill().await;
        let now = START + 29 * HOUR;
        let rows = [(Some("ann".to_owned()), now), (Some("bob".to_owned()), now)];
        shop.materialize(Some(now - 2 * HOUR)).await;
        shop.materialize(Some(now)).await;
        let wide = changed("function: count, windows: [1h, 6h]", "function: count, windows: [1h, 6h, 28h]");
        let materialized = async |shop: &Shop| {
            let until = Some(Timestamp::from_microsecond(now).unwrap());
            shop.features.materialize_online("spending", until).await.unwrap()
        };

        shop.apply(&wide);
        let (truth, before) = (shop.offline(&rows).await, shop.online(&rows).await);
        let read = shop.read("spending", "events_1d4h", &["ann", "bob"], now).await;
        let first = materialized(&shop).await;
        let after = shop.online(&rows).await;
        let again = materialized(&shop).await;

        let (of_day, of_hours) = (shop.input("events_1d4h"), shop.input("events_6h"));
        for (row, truth) in truth.iter().enumerate() {
            let early = crate::Missed { row, view: "spending".into(), reason: MissReason::TooEarly };
            assert!(before.missed.contains(&early), "{:?}", before.missed);
            assert!(before.row(row)[of_day].is_null(), "{:?}", before.row(row));
            assert!(before.row(row)[of_hours].same(&truth[of_hours]), "what is whole is told");
        }
        assert!(read.iter().all(Value::is_null), "{read:?}");
        assert!(truth[1][of_day].same(&Value::Int(1)), "{truth:?}");
        assert!(first.rebuilt && !again.rebuilt && again.rows == 0, "{first:?} {again:?}");
        assert!(after.missed.iter().all(|miss| miss.view != "spending"), "{:?}", after.missed);
        assert_same(&truth, &after, "the wide window");
    });
}

#[test]
fn shorter_window_trims_what_it_does_not_count_and_a_wider_one_brings_it_back() {
    block_on(async {
        let mut shop = Shop::new().await;
        let events: Vec<Event> =
            (0..600).map(|n| event("ann", START + n * HOUR / 10, START + n * HOUR / 10, 0.1 * n as f64)).collect();
        shop.add(1, &events).await;
        shop.backfill().await;
        let of = ["[1h, 6h]", "[1h, 6h, 20h]"].map(|windows| {
            changed("function: count, windows: [1h, 6h]", &format!("function: count, windows: {windows}"))
        });

        for (hour, windows) in [(25, 1), (26, 0), (28, 0), (31, 0), (32, 1), (34, 1), (40, 0), (41, 1)] {
            shop.apply(&of[windows]);
            let now = START + hour * HOUR;
            shop.materialize(Some(now)).await;

            let rows = [(Some("ann".to_owned()), now), (Some("ann".to_owned()), now - HOUR + 1)];
            assert_same(&shop.offline(&rows).await, &shop.online(&rows).await, &format!("hour {hour}"));
        }
    });
}

#[test]
fn note_of_an_earlier_release_counts_as_of_no_reach() {
    let note = r#"{"generation":1,"fingerprint":"f","version":3,"until":null,"exact_from":7,"latest_event_time":9,
        "latest_known_at":9,"materialized_at":10}"#;

    let state: crate::OnlineState = serde_json::from_str(note).unwrap();

    assert_eq!((state.exact_from, state.reach), (7, 0));
}

#[test]
fn plain_table_is_computed_and_not_kept_online() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add(1, &[event("ann", START, START, 1.0), event("bob", START, START, 100.0)]).await;
        let big = "feature_view: big\nsql: select customer, happened, amount from events where amount > 50\n\
                   event_time: happened\n---\nfeature_view: moment\n";
        shop.apply(&changed("feature_view: moment\n", big));

        let done = shop.features.backfill("big", &Principal::local_owner()).await.unwrap();
        let refused = shop.features.materialize_online("big", None).await.unwrap_err();

        assert_eq!(done.materialization.rows_written, 1);
        assert!(matches!(refused, crate::Error::NotOnline { .. }), "{refused}");
    });
}

#[test]
fn old_rows_are_trimmed_and_answers_stay_exact() {
    block_on(async {
        let shop = Shop::new().await;
        let events: Vec<Event> =
            (0..2_000).map(|n| event("ann", START + n * HOUR / 10, START + n * HOUR / 10, 0.1 * n as f64)).collect();
        shop.add(1, &events).await;
        shop.backfill().await;

        for hour in (10..=190).step_by(3) {
            let now = START + hour * HOUR;
            shop.materialize(Some(now)).await;
            let rows = [(Some("ann".to_owned()), now), (Some("ann".to_owned()), now - HOUR + 1)];
            assert_same(&shop.offline(&rows).await, &shop.online(&rows).await, &format!("hour {hour}"));
        }

        let mut kept = 0;
        let mut count = |_: &[u8], _| {
            kept += 1;
            Ok(())
        };
        shop.online.scan("spending#1", &mut count).unwrap();
        assert!((60..150).contains(&kept), "kept {kept} of 2,000 rows: 6 hours of window and 1 to 5 of slack and step");
    });
}
