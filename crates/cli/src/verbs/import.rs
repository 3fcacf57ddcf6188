//! `import`: a project folder from another tool's.

use std::process::ExitCode;

use crate::args::ImportVerb;
use crate::config::Place;
use crate::output::{self, Failure, GOOD, SOFT, talk};

/// `import`.
pub fn import(place: &Place, verb: ImportVerb) -> Result<ExitCode, Failure> {
    let ImportVerb::Feast { repo, json } = verb;
    let made = mainspring_ingest::feast::import(&repo, &place.folder)?;
    if json {
        return output::json(&serde_json::json!({
            "files": made.files,
            "entities": made.entities,
            "sources": made.sources,
            "feature_views": made.views,
            "feature_services": made.services,
            "notes": made.notes,
        }));
    }
    for path in &made.files {
        output::text(&path.display().to_string())?;
    }
    for note in &made.notes {
        talk(&format!("{SOFT}note:{SOFT:#} {note}"));
    }
    talk(&format!(
        "imported {} entities, {} sources of files, {} feature views, {} feature services",
        made.entities, made.sources, made.views, made.services
    ));
    talk(&format!(
        "{GOOD}hint:{GOOD:#} mainspring -C {0} apply && mainspring -C {0} run && mainspring -C {0} serve",
        place.folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}
