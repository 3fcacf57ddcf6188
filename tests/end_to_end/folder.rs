//! The folder and the words around it: init, validate, plan, apply, help, listings.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::client::{get, post};
use crate::harness::{Server, binary};
use crate::project::{Project, Ran, order_request};

#[tokio::test]
async fn a_new_folder_is_valid_planned_applied_trained_and_answers() {
    let project = Project::template();

    project.say(&["validate"]).fine();
    let plan = project.say(&["plan", "--json"]);
    assert_eq!(plan.code, 2, "changes are no error and not nothing: {}", plan.err);
    assert!(!plan.json()["changes"].as_array().unwrap().is_empty());
    project.say(&["apply"]).fine();
    let again = project.say(&["plan", "--json"]).fine();
    assert_eq!(again.json()["changes"], json!([]));
    let empty = project.say(&["apply", "--json"]).fine();
    assert_eq!(empty.json()["changes"], json!([]), "a second apply is empty");

    let ran = project.run().succeeded();
    assert!(ran.figure("train", "returns", "auc") > 0.55);
    assert_eq!(ran.figure("ingest", "orders", "rows_quarantined") as i64, 1, "the negative amount");
    let listed = project.say(&["list", "models"]).fine();
    assert!(listed.out.contains("returns"), "{}", listed.out);

    let server = Server::start(project.path());
    let answer = post(&server.at("/api/v1/endpoints/returns/predict"), &order_request()).await.fine().json();
    let prediction = answer["predictions"][0]["prediction"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&prediction), "{answer}");
    assert_eq!((&answer["version"], &answer["degraded"]), (&json!(1), &json!(false)));
}

