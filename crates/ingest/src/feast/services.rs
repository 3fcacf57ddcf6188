//! Feature services: which features of which views, by which names and keys.

use std::collections::{BTreeMap, BTreeSet};

use super::convert::{Converter, our_name};
use super::registry::{FeatureServiceSpec, Projection};

#[derive(Debug)]
pub(super) struct ImportedService {
    pub name: String,
    pub description: String,
    /// Each as `view.feature`, or `projection.feature`.
    pub features: Vec<String>,
    /// The views that are read otherwise than by their own name and keys.
    pub projections: BTreeMap<String, ImportedProjection>,
}

/// A view as a service reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ImportedProjection {
    /// The view.
    pub view: String,
    /// Keys of it, and what requests call them.
    pub join_key_map: BTreeMap<String, String>,
}

impl Converter<'_> {
    /// Converts a service.
    pub(super) fn service(&mut self, service: &FeatureServiceSpec) {
        let name = self.name("feature service", &service.name);
        if self.out.services.iter().any(|known| known.name == name) {
            return self.note(format!(
                "feature service `{}` is not carried over: another service is called `{name}` already",
                service.name
            ));
        }
        let mut features = vec![];
        let mut projections: BTreeMap<String, ImportedProjection> = BTreeMap::new();
        for projection in &service.features {
            let view = our_name(&projection.feature_view_name);
            let Some(known) = self.out.views.iter().find(|known| known.name == view) else {
                self.note(format!(
                    "feature service `{}` lacks the features of `{}`, which is not carried over",
                    service.name, projection.feature_view_name
                ));
                continue;
            };
            let carried: Vec<(String, Option<String>)> = projection
                .feature_columns
                .iter()
                .map(|column| {
                    let feature = known.features.iter().find(|feature| feature.pushed == column.name);
                    (column.name.clone(), feature.map(|feature| feature.name.clone()))
                })
                .collect();
            let keys: Vec<String> = known.entity.columns().iter().map(|(key, _)| key.clone()).collect();
            let version = known.version;
            if carried.iter().all(|(_, feature)| feature.is_none()) {
                self.lacks(service, projection, &carried);
                continue;
            }
            if let Some(pinned) = projection.version_tag {
                self.unpinned(service, projection, pinned, version);
            }
            let called = self.called(service, projection, &view);
            let projected = ImportedProjection { join_key_map: self.keys(service, projection, &keys), view };
            match projections.get(&called) {
                Some(other) if *other != projected => {
                    self.note(format!(
                        "feature service `{}` reads two views as `{called}`; the second, of `{}`, is not carried over: \
                         call it otherwise with `with_name`",
                        service.name, projection.feature_view_name
                    ));
                    continue;
                }
                Some(_) => {}
                None => {
                    projections.insert(called.clone(), projected);
                }
            }
            self.lacks(service, projection, &carried);
            features.extend(carried.into_iter().filter_map(|(_, feature)| Some(format!("{called}.{}", feature?))));
        }
        let mut seen = BTreeSet::new();
        features.retain(|feature| seen.insert(feature.clone()));
        if features.is_empty() {
            return self.note(format!("feature service `{}` is not carried over: no feature of it is", service.name));
        }
        projections.retain(|called, of| *called != of.view || !of.join_key_map.is_empty());
        self.out.services.push(ImportedService {
            name,
            description: service.description.clone(),
            features,
            projections,
        });
    }

    /// Says which features of a projection are not there.
    fn lacks(&mut self, service: &FeatureServiceSpec, projection: &Projection, carried: &[(String, Option<String>)]) {
        for (column, _) in carried.iter().filter(|(_, feature)| feature.is_none()) {
            self.note(format!(
                "feature service `{}` lacks `{}:{column}`, which is not carried over",
                service.name, projection.feature_view_name
            ));
        }
    }

    /// Says that a service asks for one version of a view, and which it gets: there is one, and nothing holds it.
    fn unpinned(&mut self, service: &FeatureServiceSpec, projection: &Projection, pinned: i32, carried: u32) {
        let gets = if i64::from(pinned) == i64::from(carried) {
            "which is that one until the view is changed".to_owned()
        } else {
            format!("which is v{carried}; declare v{pinned} as a view of its own where it is needed")
        };
        self.note(format!(
            "feature service `{}` reads `{}` at version v{pinned}; the pin is not carried over, as a view is served in one \
             version here, {gets}",
            service.name, projection.feature_view_name
        ));
    }

    /// What a service calls a view: the alias as clients know it, but for the point, which parts it from the feature.
    fn called(&mut self, service: &FeatureServiceSpec, projection: &Projection, view: &str) -> String {
        let alias = &projection.feature_view_name_alias;
        if alias.is_empty() || *alias == projection.feature_view_name {
            return view.to_owned();
        }
        if !alias.contains('.') {
            return alias.clone();
        }
        let mended = alias.replace('.', "_");
        self.note(format!(
            "feature service `{}` calls `{}` `{alias}`; here that is `{mended}`, as a name before a feature has no point",
            service.name, projection.feature_view_name
        ));
        mended
    }

    /// The keys of a view that a service calls otherwise. Feast passes over others, and lets two have one name.
    fn keys(
        &mut self,
        service: &FeatureServiceSpec,
        projection: &Projection,
        keys: &[String],
    ) -> BTreeMap<String, String> {
        let mut map: BTreeMap<String, String> = BTreeMap::new();
        for (key, called) in &projection.join_key_map {
            if keys.contains(key) && !called.is_empty() {
                map.insert(key.clone(), called.clone());
            } else {
                self.note(format!(
                    "feature service `{}` calls the key `{key}` of `{}` `{called}`; that is not carried over, as the view \
                     has no such key or the name is empty",
                    service.name, projection.feature_view_name
                ));
            }
        }
        let called: BTreeSet<&String> = keys.iter().map(|key| map.get(key).unwrap_or(key)).collect();
        if called.len() == keys.len() {
            return map;
        }
        self.note(format!(
            "feature service `{}` calls two keys of `{}` alike; here clients give the view's own keys",
            service.name, projection.feature_view_name
        ));
        BTreeMap::new()
    }
}
