//! Where each object was declared, so that whatever is found wrong with it later can be shown there.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Diagnostics, SourceText, suggest};
use crate::graph::{ObjectKind, ObjectRef};
use crate::tree::{Node, Place, Step, Value};

/// An object as it stands in a file.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) source: SourceText,
    pub(crate) node: Node,
    /// Whether it has the shape of its kind; what has not is not in the project, but its name is taken.
    pub(crate) sound: bool,
}

/// What is wrong with an object of a folder that loaded: found by a layer that knows more than names and shapes, such as
/// the query engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The object.
    pub object: ObjectRef,
    /// From the object to the value, for example `["derive", "2", "sql"]`.
    pub path: Vec<String>,
    /// The rule broken, for example `sql`.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
    /// The word of the value that is wrong, where one is.
    pub word: Option<String>,
    /// The edit that mends it.
    pub help: Option<String>,
}

/// A name in a piece of SQL that means nothing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// The name.
    pub name: String,
    /// The names there are.
    pub known: Vec<String>,
}

impl Mistake {
    /// What the query engine says of a piece of SQL.
    #[must_use]
    pub fn sql(
        object: ObjectRef,
        path: &[&str],
        message: impl Into<String>,
        unknown: Option<Box<UnknownName>>,
    ) -> Self {
        let help = match unknown.as_deref() {
            None => "mend the SQL; `mainspring query` tries a piece of it by itself".to_owned(),
            Some(UnknownName { name, known }) => suggest(name, known.iter().map(String::as_str))
                .unwrap_or_else(|| format!("the columns there are: {}", known.join(", "))),
        };
        Self {
            object,
            path: path.iter().map(ToString::to_string).collect(),
            rule: "sql",
            message: message.into(),
            word: unknown.map(|unknown| unknown.name),
            help: Some(help),
        }
    }
}

/// The place of each declaration of a folder.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    objects: BTreeMap<ObjectRef, Declared>,
    /// Kinds of which some file could not be read, so that there may be more of them than are known.
    unread: BTreeSet<ObjectKind>,
}

impl Positions {
    pub(crate) fn get(&self, object: &ObjectRef) -> Option<&Declared> {
        self.objects.get(object)
    }

    pub(crate) fn insert(&mut self, object: ObjectRef, declared: Declared) {
        self.objects.insert(object, declared);
    }

    pub(crate) fn mark_unread(&mut self, kinds: &[ObjectKind]) {
        self.unread.extend(kinds);
    }

    /// Whether there may be objects of a kind that are not known, or known ones whose content is not.
    pub(crate) fn is_unsure(&self, kind: ObjectKind) -> bool {
        self.unread.contains(&kind) || self.objects.iter().any(|(object, at)| object.kind == kind && !at.sound)
    }

    /// Whether some file that may have declared objects of a kind could not be read.
    pub(crate) fn is_unread(&self, kind: ObjectKind) -> bool {
        self.unread.contains(&kind)
    }

    /// All objects declared, those of a wrong shape included.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&ObjectRef, &Declared)> {
        self.objects.iter()
    }

    /// Shows mistakes that were found after loading where they stand in the files. A path is followed as far as it
    /// exists; an object that no file declares gives a diagnostic without a place.
    #[must_use]
    pub fn locate(&self, mistakes: &[Mistake]) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        for mistake in mistakes {
            let Some(declared) = self.get(&mistake.object) else {
                let lost = Diagnostic::file(mistake.object.to_string(), mistake.rule, &mistake.message);
                diagnostics.push(lost.help_if(mistake.help.clone()));
                continue;
            };
            let steps: Vec<Step<'_>> =
                mistake.path.iter().map(|step| step.parse().map_or(Step::Key(step), Step::At)).collect();
            let place = match &mistake.word {
                Some(word) => declared.place_of_word(&steps, &word.to_lowercase()),
                None => declared.place(&steps),
            };
            let shown = Diagnostic::at(&declared.source, place, mistake.rule, &mistake.message);
            diagnostics.push(shown.help_if(mistake.help.clone()));
        }
        diagnostics.sort();
        diagnostics
    }
}

impl Declared {
    /// The place of a value; of a list or mapping, the place of its key.
    pub(crate) fn place(&self, path: &[Step<'_>]) -> Place {
        let found = self.node.follow(path);
        let is_scalar = !matches!(found.value, Value::Map(_) | Value::List(_) | Value::Null);
        let owner = path.split_last().and_then(|(last, before)| match (last, &self.node.follow(before).value) {
            (Step::Key(key), Value::Map(entries)) => entries.iter().find(|(k, _)| k.text == *key),
            _ => None,
        });
        owner.filter(|_| !is_scalar).map_or(found.place, |(key, _)| key.place)
    }

    /// The place of a line and column inside a text value, as well as it can be told.
    ///
    /// In a literal block (`|`) each line of the value is a line of the file, indented; in a plain or quoted scalar of
    /// one line the column is offset. Otherwise the place of the whole value is given.
    pub(crate) fn place_in_text(&self, path: &[Step<'_>], line: usize, column: usize) -> Place {
        let node = self.node.follow(path);
        let whole = node.place;
        let Value::Text(text) = &node.value else { return whole };
        if line == 0 || column == 0 {
            return whole;
        }
        let Some(wanted) = text.lines().nth(line - 1) else { return whole };
        let file: Vec<&str> = self.source.text.split_inclusive('\n').collect();
        // The block's first line is on the line of `|` or the next one, depending on what the parser points at.
        for candidate in [whole.line + line - 1, whole.line + line] {
            let Some(found) = candidate.checked_sub(1).and_then(|at| file.get(at)) else { continue };
            let Some(start) = found.find(wanted).filter(|_| !wanted.is_empty()) else { continue };
            let skipped: usize = wanted.chars().take(column - 1).map(char::len_utf8).sum();
            let before: usize = file.iter().take(candidate - 1).map(|line| line.len()).sum();
            let at = start + skipped;
            let rest = wanted.get(skipped..).unwrap_or_default();
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            return Place {
                offset: before + at,
                length: word.max(1),
                line: candidate,
                column: found.get(..at).unwrap_or_default().chars().count() + 1,
            };
        }
        whole
    }

    /// The place of the first whole occurrence of a word in a text value, whatever its case, or of the value.
    pub(crate) fn place_of_word(&self, path: &[Step<'_>], word: &str) -> Place {
        let Some(text) = self.node.follow(path).text() else { return self.place(path) };
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for (line, content) in text.lines().enumerate() {
            let lower = content.to_lowercase();
            if lower.len() != content.len() {
                continue;
            }
            let whole = lower.match_indices(word).find(|(at, _)| {
                let before = lower.get(..*at).and_then(|s| s.chars().next_back());
                let after = lower.get(at + word.len()..).and_then(|s| s.chars().next());
                !before.is_some_and(is_word) && !after.is_some_and(is_word)
            });
            if let Some((at, _)) = whole {
                let column = content.get(..at).unwrap_or_default().chars().count() + 1;
                return self.place_in_text(path, line + 1, column);
            }
        }
        self.place(path)
    }
}
