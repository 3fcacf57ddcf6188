//! What the tests need besides Cargo: a browser, and Python environments with the clients, pinned.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{on_path, run, target_folder};

/// Makes a suite's environment beside the compiled things, and makes it again when its pinned list has changed.
pub fn python_environment(suite: &Path) -> Result<PathBuf, String> {
    let pinned = suite.join("requirements.txt");
    let wanted =
        std::fs::read_to_string(&pinned).map_err(|error| format!("cannot read {}: {error}", pinned.display()))?;
    let folder = target_folder().join("clients-venv").join(suite.file_name().unwrap_or_default());
    let python = folder.join("bin/python");
    let stamp = folder.join("installed-requirements.txt");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&pinned))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    Ok(python)
}

/// Finds Chromium, or installs Debian's package.
pub fn chromium() -> Result<PathBuf, String> {
    let find = || ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path);
    if let Some(found) = find() {
        return Ok(found);
    }
    if on_path("apt-get").is_none() {
        return Err("the console's tests need Chromium: install it so that `chromium` is on the path".into());
    }
    let sudo = on_path("sudo").filter(|_| std::env::var("USER").is_ok_and(|user| user != "root"));
    for words in
        [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]]
    {
        let mut command = sudo.as_ref().map_or_else(
            || Command::new("apt-get"),
            |sudo| {
                let mut command = Command::new(sudo);
                command.arg("apt-get");
                command
            },
        );
        run(command.args(words).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    find().ok_or_else(|| "Chromium was installed and is not on the path".into())
}
