//! Alerts about files of a source that were refused: nothing of them is in the table, and whoever sends them does not know.

use jiff::Timestamp;
use mainspring_catalog::{Change, Principal};

use super::{AlertBook, SOURCE_PREFIX};
use crate::evaluate::ATTEMPTS_MAX;
use crate::{Error, Result, Watch};

impl Watch {
    /// Judges a run of a source by the files that it refused, each with why. The first refusal opens an alert, which counts
    /// the runs that refuse files until one refuses none and resolves it.
    ///
    /// # Errors
    /// When others judge the same source at once again and again, or the catalog fails.
    pub async fn judge_files(&self, source: &str, refused: &[(&str, &str)], principal: &Principal) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            match self.judge_files_once(source, refused, principal).await {
                Err(Error::Catalog(mainspring_catalog::Error::Conflict { .. })) => {}
                other => return other,
            }
        }
        Err(Error::Contended(format!("{SOURCE_PREFIX}{source}")))
    }

    async fn judge_files_once(&self, source: &str, refused: &[(&str, &str)], principal: &Principal) -> Result<()> {
        let watched = format!("{SOURCE_PREFIX}{source}");
        let mut book = AlertBook::open(&self.catalog, &watched).await?;
        // A run that refuses nothing has something to say only where there is something to resolve.
        if refused.is_empty() && book.open_alerts() == 0 {
            return Ok(());
        }
        book.judge_files(refused.len(), told(source, refused), &Principal::system("watch"), Timestamp::now());
        let change = Change::new(principal, "ingest.judge", watched.clone())
            .detail(serde_json::json!({ "files_refused": refused.len() }));
        self.catalog.commit(book.write(change)?).await?;
        self.metrics.show_open_alerts(&watched, book.open_alerts());
        Ok(())
    }
}

/// The refusals in a sentence, if there are any. The first one shows what to mend; the list of files has them all.
fn told(source: &str, refused: &[(&str, &str)]) -> Option<String> {
    let (file, reason) = refused.first()?;
    Some(match refused.len() {
        1 => format!("source {source} refused a file: {file} {reason}"),
        files => format!("source {source} refused {files} files, the first: {file} {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn refusals_are_told_by_the_first_and_their_number() {
        let (one, other) = (("a.csv", "has no column `x`"), ("b.csv", "is empty"));

        assert_eq!(told("orders", &[]), None);
        assert_eq!(told("orders", &[one]).unwrap(), "source orders refused a file: a.csv has no column `x`");
        let both = "source orders refused 2 files, the first: a.csv has no column `x`";
        assert_eq!(told("orders", &[one, other]).unwrap(), both);
    }
}
