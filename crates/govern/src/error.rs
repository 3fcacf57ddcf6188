//! The ways in which governing can fail, worded for the person who meets them.

/// What went wrong. Being denied or unknown are answers, with types of their own.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Policies do not parse, or speak of things that do not exist.
    #[error("{}", policies_text(problems))]
    Policies {
        /// Each problem, file by file.
        problems: Vec<PolicyProblem>,
    },

    /// A key cannot be made as asked.
    #[error("the key `{name}` cannot be made: {rule}; {mend}")]
    Key {
        /// The key's name.
        name: String,
        /// The rule that stands against it.
        rule: String,
        /// What to do about it.
        mend: String,
    },

    /// There is no such live key.
    #[error("there is no live key `{name}`; list the keys to see their names")]
    NoSuchKey {
        /// The name given.
        name: String,
    },

    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key: {reason}")]
    Random {
        /// What it said.
        reason: String,
    },

    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] mainspring_catalog::Error),

    /// The policy engine refused what this crate carries itself.
    #[error("the policy engine failed: {reason}; this is a fault of mainspring, please report it")]
    Engine {
        /// What it said.
        reason: String,
    },
}

/// Something wrong in a policy file. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policies/{file}:{line}:{column}: {message}")]
pub struct PolicyProblem {
    /// The file's name within `policies/`.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would mend it, when known.
    pub help: Option<String>,
}

fn policies_text(problems: &[PolicyProblem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.help {
            Some(help) => format!("{problem}; {help}"),
            None => problem.to_string(),
        })
        .collect();
    lines.join("\n")
}
