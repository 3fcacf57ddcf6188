//! Reads a project folder: finds its files, parses them, and hands what they declare to the checks.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::check;
use crate::diagnostic::{Diagnostic, Diagnostics, SourceText, closest, quote};
use crate::graph::{ObjectKind, ObjectRef};
use crate::model::{Project, ProjectFile};
use crate::shape::Shapes;
use crate::trace::{Declared, Positions};
use crate::tree::{self, DEPTH_MAX, Node, Place, Value};
use crate::typed;

/// The largest file read. A declaration is written by a person; what is larger is data in the wrong folder.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The most files read from one folder of declarations.
pub const FILES_MAX: usize = 2_000;
/// The project's own file.
pub const PROJECT_FILE: &str = "mainspring.yaml";

/// A folder of declarations and the kinds of object its files may hold.
const FOLDERS: [(&str, &[ObjectKind]); 6] = [
    ("sources", &[ObjectKind::Source]),
    ("features", &[ObjectKind::Entity, ObjectKind::FeatureView, ObjectKind::FeatureService]),
    ("models", &[ObjectKind::Model]),
    ("endpoints", &[ObjectKind::Endpoint]),
    ("monitors", &[ObjectKind::Monitor]),
    ("workflows", &[ObjectKind::Workflow]),
];

/// The keys that tell a document's kind, so ordered that one which may also be a mere reference (a monitor names its
/// `endpoint`) comes after the kind that has it.
const KIND_KEYS: [ObjectKind; 9] = [
    ObjectKind::Workflow,
    ObjectKind::Monitor,
    ObjectKind::Endpoint,
    ObjectKind::Model,
    ObjectKind::FeatureService,
    ObjectKind::FeatureView,
    ObjectKind::Entity,
    ObjectKind::Source,
    ObjectKind::Project,
];

/// Reads and checks a project folder.
///
/// # Errors
/// Everything found wrong, at most [`crate::DIAGNOSTICS_MAX`] mistakes.
pub fn load(folder: &Path) -> Result<Project, Diagnostics> {
    load_traced(folder).map(|(project, _)| project)
}

/// As [`load`], with the place of each declaration, for what only an engine can find wrong later.
///
/// # Errors
/// As [`load`].
pub fn load_traced(folder: &Path) -> Result<(Project, Positions), Diagnostics> {
    let mut reader = Reader {
        folder,
        shapes: Shapes::new(),
        project: Project::empty(folder),
        positions: Positions::default(),
        diagnostics: Diagnostics::default(),
    };
    reader.read_project_file();
    for (name, kinds) in FOLDERS {
        for file in reader.list(name, &["yaml", "yml"]) {
            reader.read_declarations(&file, kinds);
        }
    }
    for file in reader.list("policies", &["cedar"]) {
        reader.read_policy(&file);
    }
    check::project(&reader.project, &reader.positions, &mut reader.diagnostics);
    reader.diagnostics.sort();
    if reader.diagnostics.is_empty() { Ok((reader.project, reader.positions)) } else { Err(reader.diagnostics) }
}

impl Project {
    /// A project that declares nothing, in a folder.
    #[must_use]
    pub fn empty(folder: &Path) -> Self {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            file: ProjectFile { project: name, description: String::new(), owners: vec![], targets: BTreeMap::new() },
            folder: folder.to_owned(),
            sources: BTreeMap::new(),
            entities: BTreeMap::new(),
            feature_views: BTreeMap::new(),
            feature_services: BTreeMap::new(),
            models: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            monitors: BTreeMap::new(),
            workflows: BTreeMap::new(),
            policies: BTreeMap::new(),
        }
    }
}

struct Reader<'a> {
    folder: &'a Path,
    shapes: Shapes,
    project: Project,
    positions: Positions,
    diagnostics: Diagnostics,
}

