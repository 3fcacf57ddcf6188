//! The project that was applied last: what `plan` compares a folder with.

use mainspring_spec::Project;
use serde::{Deserialize, Serialize};

use crate::{Catalog, Change, Document, Expect, Result};

/// The catalog holds one project.
const CURRENT: &str = "current";

#[derive(Serialize, Deserialize)]
struct Declared {
    project: Project,
}

impl Document for Declared {
    const KIND: &'static str = "project";

    fn id(&self) -> String {
        CURRENT.into()
    }
}

impl Change {
    /// Makes a project the declared one.
    ///
    /// # Errors
    /// As [`Change::put`].
    pub fn declare(self, project: &Project) -> Result<Self> {
        self.put(&Declared { project: project.clone() }, Expect::Any)
    }
}

impl Catalog {
    /// The project that was applied last; `None` before the first `apply`. Its folder is not kept: set it where paths
    /// matter.
    ///
    /// # Errors
    /// When the database fails, or the project was applied by a release that this one cannot read.
    pub async fn declared(&self) -> Result<Option<Project>> {
        Ok(self.get::<Declared>(CURRENT).await?.map(|stored| stored.document.project))
    }
}
