//! What every check has at hand: the project, where each object stands, and where mistakes go.

use crate::diagnostic::{Diagnostic, Diagnostics, quote, suggest};
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::Project;
use crate::sql::SqlError;
use crate::trace::Positions;
use crate::tree::Step;

pub(super) struct Context<'a> {
    pub(super) project: &'a Project,
    pub(super) positions: &'a Positions,
    pub(super) diagnostics: &'a mut Diagnostics,
}

/// The way from an object to one of its values.
pub(super) type Path<'p> = &'p [Step<'p>];

impl Context<'_> {
    /// Reports a mistake at a value of an object.
    pub(super) fn report(
        &mut self,
        object: &ObjectRef,
        path: Path<'_>,
        rule: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let diagnostic = match self.positions.get(object) {
            Some(declared) => Diagnostic::at(&declared.source, declared.place(path), rule, message),
            None => Diagnostic::file(object.to_string(), rule, message),
        };
        let help = help.into();
        self.diagnostics.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Reports a mistake at a word inside a text value, as a table's name in a query.
    pub(super) fn report_word(
        &mut self,
        object: &ObjectRef,
        path: Path<'_>,
        word: &str,
        rule: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let Some(declared) = self.positions.get(object) else { return self.report(object, path, rule, message, help) };
        let diagnostic = Diagnostic::at(&declared.source, declared.place_of_word(path, word), rule, message);
        let help = help.into();
        self.diagnostics.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Whether a source or feature view of this name is in the project, with nothing unknown about it.
    pub(super) fn is_declared_table(&self, name: &str) -> bool {
        self.project.table_ref(name).is_some()
    }

    /// Reports SQL that does not parse, at the line and column inside the text where that can be told.
    pub(super) fn report_sql(&mut self, object: &ObjectRef, path: Path<'_>, error: &SqlError) {
        let message = format!("this SQL does not parse: {}", error.message);
        let diagnostic = match self.positions.get(object) {
            Some(declared) => {
                let place = declared.place_in_text(path, error.line, error.column);
                Diagnostic::at(&declared.source, place, "sql_syntax", message)
            }
            None => Diagnostic::file(object.to_string(), "sql_syntax", message),
        };
        self.diagnostics.push(diagnostic.help("SQL here is that of DataFusion, much as PostgreSQL's"));
    }

    /// Reports a name that nothing of a kind has, with the nearest one that something has.
    pub(super) fn report_unknown(&mut self, object: &ObjectRef, path: Path<'_>, kind: ObjectKind, name: &str) {
        if self.is_declared(kind, name) || self.positions.is_unread(kind) {
            return;
        }
        let known: Vec<String> = self.names(kind);
        let help = suggest(name, known.iter().map(String::as_str));
        let help = help.unwrap_or_else(|| format!("declare it with `{kind}: {name}`"));
        let message = format!("there is no {} {}", kind.words(), quote(name));
        self.report(object, path, "unknown_reference", message, help);
    }

    /// Reports a column that a table does not have.
    pub(super) fn report_column(
        &mut self,
        object: &ObjectRef,
        path: Path<'_>,
        table: &str,
        column: &str,
        known: &[&str],
    ) {
        let message = format!("{table} has no column {}", quote(column));
        let folded = known.iter().find(|name| name.to_lowercase() == column && **name != column);
        let help = match folded {
            Some(name) => format!("write `\"{name}\"`: in SQL a name with capitals stands in double quotes"),
            None => suggest(column, known.iter().copied()).unwrap_or_default(),
        };
        self.report(object, path, "unknown_column", message, help);
    }

    /// Whether a file declares an object, be its shape right or wrong.
    pub(super) fn is_declared(&self, kind: ObjectKind, name: &str) -> bool {
        self.positions.get(&ObjectRef::new(kind, name)).is_some()
    }

    /// Whether what objects of some kinds bring is not fully known, so that nothing can be said to be missing.
    pub(super) fn any_unsure(&self, kinds: &[ObjectKind]) -> bool {
        kinds.iter().any(|kind| self.positions.is_unsure(*kind))
    }

    /// Names of all objects of a kind.
    pub(super) fn names(&self, kind: ObjectKind) -> Vec<String> {
        let objects = self.positions.objects().filter(|(object, _)| object.kind == kind);
        objects.map(|(object, _)| object.name.clone()).collect()
    }
}