impl Reader<'_> {
    fn read_project_file(&mut self) {
        let path = self.folder.join(PROJECT_FILE);
        if !path.exists() {
            let message = format!("there is no {PROJECT_FILE} here, so this is not a project folder");
            let help = "run `mainspring init` to write a small project, or name its folder with `-C DIR`";
            self.diagnostics.push(Diagnostic::file(PROJECT_FILE, "no_project", message).help(help));
            return;
        }
        self.read_declarations(&path, &[ObjectKind::Project]);
    }

    /// The files of a subfolder with one of the endings, at any depth, sorted by path.
    fn list(&mut self, subfolder: &str, endings: &[&str]) -> Vec<PathBuf> {
        const DEPTH: usize = 8;
        let mut files = Vec::new();
        let mut folders = vec![(self.folder.join(subfolder), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let message = format!("the folder cannot be read: {error}");
                    self.diagnostics.push(Diagnostic::file(self.relative(&folder), "unreadable", message));
                    continue;
                }
            };
            for path in entries.flatten().map(|entry| entry.path()) {
                let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
                let ending =
                    path.extension().is_some_and(|e| endings.iter().any(|ending| e.eq_ignore_ascii_case(ending)));
                if hidden || path.is_symlink() && path.is_dir() {
                    continue;
                } else if path.is_dir() && depth < DEPTH {
                    folders.push((path, depth + 1));
                } else if ending {
                    files.push(path);
                }
            }
        }
        files.sort();
        if files.len() > FILES_MAX {
            let message = format!("there are {} files here; at most {FILES_MAX} are read", files.len());
            self.diagnostics.push(Diagnostic::file(subfolder, "too_many_files", message));
            files.truncate(FILES_MAX);
        }
        files
    }

    fn relative(&self, path: &Path) -> String {
        let relative = path.strip_prefix(self.folder).unwrap_or(path);
        relative.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    /// The text of a file, if it is of a sane size and UTF-8.
    fn read_text(&mut self, path: &Path) -> Option<SourceText> {
        let file = self.relative(path);
        let bytes = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.diagnostics.push(Diagnostic::file(
                    file,
                    "unreadable",
                    format!("the file cannot be read: {error}"),
                ));
                return None;
            }
        };
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let message = format!("the file is larger than {} KiB", FILE_BYTES_MAX / 1024);
            let help =
                "move data out of the folders of declarations, for example into data/, or part the file in several";
            self.diagnostics.push(Diagnostic::file(file, "file_too_large", message).help(help));
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(SourceText { path: file.into(), text: text.into() }),
            Err(error) => {
                self.diagnostics.push(bad_utf8(file, error.as_bytes(), error.utf8_error().valid_up_to()));
                None
            }
        }
    }

    fn read_policy(&mut self, path: &Path) {
        if let Some(source) = self.read_text(path) {
            let name = source.path.strip_prefix("policies/").unwrap_or(&source.path).to_owned();
            self.project.policies.insert(name, source.text.to_string());
        }
    }

    fn read_declarations(&mut self, path: &Path, kinds: &[ObjectKind]) {
        let Some(source) = self.read_text(path) else { return self.positions.mark_unread(kinds) };
        let documents = match tree::parse(&source.text) {
            Ok(documents) => documents,
            Err(error) => {
                self.positions.mark_unread(kinds);
                return self.diagnostics.push(syntax(&source, &error));
            }
        };
        if documents.is_empty() {
            let wanted = kinds.iter().map(|kind| format!("`{kind}: NAME`")).collect::<Vec<_>>().join(" or ");
            let diagnostic = Diagnostic::file(&*source.path, "empty_file", "the file declares nothing")
                .help(format!("begin with {wanted}, or delete the file"));
            return self.diagnostics.push(diagnostic);
        }
        for node in documents {
            self.read_document(&source, node, kinds);
        }
    }

    fn read_document(&mut self, source: &SourceText, node: Node, kinds: &[ObjectKind]) {
        let Some((kind, name)) = self.kind_and_name(source, &node, kinds) else {
            return self.positions.mark_unread(kinds);
        };
        let object = ObjectRef::new(kind, name);
        if let Some(problem) = check::name_problem(&object.name) {
            let place = node.follow(&[kind.as_str().into()]).place;
            self.positions.mark_unread(&[kind]);
            let message = format!("{} cannot be the name of {}: {problem}", quote(&object.name), kind.one());
            let help = format!("write for example `{}`", check::mended_name(&object.name));
            self.diagnostics.push(Diagnostic::at(source, place, "bad_name", message).help(help));
        }
        let mut mistakes = self.shapes.compare(kind, source, &node);
        let sound = mistakes.is_empty();
        mistakes.drain(..).for_each(|mistake| self.diagnostics.push(mistake));
        let mut declared = Declared { source: source.clone(), node, sound };
        if let Some(first) = self.positions.get(&object) {
            let place = declared.node.follow(&[kind.as_str().into()]).place;
            let message = format!("there are two objects {}", quote(&object.to_string()));
            let help = format!("rename one of them; the other is at {}:{}", first.source.path, first.node.place.line);
            self.diagnostics.push(Diagnostic::at(source, place, "duplicate_name", message).help(help));
            return;
        }
        declared.sound = sound && self.insert(&object, &declared);
        self.positions.insert(object, declared);
    }

    /// Which kind of object a document declares, told by its key, and the name it gives.
    fn kind_and_name(
        &mut self,
        source: &SourceText,
        node: &Node,
        kinds: &[ObjectKind],
    ) -> Option<(ObjectKind, String)> {
        let wanted = kinds.iter().map(|kind| format!("`{kind}: NAME`")).collect::<Vec<_>>().join(" or ");
        let Value::Map(entries) = &node.value else {
            let message = format!("{} stands where an object is declared", node.value.kind());
            let help = format!("begin with {wanted}");
            self.diagnostics.push(Diagnostic::at(source, node.place, "not_an_object", message).help(help));
            return None;
        };
        let told = KIND_KEYS.into_iter().find_map(|kind| node.get(kind.as_str()).map(|name| (kind, name)));
        let Some((kind, name)) = told.filter(|(kind, _)| kinds.contains(kind)) else {
            let place = entries.first().map_or(node.place, |(key, _)| key.place);
            let folder =
                told.and_then(|(kind, _)| Some((kind, FOLDERS.iter().find(|(_, kinds)| kinds.contains(&kind))?.0)));
            let (message, help) = match folder {
                Some((kind, folder)) => {
                    (format!("{} is declared here", kind.one()), format!("move it to the folder {folder}/"))
                }
                None => {
                    let words = kinds.iter().map(|kind| kind.as_str());
                    let misspelt = entries.iter().find_map(|(key, _)| Some((key, closest(&key.text, words.clone())?)));
                    let help = misspelt.map(|(key, kind)| format!("write `{kind}` instead of {}", quote(&key.text)));
                    (
                        "nothing here says what kind of object this is".into(),
                        help.unwrap_or_else(|| format!("add {wanted}")),
                    )
                }
            };
            self.diagnostics.push(Diagnostic::at(source, place, "unknown_kind", message).help(help));
            return None;
        };
        match &name.value {
            Value::Text(text) => Some((kind, text.clone())),
            other => {
                let message = format!("{} stands where the name of {} is expected", other.kind(), kind.one());
                let help = "write a name of lower case letters, digits and `_`, in quotes if it would read as a number";
                self.diagnostics.push(Diagnostic::at(source, name.place, "bad_name", message).help(help));
                None
            }
        }
    }

    /// Reads a document of the right shape into the project. Gives whether its values are right as well.
    fn insert(&mut self, object: &ObjectRef, declared: &Declared) -> bool {
        let name = object.name.clone();
        let project = &mut self.project;
        let outcome = match object.kind {
            ObjectKind::Project => typed::read(&declared.node).map(|file| project.file = file),
            ObjectKind::Source => put(&mut project.sources, name, &declared.node),
            ObjectKind::Entity => put(&mut project.entities, name, &declared.node),
            ObjectKind::FeatureView => put(&mut project.feature_views, name, &declared.node),
            ObjectKind::FeatureService => put(&mut project.feature_services, name, &declared.node),
            ObjectKind::Model => put(&mut project.models, name, &declared.node),
            ObjectKind::Endpoint => put(&mut project.endpoints, name, &declared.node),
            ObjectKind::Monitor => put(&mut project.monitors, name, &declared.node),
            ObjectKind::Workflow => put(&mut project.workflows, name, &declared.node),
            ObjectKind::Policy => Ok(()),
        };
        if let Err(mismatch) = outcome {
            let place = mismatch.place.unwrap_or(declared.node.place);
            self.diagnostics.push(Diagnostic::at(&declared.source, place, "wrong_value", mismatch.message));
            return false;
        }
        true
    }
}

