//! Whatever stands in a folder, reading it ends in a project or in diagnostics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use mainspring_spec::{Look, column_names, diff, load, table_names};
use proptest::prelude::*;

/// The real files that are mutated.
fn corpus() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/flights");
    let mut files = vec![];
    for folder in ["", "sources", "features", "models", "endpoints", "monitors", "workflows"] {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "yaml")) {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    files
}

fn folder_of(files: &[(String, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Everything a loaded or refused project is asked.
fn exercise(folder: &Path) {
    match load(folder) {
        Ok(project) => {
            for model in project.models.keys() {
                project.resolve_model(model).unwrap();
                project.request_fields(model).unwrap();
            }
            assert!(diff(Some(&project), &project).is_empty());
            assert!(!diff(None, &project).is_empty());
            let order = project.dependencies();
            for (at, step) in order.iter().enumerate() {
                for need in &step.needs {
                    assert!(order[..at].iter().any(|earlier| earlier.object == *need), "{} before {need}", step.object);
                }
            }
        }
        Err(found) => {
            assert!(!found.is_empty());
            let shown = found.render(Look::Plain);
            assert!(found.found.iter().all(|one| shown.contains(one.file.as_str())), "{shown}");
            assert!(found.render(Look::Colour).len() >= shown.len() / 2);
        }
    }
}

/// One edit of a text, as a slip of the hand or a bad merge makes it.
#[derive(Debug, Clone)]
enum Edit {
    Delete(usize, usize),
    Insert(usize, String),
    Repeat(usize, usize),
    Swap(usize, usize),
    Cut(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let piece = prop_oneof![
        "[\\[\\]{}:,&*!|>'\"#%@`?\\-\t \n0-9a-z]{1,6}",
        Just("\n---\n".to_owned()),
        Just("&a *a".to_owned()),
        Just("<<: *x".to_owned()),
        Just("null".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("\u{feff}é\u{2028}".to_owned()),
    ];
    prop_oneof![
        (any::<usize>(), 1..80_usize).prop_map(|(at, length)| Edit::Delete(at, length)),
        (any::<usize>(), piece).prop_map(|(at, text)| Edit::Insert(at, text)),
        (any::<usize>(), 1..200_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Edit::Swap(a, b)),
        any::<usize>().prop_map(Edit::Cut),
    ]
}

fn apply(text: &str, edit: &Edit) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let length = chars.len().max(1);
    match edit {
        Edit::Delete(at, count) => {
            let at = at % length;
            chars.drain(at..(at + count).min(chars.len()));
        }
        Edit::Insert(at, piece) => {
            let at = at % length;
            chars.splice(at..at, piece.chars());
        }
        Edit::Repeat(at, count) => {
            let at = at % length;
            let part = chars[at..(at + count).min(chars.len())].to_vec();
            chars.splice(at..at, part);
        }
        Edit::Swap(..) if chars.is_empty() => {}
        Edit::Swap(a, b) => chars.swap(a % length, b % length),
        Edit::Cut(at) => chars.truncate(at % length),
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_file_end_in_an_answer(content in proptest::collection::vec(any::<u8>(), 0..400), at in 0..5_usize) {
        let name = ["mainspring.yaml", "sources/a.yaml", "features/a.yml", "models/a.yaml", "policies/a.cedar"][at];
        let folder = folder_of(&[("mainspring.yaml".into(), b"project: x".to_vec()), (name.into(), content)]);
        exercise(folder.path());
    }

    #[test]
    fn any_text_in_any_file_ends_in_an_answer(content in "[ -~\n\t]{0,300}") {
        let folder = folder_of(&[("mainspring.yaml".into(), b"project: x".to_vec()), ("models/a.yaml".into(), content.into_bytes())]);
        exercise(folder.path());
    }

    #[test]
    fn mutated_real_files_end_in_an_answer(which in any::<usize>(), edits in proptest::collection::vec(edit(), 1..6)) {
        let corpus = corpus();
        let which = which % corpus.len();
        let files: Vec<(String, Vec<u8>)> = corpus.into_iter().enumerate().map(|(at, (name, text))| {
            let text = if at == which { edits.iter().fold(text, |text, edit| apply(&text, edit)) } else { text };
            (name, text.into_bytes())
        }).collect();
        exercise(folder_of(&files).path());
    }

    #[test]
    fn any_sql_ends_in_an_answer(text in "[ -~\n]{0,200}") {
        let _ = table_names(&text);
        let _ = column_names(&text);
    }
}
