//! From policy files to a checked set of policies, with each mistake at its line.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::{Error, PolicyProblem, Result};

/// The most mistakes told at once.
const MAX_PROBLEMS: usize = 50;
/// The largest policy file. Policies are read at every decision; more than this is data, not policy.
const MAX_FILE_BYTES: usize = 256 << 10;

/// The text of the policies that hold when the project's folder `policies/` is empty; `mainspring init` writes it there.
#[must_use]
pub fn default_policy() -> &'static str {
    include_str!("../../policies/default.cedar")
}

pub(super) fn schema() -> Result<Schema> {
    let (schema, _warnings) = Schema::from_cedarschema_str(include_str!("../../policies/mainspring.cedarschema"))
        .map_err(|error| Error::Engine { reason: error.to_string() })?;
    Ok(schema)
}

/// Reads all files into one set. Policies are named `file: their @id`, or `file: policy N`.
pub(super) fn read(files: &BTreeMap<String, String>, schema: &Schema) -> Result<PolicySet> {
    let mut all = PolicySet::new();
    let mut problems = Vec::new();
    for (file, text) in files {
        match read_file(file, text) {
            Ok(policies) => {
                for policy in policies {
                    let id = policy.id().to_string();
                    if let Err(error) = all.add(policy) {
                        problems.push(whole_file(file, format!("{id}: {error}"), "give each policy an @id of its own"));
                    }
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        let validator = Validator::new(schema.clone());
        for error in validator.validate(&all, ValidationMode::Strict).validation_errors() {
            let id = error.policy_id().to_string();
            let file = id.split_once(": ").map_or(id.as_str(), |(file, _)| file);
            let text = files.get(file).map_or("", String::as_str);
            problems.push(problem(file, text, error));
        }
    }
    problems.truncate(MAX_PROBLEMS);
    if problems.is_empty() { Ok(all) } else { Err(Error::Policies { problems }) }
}

fn read_file(file: &str, text: &str) -> Result<Vec<cedar_policy::Policy>, Vec<PolicyProblem>> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, the most is {MAX_FILE_BYTES}", text.len());
        return Err(vec![whole_file(file, message, "write rules about roles and kinds instead of a rule per name")]);
    }
    let set = PolicySet::from_str(text)
        .map_err(|errors| errors.iter().map(|error| problem(file, text, error)).collect::<Vec<_>>())?;
    if set.templates().next().is_some() {
        let message = "policy templates (`?principal`, `?resource`) are not used here".to_owned();
        return Err(vec![whole_file(file, message, "write `principal in Role::\"...\"` instead")]);
    }
    let mut policies: Vec<_> = set.policies().cloned().collect();
    policies.sort_by_key(|policy| {
        policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX)
    });
    Ok(policies
        .into_iter()
        .zip(1..)
        .map(|(policy, number)| {
            let name = match policy.annotation("id") {
                Some(id) if !id.is_empty() => format!("{file}: {id}"),
                _ => format!("{file}: policy {number}"),
            };
            policy.new_id(PolicyId::new(name))
        })
        .collect())
}

/// The name of a policy for people: its `@id`, or its file and number.
pub(super) fn shown_name(id: &PolicyId) -> String {
    let id = id.to_string();
    match id.split_once(": ") {
        Some((file, name)) => format!("`{name}` in policies/{file}"),
        None => format!("`{id}`"),
    }
}

fn whole_file(file: &str, message: String, help: &str) -> PolicyProblem {
    PolicyProblem { file: file.into(), line: 1, column: 1, message, help: Some(help.into()) }
}

fn problem(file: &str, text: &str, error: &(impl Diagnostic + ?Sized)) -> PolicyProblem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let offset = label.as_ref().map_or(0, miette::LabeledSpan::offset);
    let (line, column) = place(text, offset);
    let message = match label.as_ref().and_then(|label| label.label()) {
        Some(label) => format!("{error}: {label}"),
        None => error.to_string(),
    };
    let help = error.help().map(|help| help.to_string());
    // The identifier that was made for the policy says nothing to who wrote the file.
    let message = message
        .split_once("`, ")
        .filter(|(start, _)| start.starts_with("for policy `"))
        .map_or(message.clone(), |(_, rest)| rest.to_owned());
    PolicyProblem { file: file.into(), line, column, message, help }
}

/// Line and column, from 1, of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
    (before.matches('\n').count() + 1, column)
}
