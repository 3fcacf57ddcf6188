//! A folder that does not validate at the moment: what needs only the state goes on.

use serde_json::json;

use crate::project::Project;

/// Has the folder not validate.
fn spoil(project: &Project) {
    project.write("sources/stray.yaml", "source: stray\n");
    let told = project.say(&["validate"]);
    assert_eq!(told.code, 1, "{}", told.out);
}

#[test]
fn an_endpoint_that_was_asked_for_is_taken_away_while_the_folder_does_not_validate() {
    let project = Project::empty();
    project.write("trees.txt", include_bytes!("../../crates/kernel/src/import/fixtures/regression.txt"));
    let file = project.path().join("trees.txt");
    project.say(&["register", "trees", file.to_str().unwrap()]).fine();
    project.say(&["deploy", "trees"]).fine();
    project.write("mainspring.yaml", "project: forest\n");
    spoil(&project);

    let taken = project.say(&["undeploy", "trees"]).fine();

    assert!(taken.out.contains("trees is no longer an endpoint"), "{}", taken.out);
    assert_eq!(project.say(&["list", "endpoints", "--json"]).fine().json(), json!([]));
}

#[test]
fn an_endpoint_that_is_applied_stays_while_the_folder_does_not_validate() {
    let project = Project::applied();
    spoil(&project);

    let refused = project.say(&["undeploy", "returns"]);

    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("`returns` is declared"), "{}", refused.err);
}
