//! Nothing may need itself: queries that read views, request-time views that use features, sources that refer to sources.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::Rule;
use crate::sql;

/// One need of an object: what it names, and which of its keys names it.
struct Need {
    object: ObjectRef,
    key: &'static str,
    word: String,
}

/// Reports each cycle once. Gives whether there is none.
pub(super) fn check(context: &mut Context<'_>) -> bool {
    let needs = needs(context);
    let mut done: BTreeSet<ObjectRef> = BTreeSet::new();
    let mut acyclic = true;
    for start in needs.keys() {
        if done.contains(start) {
            continue;
        }
        if let Some(cycle) = walk(&needs, start, &mut done) {
            acyclic = false;
            report(context, &needs, &cycle);
        }
    }
    acyclic
}

fn needs(context: &Context<'_>) -> BTreeMap<ObjectRef, Vec<Need>> {
    let project = context.project;
    let mut all: BTreeMap<ObjectRef, Vec<Need>> = BTreeMap::new();
    for view in project.feature_views.values() {
        let tables = view.sql.as_deref().and_then(|query| sql::table_names(query).ok()).unwrap_or_default();
        let mut found: Vec<Need> = tables
            .into_iter()
            .filter_map(|word| Some(Need { object: project.table_ref(&word)?, key: "sql", word }))
            .collect();
        found.extend(
            view.from
                .iter()
                .filter_map(|word| Some(Need { object: project.table_ref(word)?, key: "from", word: word.clone() })),
        );
        found.extend(view.uses.iter().filter_map(|word| {
            let (used, _) = project.find_feature(word).ok()?;
            Some(Need { object: ObjectRef::new(ObjectKind::FeatureView, used), key: "uses", word: word.clone() })
        }));
        all.insert(ObjectRef::new(ObjectKind::FeatureView, &view.name), found);
    }
    for source in project.sources.values() {
        let found = source.checks.iter().filter_map(|check| match check.rule() {
            Some(Rule::References(rule)) if rule.source != source.name => {
                let object = ObjectRef::new(ObjectKind::Source, &rule.source);
                Some(Need { object, key: "checks", word: rule.source.clone() })
            }
            _ => None,
        });
        all.insert(ObjectRef::new(ObjectKind::Source, &source.name), found.collect());
    }
    all
}

/// Follows needs from an object, depth first and without recursion. Gives the first cycle met.
fn walk(
    needs: &BTreeMap<ObjectRef, Vec<Need>>,
    start: &ObjectRef,
    done: &mut BTreeSet<ObjectRef>,
) -> Option<Vec<ObjectRef>> {
    let mut path: Vec<(ObjectRef, usize)> = vec![(start.clone(), 0)];
    let mut cycle = None;
    while let Some((object, at)) = path.last_mut() {
        let next = needs.get(object).and_then(|found| found.get(*at)).map(|need| need.object.clone());
        *at += 1;
        match next {
            None => {
                done.insert(object.clone());
                path.pop();
            }
            Some(next) if done.contains(&next) => {}
            Some(next) => {
                if let Some(begin) = path.iter().position(|(on_path, _)| *on_path == next) {
                    let found = path.iter().skip(begin).map(|(object, _)| object.clone()).collect();
                    cycle = cycle.or(Some(found));
                } else {
                    path.push((next, 0));
                }
            }
        }
    }
    cycle
}

fn report(context: &mut Context<'_>, needs: &BTreeMap<ObjectRef, Vec<Need>>, cycle: &[ObjectRef]) {
    let [first, ..] = cycle else { return };
    let second = cycle.get(1).unwrap_or(first);
    let names: Vec<&str> = cycle.iter().chain([first]).map(|object| object.name.as_str()).collect();
    let kind = first.kind.words();
    let message = match cycle {
        [_] => format!("{kind} `{}` needs itself", first.name),
        _ => format!("these {kind}s need each other in a circle: {}", names.join(" → ")),
    };
    let help = format!("break the circle: leave `{}` out of one of them", second.name);
    let need = needs.get(first).and_then(|found| found.iter().find(|need| need.object == *second));
    match need {
        Some(need) => context.report_word(first, &[need.key.into()], &need.word, "cycle", message, help),
        None => context.report(first, &[], "cycle", message, help),
    }
}
