//! What people decide: which version is live, what is said of it, who has a key, whether the audit log is whole.

use clap::{Args, Subcommand};

use super::Listing;

/// `versions`.
#[derive(Debug, Subcommand)]
pub enum VersionsVerb {
    /// Add a note to a version; a note is never taken away
    #[command(
        after_help = "Examples:\n  mainspring versions note arrival_delay 4 'trained without the strike in March'"
    )]
    Note {
        /// The model
        model: String,
        /// The version
        // `version` itself is the name of --version
        #[arg(id = "model_version", value_name = "VERSION")]
        version: u64,
        /// The note
        text: String,
    },
    /// Set a tag of a version, or give it another value
    #[command(after_help = "Examples:\n  mainspring versions tag arrival_delay 4 reviewed_by=ada")]
    Tag {
        /// The model
        model: String,
        /// The version
        #[arg(id = "model_version", value_name = "VERSION")]
        version: u64,
        /// The tag and its value
        #[arg(value_name = "KEY=VALUE", value_parser = key_and_value)]
        tag: (String, String),
    },
    /// Take a tag of a version away
    #[command(after_help = "Examples:\n  mainspring versions untag arrival_delay 4 reviewed_by")]
    Untag {
        /// The model
        model: String,
        /// The version
        #[arg(id = "model_version", value_name = "VERSION")]
        version: u64,
        /// The tag
        key: String,
    },
}

/// `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The model
    pub model: String,
    /// The version
    // `version` itself is the name of --version
    #[arg(id = "model_version", value_name = "VERSION")]
    pub version: u64,
    /// The alias, which endpoints follow
    #[arg(long, default_value = "champion")]
    pub alias: String,
    /// Why, for the record
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The model
    pub model: String,
    /// A version that had the alias once [default: the one before]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<u64>,
    /// The alias, which endpoints follow
    #[arg(long, default_value = "champion")]
    pub alias: String,
    /// Why, for the record
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Recompute the hash chain and name the first entry that was altered or is missing
    Verify(Listing),
}

/// `key`.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Make a key; it is shown once
    Create {
        /// Whose key it is
        name: String,
        /// The role, which says what it may do: caller, viewer, editor, admin or owner
        #[arg(long, default_value = "viewer")]
        role: String,
    },
    /// List keys, without their secrets
    List(Listing),
    /// Make a key worthless
    Revoke {
        /// Whose key it is
        name: String,
    },
}

/// A tag and its value, which may have further equals signs.
///
/// # Errors
/// Words on what is missing.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is written KEY=VALUE, as in reviewed_by=ada")?;
    match key {
        "" => Err("a tag has a name before the `=`, as in reviewed_by=ada".into()),
        key => Ok((key.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Verb};

    #[test]
    fn a_tag_is_a_name_and_a_value_with_whatever_is_in_it() {
        let said = |pair: &str| {
            let words = ["mainspring", "versions", "tag", "churn", "3", pair];
            match Cli::try_parse_from(words).map_err(|error| error.to_string())?.verb {
                Verb::Versions(VersionsVerb::Tag { model, version, tag }) => Ok((model, version, tag)),
                other => Err(format!("{other:?}")),
            }
        };

        assert_eq!(said("query=a=b").unwrap(), ("churn".into(), 3, ("query".into(), "a=b".into())));
        assert_eq!(said("empty=").unwrap().2, ("empty".into(), String::new()));
        for wrong in ["owner", "=ada"] {
            assert!(said(wrong).unwrap_err().contains("reviewed_by=ada"), "{wrong}");
        }
    }
}
