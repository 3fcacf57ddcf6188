//! Which failures of the layers may be gone at the next attempt: lost races, busy files, disks and stores that failed.
//!
//! A mistake in a declaration, a schema or the data is there at the next attempt too; trying it again only makes who waits
//! wait longer. Where a layer keeps no more than words of what failed, it is tried again.

use mainspring_catalog::Error as CatalogError;
use mainspring_features::Error as FeaturesError;
use mainspring_ingest::Error as IngestError;
use mainspring_lake::Error as LakeError;
use mainspring_registry::Error as RegistryError;
use mainspring_train::Error as TrainError;
use mainspring_watch::Error as WatchError;

/// The error of a layer.
pub(crate) trait MayPass: std::error::Error {
    /// Whether trying again may help.
    fn may_pass(&self) -> bool;
}

impl MayPass for CatalogError {
    fn may_pass(&self) -> bool {
        use CatalogError::{Busy, Conflict, DiskFull, Io, Storage};
        matches!(self, Busy { .. } | Conflict { .. } | DiskFull { .. } | Io { .. } | Storage { .. })
    }
}

impl MayPass for LakeError {
    fn may_pass(&self) -> bool {
        Self::may_pass(self)
    }
}

impl MayPass for IngestError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Lake(error) => error.may_pass(),
            Self::Catalog(error) => error.may_pass(),
            other => matches!(other, Self::Read { .. } | Self::Write { .. } | Self::Compute { .. }),
        }
    }
}

impl MayPass for FeaturesError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Ingest(error) => error.may_pass(),
            Self::Lake(error) => error.may_pass(),
            Self::Catalog(error) => error.may_pass(),
            Self::Query(error) => mainspring_lake::query_may_pass(error),
            other => matches!(other, Self::Online { .. } | Self::PushesWaiting { .. }),
        }
    }
}

impl MayPass for RegistryError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Catalog(error) => error.may_pass(),
            other => matches!(
                other,
                Self::Busy(_)
                    | Self::Contended(_)
                    | Self::Files { .. }
                    | Self::Io { .. }
                    | Self::Points { .. }
                    | Self::Raced { .. }
            ),
        }
    }
}

impl MayPass for TrainError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Registry(error) => error.may_pass(),
            Self::Features(error) => error.may_pass(),
            Self::Lake(error) => error.may_pass(),
            Self::Query(error) => mainspring_lake::query_may_pass(error),
            _ => false,
        }
    }
}

impl MayPass for WatchError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Catalog(error) => error.may_pass(),
            Self::Lake(error) => error.may_pass(),
            Self::Registry(error) => error.may_pass(),
            other => matches!(other, Self::Contended(_) | Self::Query { .. } | Self::Stopped { .. }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(reason: &str) -> LakeError {
        LakeError::Schema { table: "sources.events".parse().unwrap(), reason: reason.into() }
    }

    #[test]
    fn mistakes_stay() {
        let mistakes: [Box<dyn MayPass>; 7] = [
            Box::new(IngestError::Location { path: "data/x.csv".into(), reason: "there is no such file".into() }),
            Box::new(IngestError::Lake(schema("columns `a` and `A` have one name but for case; rename one"))),
            Box::new(IngestError::Lake(schema("column `a` is Int64 in the table and Float64 in the rows; cast it"))),
            Box::new(FeaturesError::NotOnline { view: "v".into() }),
            Box::new(TrainError::Features(FeaturesError::Lake(schema("column `a`")))),
            Box::new(WatchError::UnknownMonitor("m".into())),
            Box::new(CatalogError::Newer { found: 9, known: 3 }),
        ];
        for mistake in mistakes {
            assert!(!mistake.may_pass(), "{mistake}");
        }
    }

    #[test]
    fn lost_races_and_busy_stores_may_pass() {
        let busy = || CatalogError::Busy { doing: "writing to the catalog", waited_seconds: 10 };
        let raced = || LakeError::Contended { table: "sources.events".parse().unwrap(), attempts: 9 };
        let passing: [Box<dyn MayPass>; 7] = [
            Box::new(IngestError::Read { uri: "data/x.csv".into(), reason: "timed out".into() }),
            Box::new(IngestError::Catalog(busy())),
            Box::new(FeaturesError::Lake(raced())),
            Box::new(FeaturesError::Ingest(IngestError::Lake(raced()))),
            Box::new(FeaturesError::Online { doing: "writing", reason: "the disk was busy".into() }),
            Box::new(TrainError::Registry(RegistryError::Catalog(busy()))),
            Box::new(WatchError::Contended("m".into())),
        ];
        for error in passing {
            assert!(error.may_pass(), "{error}");
        }
    }
}
