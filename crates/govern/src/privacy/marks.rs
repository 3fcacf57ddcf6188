//! Marks over a whole project.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_spec::{FeatureView, InputRef, Project, ViewKind};

use super::marked::Marked;
use super::query::{follow, mentions};

/// Which columns of which tables tell of persons. Names are in lower case.
///
/// A column is marked at its source by `personal: true`, and from there on whatever is made from it. Where the key of
/// an entity is marked, everything in its views is: it tells of the person that the key names.
///
/// Tables outlive what declared them. What a declaration that is gone had marked is not known any more, so that all its
/// table holds counts as marked, until it is declared again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrivacyMarks {
    sources: BTreeMap<String, BTreeSet<String>>,
    /// All columns that sources declare.
    known: BTreeMap<String, BTreeSet<String>>,
    views: BTreeMap<String, BTreeSet<String>>,
    training: BTreeMap<String, BTreeSet<String>>,
    predictions: BTreeMap<String, BTreeSet<String>>,
}

impl PrivacyMarks {
    /// Follows the marks of a project that was validated.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        let known = project.sources.values().map(|source| {
            let columns = source.table_columns().into_iter().map(|column| column.name.to_lowercase());
            (source.name.clone(), columns.collect::<BTreeSet<String>>())
        });
        let mut marks = Self { sources: source_marks(project), known: known.collect(), ..Self::default() };
        // Views read views, in any order of names; the deepest chain is as long as there are views.
        for _ in 0..=project.feature_views.len() {
            let views: BTreeMap<_, _> =
                project.feature_views.values().map(|view| (view.name.clone(), marks.view(project, view))).collect();
            if views == marks.views {
                break;
            }
            marks.views = views;
        }
        marks.training = project.models.keys().map(|model| (model.clone(), marks.training(project, model))).collect();
        marks.predictions = project
            .endpoints
            .values()
            .map(|endpoint| (endpoint.name.clone(), marks.training.get(&endpoint.model).cloned().unwrap_or_default()))
            .collect();
        marks
    }

    /// The marked columns of a table, `schema.name`: all where it is of a source, view, model or endpoint that is not
    /// declared. A source's table has them also beyond what is declared.
    #[must_use]
    pub fn columns(&self, table: &str) -> Marked {
        let (schema, name) = table.split_once('.').unwrap_or(("sources", table));
        let of = |marks: &BTreeMap<String, BTreeSet<String>>| {
            marks.get(name).cloned().map_or_else(Marked::undeclared, Marked::only)
        };
        let any = self.sources.values().any(|columns| !columns.is_empty());
        match schema {
            "sources" => match self.known.get(name) {
                Some(known) => of(&self.sources).with_all_but(known.clone()),
                None => Marked::undeclared(),
            },
            "features" => of(&self.views),
            "training" => of(&self.training),
            "predictions" => of(&self.predictions),
            // The whole row as text, and the values that broke a rule in words.
            "quarantine" if self.sources.get(name).is_none_or(|columns| !columns.is_empty()) => {
                Marked::only(["reason", "row"].map(ToOwned::to_owned))
            }
            // Labels that were pushed carry the key of an observation of any model.
            "monitoring" if any && name == "labels" => Marked::only(["key".to_owned()]),
            _ => Marked::default(),
        }
    }

    /// Whether a column is marked.
    #[must_use]
    pub fn is_personal(&self, table: &str, column: &str) -> bool {
        self.columns(table).covers(column)
    }

    fn of_table(&self, name: &str) -> BTreeSet<String> {
        self.sources.get(name).or_else(|| self.views.get(name)).cloned().unwrap_or_default()
    }

    fn view(&self, project: &Project, view: &FeatureView) -> BTreeSet<String> {
        let mut marked = match view.kind() {
            ViewKind::Sql => {
                let query = view.sql.as_deref().unwrap_or_default();
                let tables = mainspring_spec::table_names(query).unwrap_or_default();
                let mut marked = tables.iter().flat_map(|table| self.of_table(table)).collect();
                follow(query, &mut marked);
                marked
            }
            ViewKind::Windowed => {
                let from = self.of_table(view.from.as_deref().unwrap_or_default());
                let operands =
                    view.aggregates.iter().filter_map(|aggregate| Some((aggregate, aggregate.of.as_deref()?)));
                let of_marked: Vec<String> = operands
                    .filter(|(_, of)| mentions(of, &from))
                    .flat_map(|(aggregate, of)| {
                        let features = aggregate.windows.iter().map(|window| aggregate.feature_name(*window));
                        // its table keeps what is aggregated as it is
                        features.chain([view.operand_column(of).to_owned()])
                    })
                    .collect();
                // What the table of events calls a person is called so here too: the keys.
                from.into_iter().chain(of_marked.into_iter().map(|name| name.to_lowercase())).collect()
            }
            ViewKind::Request => self.request_view(view),
        };
        let keys = view.entity.as_ref().and_then(|entity| project.entities.get(entity)).map(|entity| &entity.keys);
        if keys.is_some_and(|keys| keys.iter().any(|key| marked.contains(&key.name.to_lowercase()))) {
            let operands = view.aggregates.iter().filter_map(|aggregate| aggregate.of.as_deref());
            let operands = operands.map(|of| view.operand_column(of).to_lowercase());
            marked.extend(view.feature_names().iter().map(|name| name.to_lowercase()).chain(operands));
        }
        marked
    }

    /// A request brings what has no source: a field is marked when any source marks a column of its name.
    fn request_view(&self, view: &FeatureView) -> BTreeSet<String> {
        let anywhere: BTreeSet<&String> = self.sources.values().flatten().collect();
        let fields = view.request.iter().map(|field| field.name.to_lowercase());
        let mut marked: BTreeSet<String> = fields.filter(|name| anywhere.contains(name)).collect();
        let used = view.uses.iter().map(|name| name.rsplit('.').next().unwrap_or(name).to_lowercase());
        marked.extend(used.filter(|name| self.views.values().any(|columns| columns.contains(name))));
        let made = view.expressions.iter().filter(|expression| mentions(&expression.sql, &marked));
        let made: Vec<_> = made.map(|expression| expression.name.to_lowercase()).collect();
        marked.extend(made);
        marked
    }

    /// The marked columns of a training set, and of the log of predictions made from the same inputs.
    fn training(&self, project: &Project, model: &str) -> BTreeSet<String> {
        let Some(declared) = project.models.get(model) else { return BTreeSet::new() };
        let mut marked = self.of_table(&declared.observations.from);
        let anywhere: BTreeSet<String> = self.sources.values().flatten().cloned().collect();
        // What a request must bring under a marked name is marked, whichever table it is looked up in.
        let fields = project.request_fields(model).unwrap_or_default();
        marked.extend(fields.iter().map(|field| field.name.to_lowercase()).filter(|name| anywhere.contains(name)));
        match project.resolve_model(model) {
            Ok(resolved) => marked.extend(resolved.inputs.iter().filter_map(|input| match input {
                InputRef::Feature { view, feature } => {
                    let feature = feature.to_lowercase();
                    self.views.get(view).is_some_and(|columns| columns.contains(&feature)).then_some(feature)
                }
                InputRef::Column { .. } => None,
            })),
            // A model that does not resolve is refused before it is trained.
            Err(_) => marked.extend(anywhere),
        }
        // The label is made by a name that the observations do not have.
        if mentions(&declared.observations.label, &marked) {
            marked.insert("label".into());
        }
        marked
    }
}

