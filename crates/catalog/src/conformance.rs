//! What every backend must do: one suite, called by the tests of each.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    AuditQuery, AuditVerdict, Backend, Catalog, Change, Document, Edge, Error, Expect, Fault, ListQuery, Metric,
    Outcome, Principal, Seen,
};

/// A document for tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) name: String,
    pub(crate) folder: Option<String>,
    pub(crate) stars: f64,
}

impl Note {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), folder: None, stars: 1.5 }
    }

    fn within(name: &str, folder: &str) -> Self {
        Self { folder: Some(folder.into()), ..Self::new(name) }
    }
}

impl Document for Note {
    const KIND: &'static str = "note";

    fn id(&self) -> String {
        self.name.clone()
    }

    fn parent(&self) -> Option<String> {
        self.folder.clone()
    }
}

pub(crate) fn change(subject: &str) -> Change {
    Change::new(&Principal::user("ada"), "note.write", subject)
}

/// Runs every case, each over an empty backend of its own.
pub(crate) async fn suite(empty: impl AsyncFn() -> Arc<dyn Backend>) {
    let fresh = async || Catalog::over(empty().await);
    documents_read_back_as_written(fresh().await).await;
    compare_and_set_refuses_what_is_stale(fresh().await).await;
    versions_are_never_used_twice(fresh().await).await;
    a_refused_change_leaves_nothing(fresh().await).await;
    changes_that_wait_together_are_judged_apart(fresh().await).await;
    lists_page_in_both_orders(fresh().await).await;
    lists_filter_by_parent_and_prefix(fresh().await).await;
    a_copy_follows_by_what_changed(fresh().await).await;
    metrics_keep_every_float(fresh().await).await;
    lineage_walks_up_and_down_but_not_sideways(fresh().await).await;
    lineage_of_a_cycle_ends(fresh().await).await;
    pages_of_edges_hold_each_once(fresh().await).await;
    audit_says_who_did_what(fresh().await).await;
    audit_chain_verifies_and_witnesses(fresh().await).await;
    concurrent_counters_lose_no_update(fresh().await).await;
    bounds_are_kept(fresh().await).await;
    project_is_declared(fresh().await).await;
}

async fn documents_read_back_as_written(catalog: Catalog) {
    let note = Note { name: "ä/b c@1".into(), folder: Some("f".into()), stars: 0.1 + 0.2 };

    let committed = catalog.commit(change("n").put(&note, Expect::Absent).unwrap()).await.unwrap();
    let stored = catalog.get::<Note>("ä/b c@1").await.unwrap().unwrap();

    assert_eq!(stored.document, note);
    assert_eq!((stored.version, stored.created_at, stored.updated_at), (committed.seq, committed.at, committed.at));
    assert_eq!(catalog.get::<Note>("other").await.unwrap(), None);
    assert_eq!(catalog.count::<Note>(None).await.unwrap(), 1);
    assert_eq!(catalog.count::<Note>(Some("f")).await.unwrap(), 1);
    assert_eq!(catalog.count::<Note>(Some("g")).await.unwrap(), 0);
}

async fn compare_and_set_refuses_what_is_stale(catalog: Catalog) {
    let note = Note::new("a");
    catalog.commit(change("a").put(&note, Expect::Absent).unwrap()).await.unwrap();
    let seen = catalog.get::<Note>("a").await.unwrap().unwrap();

    catalog.commit(change("a").put(&Note { stars: 2.0, ..note.clone() }, seen.unchanged()).unwrap()).await.unwrap();
    let stale = catalog.commit(change("a").put(&note, seen.unchanged()).unwrap()).await.unwrap_err();
    let taken = catalog.commit(change("a").put(&note, Expect::Absent).unwrap()).await.unwrap_err();
    let missing = catalog.commit(change("b").delete::<Note>("b", Expect::Version(1))).await.unwrap_err();
    let required = catalog.commit(change("b").require::<Note>("a", Expect::Absent)).await.unwrap_err();

    assert_eq!(
        stale.to_string(),
        "note `a` was changed by somebody else: it is at version 2, not 1; read it again and repeat the change"
    );
    assert_eq!(taken.to_string(), "note `a` exists already (version 2); choose another name, or update this one");
    assert_eq!(missing.to_string(), "note `b` does not exist; it may have been deleted meanwhile, list what there is");
    assert!([stale, taken, missing, required].iter().all(Error::is_conflict));
    let now = catalog.get::<Note>("a").await.unwrap().unwrap();
    assert_eq!((now.document.stars, now.created_at), (2.0, seen.created_at));
    catalog.commit(change("b").delete::<Note>("b", Expect::Any)).await.unwrap();
}

