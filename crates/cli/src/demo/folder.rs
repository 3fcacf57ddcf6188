//! The project that the demo runs: `examples/flights/`, carried in the binary so that it runs anywhere.

use std::path::Path;

use anyhow::{Context, bail};

/// Every file of the example by its path in the folder.
const FILES: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/flights.rs"));

/// The file that says a folder was made by the demo and may be made anew.
const MARK: &str = ".mainspring/made-by-demo";

/// Writes the project into a folder that does not exist, is empty, or was made by an earlier demo.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    if folder.join(MARK).is_file() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove the earlier demo in {shown}"))?;
    } else if folder.exists() && folder.read_dir().with_context(|| format!("cannot read {shown}"))?.next().is_some() {
        bail!("{shown} is not empty and was not made by the demo; name another folder with --dir");
    }
    for (path, bytes) in std::iter::once(&(MARK, &b"mainspring demo\n"[..])).chain(FILES) {
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        std::fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