#[test]
fn a_log_that_goes_to_a_file_has_no_colours() {
    let project = Project::applied();

    // the tests ask for none; here only that nobody looks may say so
    let run =
        binary().env_remove("NO_COLOR").arg("-C").arg(project.path()).args(["run", "orders", "-v"]).output().unwrap();

    assert!(run.status.success());
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("INFO") && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_second_run_does_nothing() {
    let project = Project::trained();

    let again = project.run().succeeded();

    let states: Vec<&str> = again.tasks().iter().map(|task| task["state"].as_str().unwrap()).collect();
    assert!(states.iter().all(|state| *state == "unchanged"), "{states:?}");
}

#[test]
fn forced_work_is_done_again_and_lands_nothing_twice() {
    let project = Project::trained();
    let landed = "select count(*) as n from sources.orders";
    let computed = "select count(*) as n from features.customer_orders";
    let before = (project.number(landed), project.number(computed));

    let forced = Ran::of(&project.say(&["run", "--force", "--json"])).succeeded();

    for (kind, name) in [("backfill", "customer_orders"), ("materialize", "customer_orders"), ("train", "returns")] {
        assert_eq!(forced.task(kind, name)["state"], "succeeded", "{kind} {name} is done although nothing changed");
    }
    assert!(forced.figure("materialize", "customer_orders", "rows") > 0.0);
    assert_eq!(forced.figure("ingest", "orders", "rows_landed") as i64, 0);
    assert_eq!((project.number(landed), project.number(computed)), before);
}

/// A mistake, where it is told to be, and words of what is told.
struct Mistake {
    what: &'static str,
    make: fn(&Project),
    file: &'static str,
    place: Option<(u64, u64)>,
    rule: &'static str,
    message: &'static str,
    help: &'static str,
}

const ORDERS: &str = "sources/orders.yaml";
const STRAY: &str = "sources/stray.yaml";

const MISTAKES: &[Mistake] = &[
    Mistake {
        what: "a misspelt key",
        make: |project| project.edit(ORDERS, "event_time:", "event_tyme:"),
        file: ORDERS,
        place: Some((19, 1)),
        rule: "unknown_key",
        message: "`event_tyme`",
        help: "`event_time`",
    },
    Mistake {
        what: "a feature that no view has",
        make: |project| project.edit("models/returns.yaml", "order_facts.*", "order_facts.hour_of_dya"),
        file: "models/returns.yaml",
        place: Some((16, 5)),
        rule: "unknown_feature",
        message: "`hour_of_dya`",
        help: "`hour_of_day`",
    },
    Mistake {
        what: "a type that nothing can be cast to",
        make: |project| project.edit(ORDERS, "name: amount, type: float64", "name: amount, type: floot64"),
        file: ORDERS,
        place: Some((13, 26)),
        rule: "unknown_value",
        message: "`floot64`",
        help: "`float64`",
    },
    Mistake {
        what: "a function that the engine does not know",
        make: |project| {
            let derived = "derive:\n  - {name: weight, type: float64, sql: rond(amount)}\n";
            project.write(ORDERS, project.read(ORDERS) + derived);
        },
        file: ORDERS,
        place: None,
        rule: "sql",
        message: "rond",
        help: "mend the SQL",
    },
    Mistake {
        what: "views that need each other",
        make: |project| {
            let views = "---\nfeature_view: a\nuses: [b.y]\nexpressions:\n  - {name: x, sql: y + 1}\n\
                ---\nfeature_view: b\nuses: [a.x]\nexpressions:\n  - {name: y, sql: x + 1}\n";
            project.write("features/order.yaml", project.read("features/order.yaml") + views);
        },
        file: "features/order.yaml",
        place: Some((14, 1)),
        rule: "cycle",
        message: "a → b → a",
        help: "break the circle",
    },
    Mistake {
        what: "two objects of one name",
        make: |project| project.write("models/returns_again.yaml", project.read("models/returns.yaml")),
        file: "models/returns_again.yaml",
        place: Some((1, 8)),
        rule: "duplicate_name",
        message: "`model:returns`",
        help: "models/returns.yaml:1",
    },
    Mistake {
        what: "a tab",
        make: |project| project.write(STRAY, "source: stray\npath: data/x.csv\ncolumns:\n\t- {name: a, type: int64}\n"),
        file: STRAY,
        place: Some((4, 1)),
        rule: "tab",
        message: "tab",
        help: "two spaces",
    },
    Mistake {
        what: "an empty file",
        make: |project| project.write(STRAY, ""),
        file: STRAY,
        place: None,
        rule: "empty_file",
        message: "declares nothing",
        help: "delete the file",
    },
    Mistake {
        what: "a file of 50 MB",
        make: |project| project.write(STRAY, format!("source: stray\ndescription: {}\n", "x".repeat(50_000_000))),
        file: STRAY,
        place: None,
        rule: "file_too_large",
        message: "larger than",
        help: "move data out",
    },
    Mistake {
        what: "bytes that are no text",
        make: |project| project.write(STRAY, b"source: stray\npath: \xff\xfe\n"),
        file: STRAY,
        place: Some((2, 7)),
        rule: "bad_utf8",
        message: "not UTF-8",
        help: "UTF-8",
    },
    Mistake {
        what: "lists a hundred thousand deep",
        make: |project| project.write(STRAY, format!("source: stray\npath: {}\n", "[".repeat(100_000))),
        file: STRAY,
        place: None,
        rule: "yaml_syntax",
        message: "recursion",
        help: "brackets",
    },
];

#[test]
fn every_mistake_is_told_once_with_its_place_its_rule_and_the_mending_edit() {
    let project = Project::template();
    for mistake in MISTAKES {
        let what = mistake.what;
        let before = [ORDERS, "models/returns.yaml", "features/order.yaml"].map(|file| (file, project.read(file)));
        (mistake.make)(&project);

        let told = project.say(&["validate", "--json"]);
        let shown = project.say(&["validate"]);
        let planned = project.say(&["plan"]);
        let applied = project.say(&["apply", "--yes"]);

        for said in [&told, &shown, &planned, &applied] {
            assert_eq!(said.code, 1, "{what}: {}{}", said.out, said.err);
            assert!(!said.err.contains("panicked"), "{what}: {}", said.err);
            assert!(said.err.len() < 5_000, "{what}: {} characters of talk", said.err.len());
        }
        let told = told.json();
        assert_eq!(told["valid"], false, "{what}");
        let errors = told["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{what}: {told:#}");
        let error = &errors[0];
        assert_eq!((&error["file"], &error["rule"]), (&json!(mistake.file), &json!(mistake.rule)), "{what}: {error:#}");
        let has = |key: &str, words: &str| error[key].as_str().is_some_and(|text| text.contains(words));
        assert!(has("message", mistake.message) && has("help", mistake.help), "{what}: {error:#}");
        if let Some((line, column)) = mistake.place {
            assert_eq!((&error["line"], &error["column"]), (&json!(line), &json!(column)), "{what}");
            assert!(shown.err.contains(&format!("{}:{line}:{column}", mistake.file)), "{what}: {}", shown.err);
        }
        assert!(shown.err.contains("help:") && shown.err.contains(mistake.file), "{what}: {}", shown.err);
        for (file, text) in before {
            project.write(file, text);
        }
        for stray in [STRAY, "models/returns_again.yaml"] {
            let _not_made = std::fs::remove_file(project.path().join(stray));
        }
        project.say(&["validate"]).fine();
    }
}

#[test]
fn a_cast_to_an_unknown_type_within_sql_is_told_where_it_stands_before_anything_runs() {
    let project = Project::template();
    project
        .write(ORDERS, project.read(ORDERS) + "derive:\n  - {name: weight, type: int64, sql: cast(items as intt)}\n");

    let told = project.say(&["validate", "--json"]).json();
    let applied = project.say(&["apply"]);

    let error = &told["errors"][0];
    assert_eq!((&error["file"], &error["rule"]), (&json!(ORDERS), &json!("sql")), "{told:#}");
    assert!(error["message"].as_str().unwrap().to_lowercase().contains("intt"), "{told:#}");
    assert_eq!(applied.code, 1);
}

#[test]
fn destructive_changes_wait_for_a_yes() {
    let project = Project::trained();
    std::fs::remove_file(project.path().join("endpoints/returns.yaml")).unwrap();
    std::fs::remove_file(project.path().join("monitors/returns.yaml")).unwrap();

    let plan = project.say(&["plan"]);
    let refused = project.say(&["apply"]);
    let agreed = project.say(&["apply", "--yes"]);

    assert_eq!(plan.code, 2);
    assert!(plan.out.contains("destructive") || plan.out.contains("breaking"), "{}", plan.out);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("hint:") && refused.err.contains("--yes"), "{}", refused.err);
    agreed.fine();
    project.say(&["plan"]).fine();
}