async fn versions_are_never_used_twice(catalog: Catalog) {
    let note = Note::new("a");
    catalog.commit(change("a").put(&note, Expect::Absent).unwrap()).await.unwrap();
    let seen = catalog.get::<Note>("a").await.unwrap().unwrap();
    catalog.commit(change("a").delete::<Note>("a", seen.unchanged())).await.unwrap();
    catalog.commit(change("a").put(&note, Expect::Absent).unwrap()).await.unwrap();

    let stale = catalog.commit(change("a").delete::<Note>("a", seen.unchanged())).await.unwrap_err();

    assert!(stale.is_conflict());
}

async fn a_refused_change_leaves_nothing(catalog: Catalog) {
    catalog.commit(change("a").put(&Note::new("a"), Expect::Absent).unwrap()).await.unwrap();
    let before = catalog.audit_head().await.unwrap();

    // The first write of the change would hold; the condition that does not comes last.
    let refused = change("b")
        .put(&Note::new("b"), Expect::Absent)
        .unwrap()
        .edge(Edge::new("x", "y", "reads"))
        .metric(Metric { run: "r".into(), key: "k".into(), step: 0, value: 1.0, at: Timestamp::UNIX_EPOCH })
        .put(&Note::new("a"), Expect::Absent)
        .unwrap();
    assert!(catalog.commit(refused).await.unwrap_err().is_conflict());

    assert_eq!(catalog.get::<Note>("b").await.unwrap(), None);
    assert_eq!(catalog.edges_from("x").await.unwrap(), []);
    assert_eq!(catalog.metrics("r", None).await.unwrap(), []);
    assert_eq!(catalog.audit_head().await.unwrap(), before);
}

async fn changes_that_wait_together_are_judged_apart(catalog: Catalog) {
    let create = |name: &str| {
        let change = change(name).put(&Note::new(name), Expect::Absent).unwrap();
        let catalog = catalog.clone();
        async move { catalog.commit(change).await }
    };

    let outcomes = futures::future::join_all(["a", "b", "a", "c", "b", "a"].into_iter().map(create)).await;

    let done: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, true, false, true, false, false]);
    assert_eq!(catalog.audit_head().await.unwrap().seq, 3);
    assert!(catalog.verify_audit().await.unwrap().is_intact());
}

fn names(notes: &[crate::Stored<Note>]) -> Vec<&str> {
    notes.iter().map(|note| note.document.name.as_str()).collect()
}

