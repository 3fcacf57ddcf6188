//! Role by action, and what policies can get wrong.

use super::*;
use crate::PolicyProblem;

fn policies(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("team.cedar".to_owned(), text.to_owned())])
}

fn with_a_principal_for_each_role(policies: &BTreeMap<String, String>) -> Authorizer {
    let roles = Roles::default();
    roles.assign(Role::ALL.map(|role| (Principal::service(role.as_str()), vec![role])));
    Authorizer::new(policies).unwrap().with_roles(roles)
}

/// A resource that an action is done to, read from the schema, so that no action is left out of the tests.
fn resource_for(action: &str) -> Resource {
    let schema = include_str!("../../../policies/mainspring.cedarschema");
    let declaration = schema.split("action ").find(|text| text.contains(&format!("\"{action}\""))).unwrap();
    let (_, resources) = declaration.split_once("resource: [").unwrap();
    let kind = resources.split([',', ']']).next().unwrap();
    Resource::new(kind.to_lowercase(), "x")
}

#[test]
fn schema_and_list_name_the_same_actions() {
    let schema = schema().unwrap();
    let mut in_schema: Vec<String> = schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
    let groups = ["call", "read", "operate", "administer"].map(str::to_owned);
    let mut listed: Vec<String> = ACTIONS.iter().map(|(name, _)| (*name).to_owned()).chain(groups).collect();
    in_schema.sort();
    listed.sort();

    assert_eq!(in_schema, listed);
}

#[test]
fn each_role_may_what_its_groups_hold_and_no_more() {
    let authorizer = with_a_principal_for_each_role(&BTreeMap::new());
    let least = |group: &str| match group {
        "call" => Role::Caller,
        "read" => Role::Viewer,
        "operate" => Role::Editor,
        _ => Role::Admin,
    };

    for (action, group) in ACTIONS {
        let resource = resource_for(action);
        for role in Role::ALL {
            let allowed = authorizer.check(&Principal::service(role.as_str()), action, &resource).is_ok();
            assert_eq!(allowed, role >= least(group), "{role} {action}");
        }
        assert!(authorizer.check(&Principal::local_owner(), action, &resource).is_ok(), "{action}");
        assert!(authorizer.check(&Principal::system("flow"), action, &resource).is_ok(), "{action}");
        assert!(authorizer.check(&Principal::user("nobody"), action, &resource).is_err(), "{action}");
        // A user is not a service of the same name.
        assert!(authorizer.check(&Principal::user("owner"), action, &resource).is_err(), "{action}");
    }
}

#[test]
fn what_is_unknown_is_denied_even_to_the_owner() {
    let authorizer = Authorizer::new(&BTreeMap::new()).unwrap();
    let owner = Principal::local_owner();
    let denied = |action: &str, kind: &str| authorizer.check(&owner, action, &Resource::new(kind, "x")).unwrap_err();

    assert_eq!(denied("model.explode", "model").reason.as_ref(), "there is no action model.explode");
    assert_eq!(denied("read", "model").reason.as_ref(), "there is no action read");
    assert_eq!(denied("model.read", "spaceship").reason.as_ref(), "there is no kind of resource spaceship");
    assert_eq!(denied("model.read", "endpoint").reason.as_ref(), "model.read does not apply to the kind endpoint");
}

#[test]
fn a_denial_says_which_role_would_do() {
    let authorizer = with_a_principal_for_each_role(&BTreeMap::new());
    let model = Resource::new("model", "arrival_delay");

    let viewer = authorizer.check(&Principal::service("viewer"), "model.promote", &model).unwrap_err();
    let nobody = authorizer.check(&Principal::user("eve"), "model.read", &model).unwrap_err();

    assert_eq!(
        viewer.to_string(),
        "service:viewer may not do model.promote on model:arrival_delay: the role viewer does not allow it; the least role that does is editor"
    );
    assert_eq!(
        nobody.to_string(),
        "user:eve may not do model.read on model:arrival_delay: it has no role; the least role that does is viewer"
    );
}