#[tokio::test]
async fn a_plan_tells_that_a_pushed_source_with_rows_cannot_become_another() {
    let project = Project::empty();
    project.write("mainspring.yaml", "project: clicks\n");
    let declare = |seconds: &str| {
        let columns = format!("  - {{name: page, type: string}}\n  - {{name: seconds, type: {seconds}}}\n");
        project.write("sources/clicks.yaml", format!("source: clicks\npush: [clicks]\ncolumns:\n{columns}"));
    };
    declare("int64");
    project.say(&["apply"]).fine();
    declare("float64");
    let without_rows = project.say(&["plan"]);
    declare("int64");
    let server = Server::start(project.path());
    let pushed = json!({ "push_source_name": "clicks", "df": { "page": ["/"], "seconds": [30] } });
    post(&server.at("/push"), &pushed).await.fine();
    // what was acknowledged lands with the next run
    server.kill();
    project.run().succeeded();
    assert_eq!(project.number("select count(*) as n from sources.clicks"), 1);
    declare("float64");

    let plan = project.say(&["plan"]);
    project.say(&["apply", "--yes"]).fine();
    let ran = project.run();

    let refusal = "source `clicks` has rows that clients pushed, which cannot be read again although column `seconds` \
        was int64 and is float64 now; take that change out";
    assert_eq!((without_rows.code, plan.code), (2, 2), "{}{}", without_rows.err, plan.err);
    assert!(!without_rows.out.contains("refuse"), "{}", without_rows.out);
    assert!(without_rows.out.contains("holds for rows pushed from now on"), "{}", without_rows.out);
    assert!(plan.out.contains(&format!("the next run will refuse this: {refusal}")), "{}", plan.out);
    assert!(plan.out.contains("are in no file that could be read again"), "{}", plan.out);
    assert!(ran.error("ingest", "clicks").contains(refusal), "the run says what the plan told: {ran:?}");
    assert_eq!(project.number("select count(*) as n from sources.clicks"), 1);
}

#[test]
fn every_kind_of_file_has_a_json_schema() {
    let project = Project::empty();
    for kind in ["project", "source", "entity", "feature_view", "model", "endpoint", "monitor", "workflow"] {
        let schema = project.say(&["schema", kind]).fine().json();

        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)), "{kind}");
        let name = &schema["properties"][kind];
        assert!(name["type"] == "string" && name["description"].is_string(), "{kind}: {name}");
    }
    let unknown = project.say(&["schema", "sauce"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("sauce") && unknown.err.contains("source"), "{}", unknown.err);
}

/// The verbs that `--help` lists.
fn verbs(help: &str) -> Vec<String> {
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let named = |line: &str| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).map(str::to_owned);
    let words = listed.lines().filter_map(named).filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    words.filter(|word| word != "help").collect()
}

#[test]
fn every_verb_has_its_page_of_help() {
    let project = Project::empty();
    let help = project.say(&["--help"]).fine().out;

    let listed = verbs(&help);

    assert!(listed.len() >= 18, "{listed:?}");
    assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
    for verb in &listed {
        let page = project.say(&[verb, "--help"]).fine().out;
        assert!(page.contains("Usage:") && page.contains(verb.as_str()), "{verb}: {page}");
        if page.contains("Commands:") {
            for below in verbs(&page) {
                let page = project.say(&[verb, &below, "--help"]).fine().out;
                assert!(page.contains("Usage:"), "{verb} {below}: {page}");
            }
        }
    }
    let misspelt = project.say(&["aply"]);
    assert_eq!(misspelt.code, 2);
    assert!(misspelt.err.contains("apply"), "{}", misspelt.err);
}