async fn lists_page_in_both_orders(catalog: Catalog) {
    for name in ["c", "a", "e"] {
        catalog.commit(change(name).put(&Note::new(name), Expect::Absent).unwrap()).await.unwrap();
    }
    // Two of one moment: the id decides between them.
    let twins = change("t").put(&Note::new("b"), Expect::Absent).unwrap().put(&Note::new("d"), Expect::Absent).unwrap();
    catalog.commit(twins).await.unwrap();
    // An update does not make a document newer.
    catalog.commit(change("c").put(&Note { stars: 9.0, ..Note::new("c") }, Expect::Any).unwrap()).await.unwrap();

    let by_id = ListQuery::default().limit(2);
    let first = catalog.list::<Note>(by_id.clone()).await.unwrap();
    let second = catalog.list::<Note>(by_id.clone().after("b")).await.unwrap();
    let third = catalog.list::<Note>(by_id.clone().after("d")).await.unwrap();
    let newest = ListQuery::default().newest_first().limit(2);
    let new_first = catalog.list::<Note>(newest.clone()).await.unwrap();
    let new_second = catalog.list::<Note>(newest.clone().after("b")).await.unwrap();
    let new_third = catalog.list::<Note>(newest.clone().after("a")).await.unwrap();

    assert_eq!([names(&first), names(&second), names(&third)], [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    assert_eq!([names(&new_first), names(&new_second), names(&new_third)], [vec!["d", "b"], vec!["e", "a"], vec!["c"]]);
    assert_eq!(names(&catalog.all::<Note>(by_id).await.unwrap()), ["a", "b", "c", "d", "e"]);
    assert_eq!(names(&catalog.all::<Note>(newest.clone()).await.unwrap()), ["d", "b", "e", "a", "c"]);
    let gone = catalog.list::<Note>(newest.after("zz")).await.unwrap_err();
    assert!(matches!(gone, Error::CursorGone { .. }), "{gone}");
}

async fn a_copy_follows_by_what_changed(catalog: Catalog) {
    for name in ["c", "a"] {
        catalog.commit(change(name).put(&Note::new(name), Expect::Absent).unwrap()).await.unwrap();
    }
    let both = change("b").put(&Note::new("b"), Expect::Any).unwrap().put(&Note::new("d"), Expect::Any).unwrap();
    catalog.commit(both).await.unwrap();
    let mut copy = Vec::new();
    let mut seen = Seen::default();

    // pages of three end between the two documents of one change
    loop {
        let (page, next) = catalog.changed_since::<Note>(&seen, 3).await.unwrap();
        copy.extend(page.iter().map(|stored| stored.document.name.clone()));
        if next == seen {
            break;
        }
        seen = next;
    }
    catalog.commit(change("a").put(&Note { stars: 5.0, ..Note::new("a") }, Expect::Any).unwrap()).await.unwrap();
    let (later, _) = catalog.changed_since::<Note>(&seen, 3).await.unwrap();

    assert_eq!(copy, ["c", "a", "b", "d"]);
    assert_eq!(later.iter().map(|stored| stored.document.stars).collect::<Vec<_>>(), [5.0]);
}

async fn lists_filter_by_parent_and_prefix(catalog: Catalog) {
    let notes = [("a1", "x"), ("a2", "y"), ("b1", "x"), ("a%", "x"), ("a_\u{10ffff}", "x")];
    for (name, folder) in notes {
        catalog.commit(change(name).put(&Note::within(name, folder), Expect::Absent).unwrap()).await.unwrap();
    }

    let of_x = catalog.list::<Note>(ListQuery::of("x")).await.unwrap();
    let a_of_x = catalog.list::<Note>(ListQuery::of("x").prefix("a").newest_first()).await.unwrap();
    let a = catalog.list::<Note>(ListQuery::default().prefix("a")).await.unwrap();
    let percent = catalog.list::<Note>(ListQuery::default().prefix("a%")).await.unwrap();
    let of_none = catalog.list::<Note>(ListQuery::of("z")).await.unwrap();

    assert_eq!(names(&of_x), ["a%", "a1", "a_\u{10ffff}", "b1"]);
    assert_eq!(names(&a_of_x), ["a_\u{10ffff}", "a%", "a1"]);
    assert_eq!(names(&a), ["a%", "a1", "a2", "a_\u{10ffff}"]);
    assert_eq!(names(&percent), ["a%"]);
    assert!(of_none.is_empty());
}

async fn metrics_keep_every_float(catalog: Catalog) {
    let values = [0.1, 0.0, f64::MIN_POSITIVE / 2.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let metric = |key: &str, step: usize, value: f64| Metric {
        run: "r".into(),
        key: key.into(),
        step: step as i64,
        value,
        at: Timestamp::from_microsecond(1_000 + step as i64).unwrap(),
    };
    let written: Vec<Metric> = values.iter().enumerate().map(|(step, value)| metric("loss", step, *value)).collect();
    // More than one insert statement takes.
    let many: Vec<Metric> = (0..1_203).map(|step| metric("auc", step, step as f64)).collect();

    catalog.commit(change("run:r").metrics(written.clone()).metrics(many.clone())).await.unwrap();
    let read = catalog.metrics("r", Some("loss")).await.unwrap();

    let bits = |metrics: &[Metric]| metrics.iter().map(|m| (m.step, m.at, m.value.to_bits())).collect::<Vec<_>>();
    assert_eq!(bits(&read), bits(&written));
    assert_eq!(catalog.metrics("r", Some("auc")).await.unwrap(), many);
    assert_eq!(catalog.metrics("r", None).await.unwrap().len(), 1_210);
    assert_eq!(catalog.metrics("other", None).await.unwrap(), []);
    let entry = &catalog.audit(AuditQuery::default()).await.unwrap()[0];
    assert_eq!(entry.changes[0]["count"], 1_210);
    let signs = [-0.0, -f64::NAN, -f64::MIN_POSITIVE].map(|value| metric("signs", 0, value));
    catalog.commit(change("run:r").metrics(signs)).await.unwrap();
    let verdict = catalog.verify_audit().await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Intact { metrics: 1_213, .. }), "{verdict}");
}

async fn lineage_walks_up_and_down_but_not_sideways(catalog: Catalog) {
    let edges =
        [("raw", "table"), ("table", "model"), ("table", "sibling"), ("model", "endpoint"), ("params", "model")];
    let edges: Vec<Edge> = edges.iter().map(|(from, to)| Edge::new(*from, *to, "makes")).collect();
    catalog.commit(change("l").edges(edges.clone())).await.unwrap();
    catalog.commit(change("l").edge(edges[0].clone())).await.unwrap();

    let all = catalog.lineage("model", 10).await.unwrap();
    let near = catalog.lineage("model", 1).await.unwrap();

    let sorted = |mut edges: Vec<Edge>| {
        edges.sort();
        edges
    };
    let pick = |indexes: &[usize]| sorted(indexes.iter().map(|&index| edges[index].clone()).collect());
    assert_eq!(sorted(all), pick(&[0, 1, 3, 4]));
    assert_eq!(sorted(near), pick(&[1, 3, 4]));
    assert_eq!(sorted(catalog.edges_from("table").await.unwrap()), pick(&[1, 2]));
    assert_eq!(sorted(catalog.edges_to("model").await.unwrap()), pick(&[1, 4]));
    assert_eq!(catalog.edges_to("table").await.unwrap().len(), 1, "the same edge twice is one edge");
    let verdict = catalog.verify_audit().await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Intact { edges: 5, .. }), "{verdict}");
}

