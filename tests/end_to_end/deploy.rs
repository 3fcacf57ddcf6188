//! A model that came from elsewhere: registered, spoken of, put behind an endpoint and taken away from there.

use serde_json::{Value, json};

use crate::client::get;
use crate::harness::Server;
use crate::project::Project;

/// A folder without a project that has version 1 of `trees`.
fn registered() -> Project {
    let project = Project::empty();
    project.write("trees.txt", include_bytes!("../../crates/kernel/src/import/fixtures/regression.txt"));
    let file = project.path().join("trees.txt");
    project.say(&["register", "trees", file.to_str().unwrap()]).fine();
    project
}

fn listed(project: &Project, words: &[&str]) -> Value {
    project.say(&[&["list", "--json"][..], words].concat()).fine().json()
}

#[tokio::test]
async fn an_endpoint_that_was_asked_for_is_taken_away_and_its_versions_stay() {
    let project = registered();
    let server = Server::start(project.path());
    let ready = server.at("/v2/models/trees/ready");
    project.say(&["deploy", "trees"]).fine();
    get(&ready).await.fine();
    assert_eq!(listed(&project, &["endpoints"])[0]["endpoint"], "trees");

    let taken = project.say(&["undeploy", "trees"]).fine();
    let again = project.say(&["undeploy", "trees"]);

    assert!(taken.out.contains("trees is no longer an endpoint"), "{}", taken.out);
    assert_eq!(get(&ready).await.status, 404, "the server has followed before the verb ends");
    assert_eq!(listed(&project, &["endpoints"]), json!([]));
    let versions = listed(&project, &["versions", "trees"]);
    assert_eq!((&versions[0]["version"], &versions[0]["aliases"]), (&json!(1), &json!(["champion"])));
    let audit = listed(&project, &["audit", "endpoint:trees"]);
    assert_eq!(audit[0]["action"], "endpoint.undeploy", "{audit:#}");
    assert_eq!(again.code, 1);
    assert!(again.err.contains("there is no endpoint `trees`"), "{}", again.err);
}

#[test]
fn who_deploys_a_model_without_versions_is_told_how_one_comes() {
    let project = Project::empty();

    let refused = project.say(&["deploy", "churn"]);

    assert_eq!(refused.code, 1, "{}", refused.out);
    for words in ["no version of a model `churn`", "MLflow's client", "`mainspring register churn FILE`"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
}

#[test]
fn an_endpoint_that_is_declared_goes_with_its_file_and_an_apply() {
    let project = Project::template();

    let declared = project.say(&["undeploy", "returns"]);
    project.say(&["apply"]).fine();
    // the monitor watches the endpoint
    for file in ["endpoints/returns.yaml", "monitors/returns.yaml"] {
        std::fs::remove_file(project.path().join(file)).unwrap();
    }
    let still_applied = project.say(&["undeploy", "returns"]);

    for refused in [declared, still_applied] {
        assert_eq!(refused.code, 1, "{}", refused.out);
        let mend = "change or remove endpoints/returns.yaml and apply it";
        assert!(refused.err.contains("`returns` is declared") && refused.err.contains(mend), "{}", refused.err);
    }
    assert_eq!(listed(&project, &["endpoints"])[0]["endpoint"], "returns");
}

#[test]
fn notes_and_tags_said_on_the_command_line_are_listed_with_their_version() {
    let project = registered();
    let version = || listed(&project, &["versions", "trees"])[0].clone();
    let say = |words: &[&str]| project.say(&[&["versions"][..], words].concat());

    say(&["note", "trees", "1", "checked by eye"]).fine();
    for tag in ["region=east", "region=west", "query=a=b"] {
        say(&["tag", "trees", "1", tag]).fine();
    }
    let told = version();
    say(&["untag", "trees", "1", "region"]).fine();
    let untagged = version();

    assert_eq!(told["notes"][0]["text"], "checked by eye", "{told:#}");
    assert_eq!((&told["tags"]["region"], &told["tags"]["query"]), (&json!("west"), &json!("a=b")));
    assert_eq!((&untagged["tags"]["region"], &untagged["tags"]["query"]), (&Value::Null, &json!("a=b")));
    assert_eq!(untagged["notes"], told["notes"]);
    for (words, code, reason) in [
        (&["note", "trees", "9", "x"][..], 1, "version 9"),
        (&["note", "trees", "1", " "], 1, "not only spaces"),
        (&["tag", "trees", "1", "region"], 2, "reviewed_by=ada"),
    ] {
        let refused = say(words);
        assert_eq!(refused.code, code, "{words:?}: {}", refused.err);
        assert!(refused.err.contains(reason), "{words:?}: {}", refused.err);
    }
}