fn put<T: DeserializeOwned>(map: &mut BTreeMap<String, T>, name: String, node: &Node) -> Result<(), typed::Mismatch> {
    typed::read(node).map(|object| {
        map.insert(name, object);
    })
}

/// Reads a file, but no more of it than one byte beyond the bound.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn bad_utf8(file: String, bytes: &[u8], valid: usize) -> Diagnostic {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
    let place = Place {
        offset: valid,
        length: 1,
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
    };
    let source = SourceText { path: Arc::from(file), text: text.into() };
    Diagnostic::at(&source, place, "bad_utf8", "this byte is not UTF-8").help("save the file as UTF-8")
}

/// What the YAML parser says, in our words where we know better ones.
fn syntax(source: &SourceText, error: &serde_saphyr::Error) -> Diagnostic {
    let error = error.without_snippet();
    let said = error.to_string();
    let (message, told) = without_place(&said);
    // The parser's own offsets are not given for all errors, but its lines and columns are.
    let told = error
        .location()
        .map(|at| {
            let at = Place::from(at);
            (at.line, at.column)
        })
        .filter(|at| at.0 > 0)
        .or(told);
    let place = told.map(|(line, column)| place_at(&source.text, line, column)).unwrap_or_default();
    if let Some(tab) = tab_near(&source.text, place.line) {
        return Diagnostic::at(source, tab, "tab", "a tab stands where only spaces may indent")
            .help("replace the tab by two spaces");
    }
    match error {
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map(|key| format!(" {}", quote(key))).unwrap_or_default();
            Diagnostic::at(source, place, "duplicate_key", format!("there are two keys{key} in one mapping"))
                .help("keep one of them")
        }
        serde_saphyr::Error::Budget { .. } => Diagnostic::at(source, place, "too_much_nesting", message)
            .help(format!("a file may be nested {DEPTH_MAX} deep and hold {} values", tree::NODES_MAX)),
        _ => Diagnostic::at(source, place, "yaml_syntax", message)
            .help("check quotes, brackets and indentation on this line and the one before"),
    }
}

/// A message without the line and column at its end, and those.
fn without_place(said: &str) -> (&str, Option<(usize, usize)>) {
    let parts = said.rsplit_once(" at line ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", column ")?;
        Some((message, (line.parse().ok()?, column.parse().ok()?)))
    });
    parts.map_or((said, None), |(message, place)| (message, Some(place)))
}

/// The place of the word at a line and column of a text.
fn place_at(text: &str, line: usize, column: usize) -> Place {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    let within: usize = rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
    let word = rest.get(within..).unwrap_or_default();
    let length = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
    Place { offset: before + within, length: length.max(1), line, column }
}

/// A tab in the indentation of a line or of the one after it, where the parser stumbles.
fn tab_near(text: &str, line: usize) -> Option<Place> {
    let mut before = 0;
    for (at, content) in text.split_inclusive('\n').enumerate() {
        let indent = content.len() - content.trim_start_matches([' ', '\t']).len();
        let tab = content.get(..indent).and_then(|indent| indent.find('\t'));
        if let Some(column) = tab.filter(|_| at + 1 == line || at + 2 == line || at == line) {
            return Some(Place { offset: before + column, length: 1, line: at + 1, column: column + 1 });
        }
        before += content.len();
    }
    None
}