async fn pages_of_edges_hold_each_once(catalog: Catalog) {
    let edges: Vec<Edge> = ["a", "ab", "b"]
        .into_iter()
        .flat_map(|from| ["x", "y"].map(|to| [Edge::new(from, to, "makes"), Edge::new(from, to, "reads")]))
        .flatten()
        .collect();
    catalog.commit(change("l").edges(edges.iter().rev().cloned())).await.unwrap();

    let mut paged: Vec<Edge> = vec![];
    loop {
        let page = catalog.edges(paged.last(), None, 5).await.unwrap();
        let is_last = page.len() < 5;
        paged.extend(page);
        if is_last {
            break;
        }
    }
    let first = catalog.edges(None, Some("a"), 3).await.unwrap();
    let rest = catalog.edges(first.last(), Some("a"), 3).await.unwrap();

    assert_eq!(paged, edges);
    assert_eq!([first, rest].concat(), edges[..4], "those of `ab` are another node's");
}

async fn lineage_of_a_cycle_ends(catalog: Catalog) {
    let change = change("l").edge(Edge::new("a", "b", "x")).edge(Edge::new("b", "a", "x"));
    catalog.commit(change).await.unwrap();

    assert_eq!(catalog.lineage("a", u32::MAX).await.unwrap().len(), 2);
}

async fn audit_says_who_did_what(catalog: Catalog) {
    let flow = Principal::system("flow");
    let done = Change::new(&flow, "model.promote", "model:m").detail(json!({"b": 1, "a": [true, null]}));
    catalog.commit(done.put(&Note::new("n"), Expect::Any).unwrap()).await.unwrap();
    catalog.commit(Change::new(&Principal::user("eve"), "model.promote", "model:m").denied()).await.unwrap();
    catalog.commit(Change::new(&Principal::user("ada"), "models.list", "x").refused()).await.unwrap();

    let all = catalog.audit(AuditQuery::default()).await.unwrap();
    let about = catalog.audit(AuditQuery::about("model:m").limit(1)).await.unwrap();
    let next = catalog.audit(AuditQuery { before: Some(2), ..AuditQuery::about("model:m") }).await.unwrap();
    let of_eve = catalog.audit(AuditQuery { principal: Some("eve".into()), ..AuditQuery::default() }).await.unwrap();
    let of_model = catalog.audit(AuditQuery { action: Some("model".into()), ..AuditQuery::default() }).await.unwrap();
    let exact = AuditQuery { action: Some("models.list".into()), ..AuditQuery::default() };
    let exact = catalog.audit(exact).await.unwrap();

    let seqs = |entries: &[crate::AuditEntry]| entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!([seqs(&all), seqs(&about), seqs(&next)], [vec![3, 2, 1], vec![2], vec![1]]);
    assert_eq!([seqs(&of_eve), seqs(&of_model), seqs(&exact)], [vec![2], vec![2, 1], vec![3]]);
    assert_eq!(all[0].outcome, Outcome::Refused);
    assert_eq!(all[1].outcome, Outcome::Denied);
    let first = &all[2];
    assert_eq!((&first.principal, first.outcome), (&flow, Outcome::Done));
    assert_eq!(first.detail, json!({"a": [true, null], "b": 1}));
    assert_eq!(first.changes[0]["do"], "put");
    assert_eq!(first.changes[0]["id"], "n");
    assert_eq!(all[1].prev_hash, first.hash);
}

