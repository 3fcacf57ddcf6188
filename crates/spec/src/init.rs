//! A small commented project to start from.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::check::name_problem;
use crate::error::{Error, Result};

/// The files of a new project: path inside the folder, and text with `{{name}}` for the project's name.
const TEMPLATES: [(&str, &str); 11] = [
    ("mainspring.yaml", include_str!("../templates/mainspring.yaml")),
    (".gitignore", include_str!("../templates/gitignore")),
    ("sources/orders.yaml", include_str!("../templates/sources/orders.yaml")),
    ("features/customer.yaml", include_str!("../templates/features/customer.yaml")),
    ("features/order.yaml", include_str!("../templates/features/order.yaml")),
    ("models/returns.yaml", include_str!("../templates/models/returns.yaml")),
    ("endpoints/returns.yaml", include_str!("../templates/endpoints/returns.yaml")),
    ("monitors/returns.yaml", include_str!("../templates/monitors/returns.yaml")),
    ("workflows/daily.yaml", include_str!("../templates/workflows/daily.yaml")),
    ("policies/default.cedar", include_str!("../templates/policies/default.cedar")),
    ("data/orders.csv", include_str!("../templates/data/orders.csv")),
];

/// Writes a small project with a little data, which validates and runs as it stands. Gives the files written.
///
/// # Errors
/// When the name cannot be one, when one of the files is already there (then none is written), or when a file cannot
/// be written.
pub fn init(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let files: Vec<(PathBuf, String)> =
        TEMPLATES.iter().map(|(path, text)| (PathBuf::from(path), text.replace("{{name}}", name))).collect();
    init_with(folder, name, &files)
}

/// Writes the files of a project that something else has made up, under the same promises as [`init`].
///
/// # Errors
/// As [`init`].
pub fn init_with(folder: &Path, name: &str, files: &[(PathBuf, String)]) -> Result<Vec<PathBuf>> {
    if let Some(reason) = name_problem(name) {
        return Err(Error::BadName { name: name.to_owned(), reason });
    }
    let paths: Vec<PathBuf> = files.iter().map(|(path, _)| folder.join(path)).collect();
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(Error::Exists { path: path.clone() });
    }
    for (path, (_, text)) in paths.iter().zip(files) {
        write_new(path, text).map_err(|error| Error::Write { path: path.clone(), error })?;
    }
    Ok(paths)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Look, load};

    #[test]
    fn a_new_project_is_sound() {
        let folder = tempfile::tempdir().unwrap();

        let files = init(folder.path(), "shop").unwrap();

        let project = load(folder.path()).unwrap_or_else(|found| panic!("{}", found.render(Look::Plain)));
        assert_eq!(files.len(), TEMPLATES.len());
        assert_eq!(project.file.project, "shop");
        assert_eq!(project.resolve_model("returns").unwrap().inputs.len(), 8);
    }

    #[test]
    fn a_file_in_the_way_is_kept_and_nothing_else_is_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("models")).unwrap();
        fs::write(folder.path().join("models/returns.yaml"), "mine").unwrap();

        let error = init(folder.path(), "shop").unwrap_err();

        assert!(matches!(error, Error::Exists { .. }), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("models/returns.yaml")).unwrap(), "mine");
        assert!(!folder.path().join("mainspring.yaml").exists());
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();

        assert!(matches!(init(folder.path(), "My Shop"), Err(Error::BadName { .. })));
    }

    #[test]
    fn the_policy_is_the_one_that_holds_by_default() {
        let default = include_str!("../../govern/policies/default.cedar");

        assert_eq!(include_str!("../templates/policies/default.cedar"), default);
        assert_eq!(include_str!("../../../examples/flights/policies/default.cedar"), default);
    }
}