#[test]
fn completions_are_scripts_that_their_shell_reads() {
    let project = Project::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = project.say(&["completions", shell]).fine().out;

        assert!(script.contains("mainspring") && script.contains("promote"), "{shell}: {script:.300}");
        project.write(shell, &script);
        // not every machine has every shell
        let read = Command::new(shell).arg("-n").arg(project.path().join(shell)).stderr(Stdio::inherit()).status();
        assert!(read.is_err() || read.is_ok_and(|status| status.success()), "{shell}");
    }
}

#[tokio::test]
async fn a_server_starts_on_an_empty_folder() {
    let project = Project::empty();

    let server = Server::start(project.path());

    assert_eq!(get(&server.at("/health")).await.fine().text, "OK");
    assert_eq!(post(&server.at("/api/v1/endpoints/returns/predict"), &order_request()).await.status, 404);
}

#[test]
fn a_public_address_without_a_key_is_refused() {
    let project = Project::empty();

    let refused = project.say(&["serve", "--listen", "0.0.0.0:0"]);

    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("0.0.0.0") && refused.err.contains("hint:"), "{}", refused.err);
    assert!(refused.err.contains("mainspring key create"), "{}", refused.err);
}

#[test]
fn output_that_no_terminal_reads_has_no_colours() {
    let project = Project::template();
    for words in [
        &["--help"][..],
        &["plan"],
        &["apply"],
        &["run"],
        &["list", "models"],
        &["status"],
        &["audit", "verify"],
        &["schema"],
    ] {
        let output = binary().env_remove("NO_COLOR").arg("-C").arg(project.path()).args(words).output().unwrap();

        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{words:?}: {output:?}");
    }
}

#[test]
fn every_listing_is_json_when_asked() {
    let project = Project::trained();
    for kind in [
        "sources",
        "tables",
        "files",
        "features",
        "models",
        "versions",
        "experiments",
        "endpoints",
        "runs",
        "tasks",
        "reports",
        "alerts",
        "audit",
    ] {
        let listed = project.say(&["list", kind, "--json"]).fine().json();

        let rows = listed.as_array().unwrap_or_else(|| panic!("{kind}: {listed:#}"));
        let may_be_empty = matches!(kind, "reports" | "alerts");
        assert!(may_be_empty || (!rows.is_empty() && rows.iter().all(Value::is_object)), "{kind}: {listed:#}");
        project.say(&["list", kind]).fine();
    }
    for words in [
        &["status", "--json"][..],
        &["config", "--json"],
        &["monitor", "--json"],
        &["maintain", "--json"],
        &["audit", "verify", "--json"],
        &["key", "list", "--json"],
    ] {
        let listed = project.say(words).fine().json();
        assert!(listed.is_object() || listed.is_array(), "{words:?}: {listed}");
    }
}

#[test]
fn the_configuration_has_what_environment_and_flags_tell_a_server() {
    let project = Project::template();
    let config = |words: &[&str]| -> Value {
        let mut command = binary();
        command.arg("-C").arg(project.path()).args(["config", "--json"]).args(words);
        command.env("MAINSPRING_LISTEN", "127.0.0.1:27896").env("MAINSPRING_GRPC", "127.0.0.1:27900");
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };

    let from_environment = config(&[]);
    let flagged = config(&["--listen", "127.0.0.1:27897", "--allow-private-webhooks"]);

    assert_eq!(from_environment["listen"], "127.0.0.1:27896");
    assert_eq!(from_environment["grpc"], "127.0.0.1:27900");
    assert_eq!(from_environment["allow_private_webhooks"], false);
    assert_eq!(flagged["listen"], "127.0.0.1:27897", "a flag goes before the environment");
    assert_eq!(flagged["grpc"], "127.0.0.1:27900");
    assert_eq!(flagged["allow_private_webhooks"], true);
}

#[test]
fn the_key_of_secrets_is_taken_from_the_environment_and_never_shown() {
    let project = Project::template();
    let config = |key: &str| {
        let mut command = binary();
        command.arg("-C").arg(project.path()).args(["config", "--json"]).env("MAINSPRING_SECRETS_KEY", key);
        command.output().unwrap()
    };
    let (key, other) = ("0a".repeat(32), "0b".repeat(32));

    let shown = config(&format!("{key},{other}"));
    let unfit = config(&format!("{key},{}", &other[1..]));

    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["secrets_key"], "***,***");
    assert_eq!(project.say(&["config", "--json"]).fine().json()["secrets_key"], Value::Null);
    let said = String::from_utf8(unfit.stderr).unwrap();
    assert_eq!(unfit.status.code(), Some(1), "{said}");
    assert!(said.contains("key 2 of MAINSPRING_SECRETS_KEY") && said.contains("openssl rand -hex 32"), "{said}");
    assert!(!said.contains(&other[1..]), "{said}");
}

#[test]
fn an_unapplied_folder_says_what_to_do_first() {
    let project = Project::template();

    let ran = project.say(&["run"]);

    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("hint:") && ran.err.contains("mainspring apply"), "{}", ran.err);
}