async fn audit_chain_verifies_and_witnesses(catalog: Catalog) {
    let empty = catalog.audit_head().await.unwrap();
    for name in ["a", "b", "c"] {
        catalog.commit(change(name).put(&Note::new(name), Expect::Absent).unwrap()).await.unwrap();
    }
    let witness = catalog.audit_head().await.unwrap();
    catalog.commit(change("a").put(&Note::new("a"), Expect::Any).unwrap()).await.unwrap();
    catalog.commit(change("b").delete::<Note>("b", Expect::Any)).await.unwrap();

    let verdict = catalog.verify_audit().await.unwrap();

    let head = catalog.audit_head().await.unwrap();
    assert_eq!(verdict, AuditVerdict::Intact { head: head.clone(), documents: 2, edges: 0, metrics: 0 });
    for known in [&empty, &witness, &head] {
        assert!(catalog.verify_audit_against(known).await.unwrap().is_intact());
    }
    let other = crate::AuditHead { seq: 2, hash: witness.hash.clone() };
    let verdict = catalog.verify_audit_against(&other).await.unwrap();
    assert_eq!(verdict, AuditVerdict::Broken { fault: Fault::NotWitnessed { seq: 2 }, whole_until: 1 });
    let later = crate::AuditHead { seq: 9, hash: witness.hash };
    let verdict = catalog.verify_audit_against(&later).await.unwrap();
    assert_eq!(verdict, AuditVerdict::Broken { fault: Fault::CutOff { ends_at: 5, last: 9 }, whole_until: 5 });
}

async fn concurrent_counters_lose_no_update(catalog: Catalog) {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 10;
    catalog.commit(change("n").put(&Note { stars: 0.0, ..Note::new("n") }, Expect::Absent).unwrap()).await.unwrap();

    let writer = || {
        let catalog = catalog.clone();
        async move {
            let mut rounds = 0;
            while rounds < ROUNDS {
                let seen = catalog.get::<Note>("n").await.unwrap().unwrap();
                let next = Note { stars: seen.document.stars + 1.0, ..seen.document.clone() };
                match catalog.commit(change("n").put(&next, seen.unchanged()).unwrap()).await {
                    Ok(_) => rounds += 1,
                    Err(error) => assert!(error.is_conflict(), "{error}"),
                }
            }
        }
    };
    futures::future::join_all((0..WRITERS).map(|_| writer())).await;

    let stars = catalog.get::<Note>("n").await.unwrap().unwrap().document.stars;
    assert_eq!(stars, (WRITERS * ROUNDS) as f64);
}

async fn bounds_are_kept(catalog: Catalog) {
    let empty = catalog.commit(change("")).await.unwrap_err();
    let long = catalog.commit(change(&"x".repeat(3_000))).await.unwrap_err();
    let control = catalog.commit(change("n").put(&Note::new("a\0b"), Expect::Any).unwrap()).await.unwrap_err();
    let detail = catalog.commit(change("n").detail("x".repeat(300 << 10))).await.unwrap_err();
    let nan = change("n").put(&Note { stars: f64::NAN, ..Note::new("n") }, Expect::Any).unwrap_err();
    let large = change("n").put(&Note::within("n", &"x".repeat(17 << 20)), Expect::Any).unwrap_err();

    for error in [&empty, &long, &control, &detail, &large] {
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    assert!(matches!(nan, Error::Unwritable { .. }), "{nan}");
    assert_eq!(empty.to_string(), "the subject of a change is empty; give it a short printable name");
    assert_eq!(catalog.audit_head().await.unwrap().seq, 0);
}

async fn project_is_declared(catalog: Catalog) {
    let file: mainspring_spec::ProjectFile = serde_json::from_value(json!({"project": "flights"})).unwrap();
    let project = mainspring_spec::Project {
        file,
        folder: "/somewhere".into(),
        sources: Default::default(),
        entities: Default::default(),
        feature_views: Default::default(),
        feature_services: Default::default(),
        models: Default::default(),
        endpoints: Default::default(),
        monitors: Default::default(),
        workflows: Default::default(),
        policies: [("a.cedar".to_owned(), "permit(principal, action, resource);".to_owned())].into(),
    };
    assert_eq!(catalog.declared().await.unwrap(), None);

    catalog.commit(change("project:flights").declare(&project).unwrap()).await.unwrap();

    let declared = catalog.declared().await.unwrap().unwrap();
    assert_eq!((declared.file, declared.policies), (project.file, project.policies));
}