fn source_marks(project: &Project) -> BTreeMap<String, BTreeSet<String>> {
    let marks = project.sources.values().map(|source| {
        let columns = source.columns.iter().filter(|column| column.personal);
        let mut marked: BTreeSet<String> = columns.map(|column| column.name.to_lowercase()).collect();
        for derived in &source.derive {
            if mentions(&derived.sql, &marked) {
                marked.insert(derived.name.to_lowercase());
            }
        }
        (source.name.clone(), marked)
    });
    marks.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::privacy) fn project() -> Project {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("mainspring.yaml", "project: shop\n");
        write(
            "sources/orders.yaml",
            "source: orders
path: orders.csv
columns:
  - {name: order_id, type: int64}
  - {name: email, type: string, personal: true}
  - {name: shop, type: string}
  - {name: amount, type: float64}
  - {name: at, type: timestamp}
derive:
  - {name: domain, type: string, sql: \"split_part(email, '@', 2)\"}
  - {name: cents, type: float64, sql: amount * 100}
key: [order_id]
event_time: at
",
        );
        write(
            "features/shop.yaml",
            "entity: shop
keys: [{name: shop, type: string}]
---
entity: customer
keys: [{name: email, type: string}]
---
feature_view: shop_latest
entity: shop
sql: SELECT shop, at, amount AS last_amount, domain AS last_domain FROM orders
event_time: at
features: {last_amount: the amount, last_domain: the domain}
---
feature_view: shop_counts
entity: shop
from: orders
event_time: at
aggregates:
  - {name: orders, function: count, windows: [1h, 24h]}
  - {name: people, function: distinct, of: email, windows: [24h]}
---
feature_view: customer_counts
entity: customer
from: orders
event_time: at
aggregates:
  - {name: bought, function: count, windows: [24h]}
  - {name: spent, function: sum, of: amount, windows: [24h]}
---
feature_view: compared
request: [{name: amount, type: float64}, {name: shop, type: string}]
uses: [last_amount]
expressions:
  - {name: share, sql: amount / last_amount}
",
        );
        write(
            "models/domains.yaml",
            "model: domains
task: regression
observations:
  from: orders
  at: at
  label: cents
features: [amount, shop_counts.*, last_amount, share]
split: {by: random}
trainer: {constant: {}}
",
        );
        mainspring_spec::load(folder.path()).unwrap()
    }

    #[test]
    fn a_mark_at_the_source_reaches_what_is_made_from_it() {
        let marks = PrivacyMarks::of(&project());
        let only = |names: &[&str]| Marked::only(names.iter().map(ToString::to_string));

        let columns = ["order_id", "email", "shop", "amount", "at", "domain", "cents"];
        let marked = columns.into_iter().filter(|column| marks.is_personal("sources.orders", column));
        assert_eq!(marked.collect::<Vec<_>>(), ["email", "domain"]);
        assert!(marks.is_personal("features.shop_latest", "Last_Domain"));
        assert!(!marks.is_personal("features.shop_latest", "last_amount"));
        assert!(marks.is_personal("features.shop_counts", "people_24h"));
        assert!(!marks.is_personal("features.shop_counts", "orders_1h"));
        assert!(marks.is_personal("features.shop_counts", "people"), "its table keeps the addresses themselves");
        assert_eq!(marks.columns("quarantine.orders"), only(&["reason", "row"]));
        assert_eq!(marks.columns("monitoring.labels"), only(&["key"]));
        assert!(!marks.columns("sources.orders").is_undeclared());
    }

    #[test]
    fn a_table_that_nothing_declares_any_more_is_marked_as_a_whole() {
        let mut project = project();
        project.endpoints.clear();
        project.models.clear();
        project.feature_views.clear();
        project.sources.clear();
        let marks = PrivacyMarks::of(&project);

        for table in ["sources.orders", "features.shop_latest", "training.domains", "predictions.domains"] {
            let marked = marks.columns(table);
            assert!(marked.is_undeclared() && !marked.is_empty() && marked.covers("order_id"), "{table}");
        }
        assert!(marks.is_personal("quarantine.orders", "row"));
        assert!(!marks.is_personal("quarantine.orders", "file"));
        for table in ["monitoring.labels", "platform.runs"] {
            assert!(marks.columns(table).is_empty() && !marks.is_personal(table, "run_id"), "{table}");
        }
    }

    #[test]
    fn a_column_that_an_earlier_declaration_left_behind_is_marked() {
        let mut project = project();
        let orders = project.sources.get_mut("orders").unwrap();
        orders.derive.retain(|derived| derived.name != "domain");
        orders.columns.retain(|column| column.name != "email");
        let marks = PrivacyMarks::of(&project);

        assert!(marks.is_personal("sources.orders", "Email") && marks.is_personal("sources.orders", "domain"));
        assert!(!marks.is_personal("sources.orders", "Amount") && !marks.is_personal("sources.orders", "cents"));
        assert!(!marks.columns("sources.orders").is_undeclared());
    }

    #[test]
    fn everything_about_an_entity_named_by_a_person_is_marked() {
        let marks = PrivacyMarks::of(&project());

        assert!(marks.is_personal("features.customer_counts", "bought_24h"));
        assert!(marks.is_personal("features.customer_counts", "spent"));
    }
}
