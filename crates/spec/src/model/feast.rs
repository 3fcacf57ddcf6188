//! Names by which clients of Feast know what a project declares: its import writes them, the server finds things by them.

use super::Source;

/// The key of views that describe no entity. Feast gives it to them, and so does the import; all rows hold the empty text
/// in it, and clients need not send it.
pub const NO_ENTITY_KEY: &str = "__dummy_id";

/// What stands before a view's own name among the names of its pushes.
const VIEW: &str = "feature_view:";
/// What stands between that name and the version.
const VERSION: &str = "@v";

/// A feature view as Feast knows it. It stands among the `push` names of the source that the view is written by, as
/// `feature_view:NAME`, or `feature_view:NAME@v3` when it is not the first version. Feast allows no `@` in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeastView<'a> {
    /// Its name there.
    pub name: &'a str,
    /// Its version there, from 0.
    pub version: u32,
}

impl<'a> FeastView<'a> {
    /// What a source says of the view that it is written for.
    #[must_use]
    pub fn of(source: &'a Source) -> Option<Self> {
        let known = source.push.iter().find_map(|name| name.strip_prefix(VIEW))?;
        let versioned =
            known.rsplit_once(VERSION).and_then(|(name, version)| Some((name, version.parse::<u32>().ok()?)));
        let (name, version) = versioned.unwrap_or((known, 0));
        Some(Self { name, version })
    }

    /// How it stands among the names of pushes.
    #[must_use]
    pub fn push_name(&self) -> String {
        match self.version {
            0 => format!("{VIEW}{}", self.name),
            version => format!("{VIEW}{}{VERSION}{version}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_for(push: &[&str]) -> Source {
        let push = serde_json::json!(push);
        serde_json::from_value(serde_json::json!({ "source": "rows", "push": push, "columns": [] })).unwrap()
    }

    #[test]
    fn view_is_found_again_by_name_and_version() {
        for view in [FeastView { name: "Pair-Stats", version: 0 }, FeastView { name: "stats", version: 12 }] {
            let source = written_for(&["rows_pushed", &view.push_name()]);

            assert_eq!(FeastView::of(&source), Some(view));
        }
        assert_eq!(FeastView { name: "stats", version: 0 }.push_name(), "feature_view:stats");
        assert_eq!(FeastView::of(&written_for(&["rows_pushed"])), None);
    }

    #[test]
    fn what_is_no_version_belongs_to_the_name() {
        for name in ["stats@vx", "stats@v", "stats@v-1", "stats@v99999999999"] {
            let source = written_for(&[&format!("feature_view:{name}")]);

            assert_eq!(FeastView::of(&source), Some(FeastView { name, version: 0 }), "{name}");
        }
    }
}