#[test]
fn a_forbidding_policy_wins_and_is_named() {
    let text = r#"
        permit (principal, action, resource);
        @id("the fraud model is only promoted by the risk team")
        forbid (principal, action == Action::"model.promote", resource == Model::"fraud")
        unless { principal == User::"risk" };
    "#;
    let authorizer = Authorizer::new(&policies(text)).unwrap();
    let fraud = Resource::new("model", "fraud");

    let denied = authorizer.check(&Principal::local_owner(), "model.promote", &fraud).unwrap_err();

    assert_eq!(
        denied.reason.as_ref(),
        "the policy `the fraud model is only promoted by the risk team` in policies/team.cedar forbids it"
    );
    assert!(authorizer.check(&Principal::user("risk"), "model.promote", &fraud).is_ok());
    assert!(authorizer.check(&Principal::local_owner(), "model.promote", &Resource::new("model", "other")).is_ok());
}

#[test]
fn roles_given_or_taken_count_at_once() {
    let roles = Roles::default();
    let authorizer = Authorizer::new(&BTreeMap::new()).unwrap().with_roles(roles.clone());
    let (app, model) = (Principal::service("app"), Resource::new("model", "m"));
    let may = || authorizer.check(&app, "model.read", &model).is_ok();

    assert!(!may());
    roles.assign([(app.clone(), vec![Role::Viewer])]);
    assert!(may());
    roles.assign([]);
    assert!(!may());
}

fn problems(text: &str) -> Vec<PolicyProblem> {
    match Authorizer::new(&policies(text)).unwrap_err() {
        Error::Policies { problems } => problems,
        other => panic!("{other}"),
    }
}

#[test]
fn a_policy_that_does_not_parse_names_file_line_and_column() {
    let found = problems("// fine\npermit (principal, action, resource);\n\npermit (principal action, resource);\n");

    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with("policies/team.cedar:4:19: unexpected token `action`"), "{shown:?}");
}

#[test]
fn a_policy_that_speaks_of_what_does_not_exist_names_its_line() {
    let action = problems("\n\npermit (principal, action == Action::\"model.explode\", resource);");
    let kind = problems("permit (principal, action,\n  resource == Spaceship::\"x\");");
    let attribute = problems("permit (principal, action, resource)\nwhen { principal.age > 18 };");

    for (found, line, word) in [(action, 3, "model.explode"), (kind, 2, "Spaceship"), (attribute, 2, "age")] {
        let first = &found[0];
        assert_eq!((first.file.as_str(), first.line), ("team.cedar", line), "{found:?}");
        assert!(first.message.contains(word), "{found:?}");
    }
}

#[test]
fn several_files_are_one_set_and_every_mistake_is_told() {
    let permit = "permit (principal, action, resource);".to_owned();
    let good = BTreeMap::from([("a.cedar".to_owned(), permit.clone()), ("b.cedar".to_owned(), permit)]);
    let bad = BTreeMap::from([
        ("a.cedar".to_owned(), "permit (".to_owned()),
        ("b.cedar".to_owned(), "permit (principal == ?principal, action, resource);".to_owned()),
        ("c.cedar".to_owned(), "// ".repeat(100_000)),
    ]);

    assert!(Authorizer::new(&good).is_ok());
    let Err(Error::Policies { problems }) = Authorizer::new(&bad) else { panic!("they are wrong") };
    let files: Vec<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
    assert_eq!(files, ["a.cedar", "b.cedar", "c.cedar"]);
}

#[test]
fn an_empty_file_permits_nothing() {
    let authorizer = Authorizer::new(&policies("// nothing yet\n")).unwrap();

    let denied = authorizer.check(&Principal::local_owner(), "model.read", &Resource::new("model", "m")).unwrap_err();

    assert!(denied.reason.contains("no role alone does"), "{denied}");
}

#[test]
fn the_example_project_shows_the_default_policies() {
    let shown = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/flights/policies/default.cedar");

    assert_eq!(std::fs::read_to_string(shown).unwrap(), default_policy());
}

/// Not a bound on time, which depends on the machine: a decision made before is not made again.
#[test]
fn decisions_are_remembered_within_bounds() {
    let authorizer = Authorizer::new(&BTreeMap::new()).unwrap();
    let owner = Principal::local_owner();

    for number in 0..2 * MAX_REMEMBERED {
        let resource = Resource::new("model", format!("m{number}"));
        authorizer.check(&owner, "model.read", &resource).unwrap();
    }
    authorizer.check(&owner, "model.read", &Resource::new("model", "x".repeat(10_000))).unwrap();

    assert!(authorizer.decisions.len() <= MAX_REMEMBERED);
    assert!(authorizer.decisions.len() > MAX_REMEMBERED / 2);
}
