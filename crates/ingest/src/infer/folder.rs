//! A whole project folder from a file: source, calendar features, model, endpoint, monitor, policies, and a page that says what to do.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use mainspring_spec::{
    Check, Column, CsvOptions, DataType, Rule, Scalar, Severity, Source, SplitBy, Task, mended_name,
};

use super::yaml::{text, texts};
use super::{InferOptions, InferredSource, infer_source, sql_name};
use crate::{Error, Result};

/// A project folder that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Initialised {
    /// The files written, relative to the folder.
    pub files: Vec<PathBuf>,
    /// What was guessed, for the person to check.
    pub notes: Vec<String>,
    /// The endpoint's name.
    pub endpoint: String,
    /// A request that it answers, as JSON.
    pub request: String,
    /// What was inferred.
    pub inferred: InferredSource,
}

/// Writes a project that ingests a file, trains a model on it, serves and watches it.
///
/// Relative paths start at the working folder. The file stays where it is: the source names it relative to the project
/// when it lies in the folder, and absolutely when not. Nothing that exists is overwritten.
///
/// # Errors
/// As [`infer_source`]; [`Error::Write`] when the folder holds a project already.
pub async fn init_from(folder: &Path, path: &str, options: &InferOptions) -> Result<Initialised> {
    let unwritable = |path: &Path, reason: String| Error::Write { path: path.display().to_string(), reason };
    let here = std::env::current_dir().map_err(|error| unwritable(folder, error.to_string()))?;
    let mut inferred = infer_source(path, &here, options).await?;
    inferred.source.path = path_from(folder, path, &here);

    let home = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let project = options.project.clone().or_else(|| home.file_name().map(|name| mended_name(&name.to_string_lossy())));
    let pages = pages(&inferred, project.as_deref().unwrap_or(&inferred.source.name));
    for (name, _) in &pages.files {
        let at = folder.join(name);
        if at.exists() {
            return Err(unwritable(&at, "it is there already; choose a new folder with -C".into()));
        }
    }
    let mut files = Vec::with_capacity(pages.files.len());
    for (name, content) in pages.files {
        let at = folder.join(&name);
        let parent = at.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&at, content))
            .map_err(|e| unwritable(&at, e.to_string()))?;
        files.push(PathBuf::from(name));
    }
    Ok(Initialised { files, notes: inferred.notes.clone(), endpoint: pages.endpoint, request: pages.request, inferred })
}

fn path_from(folder: &Path, path: &str, here: &Path) -> String {
    if path.contains("://") {
        return path.to_owned();
    }
    let plain = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let whole = plain(&here.join(path));
    let home = plain(&here.join(folder));
    let named = whole.strip_prefix(&home).unwrap_or(&whole);
    named.to_string_lossy().into_owned()
}

struct Pages {
    files: Vec<(String, String)>,
    endpoint: String,
    request: String,
}

/// The calendar of a row's time: the view's name and its features with their expressions.
struct Calendar {
    view: String,
    time: String,
    features: Vec<(String, String, &'static str)>,
}

fn pages(inferred: &InferredSource, project: &str) -> Pages {
    let source = &inferred.source;
    let model = mended_name(&inferred.label.column);
    let calendar = source.event_time.as_ref().map(|time| calendar(inferred, time));
    let request = request(inferred);
    let mut files = vec![
        ("mainspring.yaml".to_owned(), project_page(project, inferred)),
        (format!("sources/{}.yaml", source.name), source_page(source)),
        (format!("models/{model}.yaml"), model_page(&model, inferred, calendar.as_ref())),
        (format!("endpoints/{model}.yaml"), endpoint_page(&model, inferred)),
        (format!("monitors/{model}.yaml"), monitor_page(&model, inferred)),
        ("policies/default.cedar".to_owned(), mainspring_govern::default_policy().to_owned()),
        (".gitignore".to_owned(), ".mainspring/\n".to_owned()),
        ("README.md".to_owned(), readme(project, &model, inferred, &request)),
    ];
    if let Some(calendar) = &calendar {
        files.push((format!("features/{}.yaml", calendar.view), calendar_page(calendar)));
    }
    Pages { files, endpoint: model, request }
}

fn project_page(project: &str, inferred: &InferredSource) -> String {
    format!(
        "# The project's own file: its name, and where it may run.\nproject: {project}\ndescription: {}\n",
        text(&inferred.label.meaning)
    )
}

fn source_page(source: &Source) -> String {
    let mut page =
        format!("# Inferred from the file: read it through, you know your data better.\nsource: {}\n", source.name);
    let _ = writeln!(page, "description: {}\npath: {}", text(&source.description), text(&source.path));
    if let Some(format) = source.format {
        let _ = writeln!(
            page,
            "format: {}",
            serde_json::to_value(format).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
        );
    }
    if source.csv != CsvOptions::default() {
        let delimiter = serde_json::Value::from(source.csv.delimiter.to_string());
        let _ = writeln!(page, "csv: {{delimiter: {delimiter}, \"null\": {}}}", texts(&source.csv.null));
    }
    page.push_str("\ncolumns:\n");
    for Column { name, data_type, nullable, .. } in &source.columns {
        let nullable = if *nullable { "" } else { ", nullable: false" };
        let _ = writeln!(page, "  - {{name: {}, type: {data_type}{nullable}}}", text(name));
    }
    if !source.derive.is_empty() {
        page.push_str("\nderive:\n");
        for derived in &source.derive {
            let sql = serde_json::Value::from(derived.sql.as_str());
            let _ = writeln!(page, "  - {{name: {}, type: {}, sql: {sql}}}", text(&derived.name), derived.data_type);
        }
    }
    page.push('\n');
    if !source.key.is_empty() {
        let _ = writeln!(page, "# Of two rows with one key the one read last stays.\nkey: {}", texts(&source.key));
    }
    if let Some(time) = &source.event_time {
        let _ = writeln!(page, "event_time: {}", text(time));
    }
    page.push_str("\n# Warnings only count; take `severity: warn` away and rows that break a rule go to the quarantine.\nchecks:\n");
    for check in &source.checks {
        page.push_str(&check_line(check));
    }
    page
}

fn check_line(check: &Check) -> String {
    let rule = match check.rule() {
        Some(Rule::NotNull(columns)) => format!("not_null: {}", texts(columns)),
        Some(Rule::Range(range)) => {
            let bound = |name: &str, bound: &Option<Scalar>| {
                bound.as_ref().map_or(String::new(), |b| format!(", {name}: {}", scalar(b)))
            };
            format!(
                "range: {{column: {}{}{}}}",
                text(&range.column),
                bound("min", &range.min),
                bound("max", &range.max)
            )
        }
        Some(Rule::InSet(set)) => {
            let values: Vec<String> = set.values.iter().map(scalar).collect();
            format!("in_set: {{column: {}, values: [{}]}}", text(&set.column), values.join(", "))
        }
        Some(Rule::RowCount(count)) => format!("row_count: {{min: {}}}", count.min.unwrap_or(0)),
        _ => return String::new(),
    };
    let severity = if check.severity == Severity::Warn { "\n    severity: warn" } else { "" };
    format!("  - {rule}{severity}\n")
}

fn scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => format!("{value:?}"),
        Scalar::String(value) => text(value),
    }
}

fn calendar(inferred: &InferredSource, time: &str) -> Calendar {
    let quoted = sql_name(time);
    let free = |name: &str| {
        let mut name = name.to_owned();
        while inferred.profile.column(&name).is_some() || inferred.inputs.contains(&name) {
            name.push('_');
        }
        name
    };
    let part = |name: &str, part: &str, words| (free(name), format!("date_part('{part}', {quoted})"), words);
    let mut features =
        vec![part("at_month", "month", "Month, 1 to 12"), part("at_weekday", "dow", "Day of the week, 0 is Sunday")];
    let has_hours =
        inferred.profile.column(time).is_some_and(|c| c.top.iter().any(|top| !top.value.ends_with("T00:00:00Z")));
    if has_hours {
        features.push(part("at_hour", "hour", "Hour of the day in UTC"));
    }
    let mut view = format!("{}_calendar", inferred.source.name);
    view.truncate(64);
    Calendar { view, time: time.to_owned(), features }
}

fn calendar_page(calendar: &Calendar) -> String {
    let mut page = format!(
        "# Computed from the request itself, the same way for training rows.\nfeature_view: {}\ndescription: What the calendar says of the row's time\nrequest:\n  - {{name: {}, type: timestamp}}\nexpressions:\n",
        calendar.view,
        text(&calendar.time)
    );
    for (name, sql, _) in &calendar.features {
        let _ = writeln!(page, "  - name: {name}\n    sql: {}", serde_json::Value::from(sql.as_str()));
    }
    page.push_str("features:\n");
    for (name, _, words) in &calendar.features {
        let _ = writeln!(page, "  {name}: {}", text(words));
    }
    page
}

fn model_page(model: &str, inferred: &InferredSource, calendar: Option<&Calendar>) -> String {
    let InferredSource { source, label, .. } = inferred;
    let task = match label.task {
        Task::Binary => "binary",
        Task::Multiclass => "multiclass",
        Task::Regression => "regression",
    };
    let mut page = format!(
        "model: {model}\ndescription: {}\ntask: {task}\n\nobservations:\n  from: {}\n",
        text(&label.meaning),
        source.name
    );
    if let Some(time) = &source.event_time {
        let _ = writeln!(page, "  at: {}", serde_json::Value::from(sql_name(time)));
    }
    let _ = writeln!(page, "  label: {}", serde_json::Value::from(label.sql.as_str()));
    if !source.key.is_empty() {
        let _ = writeln!(page, "  key: {}", texts(&source.key));
    }
    page.push_str("\n# What the model is given, and a request brings.\nfeatures:\n");
    for input in &inferred.inputs {
        let _ = writeln!(page, "  - {}", text(input));
    }
    if let Some(calendar) = calendar {
        let _ = writeln!(page, "  - {}", serde_json::Value::from(format!("{}.*", calendar.view)));
    }
    if !inferred.left_out.is_empty() {
        page.push_str("# Left out:\n");
        for (name, why) in &inferred.left_out {
            let _ = writeln!(page, "#   {} {why}", name.replace(['\n', '\r'], " "));
        }
    }
    let split = &inferred.split;
    let by = if split.by == SplitBy::Time { "time" } else { "random" };
    let _ = write!(
        page,
        "\nsplit: {{by: {by}, test: {:?}, validation: {:?}}}\n\ntrainer:\n  boosted_trees: {{trees: 200, leaves: 31, learning_rate: 0.1, early_stopping_rounds: 20}}\nseed: 7\n\n",
        split.test, split.validation
    );
    match &inferred.gate {
        Some(gate) => {
            let worse = gate.worse_than_champion_by_at_most.unwrap_or_default();
            let _ = write!(
                page,
                "# A new version must not be worse than the one in use; add for example `min: …` for an absolute bound.\ngates:\n  - {{metric: {}, worse_than_champion_by_at_most: {worse:?}}}\n",
                gate.metric
            );
        }
        None => page.push_str("# Too few rows of one kind to judge a new version by; with more, add `- {metric: auc, min: …}`.\ngates: []\n"),
    }
    page.push_str("promote: auto\n");
    page
}

fn endpoint_page(model: &str, inferred: &InferredSource) -> String {
    format!("endpoint: {model}\ndescription: {}\nmodel: {model}\nalias: champion\n", text(&inferred.label.meaning))
}

fn monitor_page(model: &str, inferred: &InferredSource) -> String {
    let metric = match inferred.label.task {
        Task::Binary => "{metric: auc, min: 0.7}",
        Task::Multiclass => "{metric: accuracy, min: 0.7}",
        Task::Regression => "{metric: r2, min: 0.5}",
    };
    format!(
        "monitor: {model}\ndescription: Do requests still look like the rows it learned from?\nendpoint: {model}\nwindow: day\ndrift:\n  psi: 0.2\n\n# Judged once labels have come; set the bound to what you need.\n# performance:\n#   - {metric}\nmin_rows: 100\n"
    )
}

/// A request with the commonest or middle value of each field.
fn request(inferred: &InferredSource) -> String {
    let InferredSource { source, profile, .. } = inferred;
    let mut row = serde_json::Map::new();
    let names = source.key.iter().chain(&source.event_time).chain(&inferred.inputs);
    for name in names {
        let of = source.derive.iter().find(|derived| &derived.name == name && derived.data_type != DataType::Timestamp);
        let seen = profile
            .column(name)
            .or_else(|| profile.columns.iter().find(|c| of.is_some_and(|of| of.sql == sql_name(&c.name))));
        let Some(seen) = seen else { continue };
        let common = seen.top.first().map(|top| top.value.as_str());
        let value = match seen.data_type {
            DataType::Int64 => common.and_then(|v| v.parse::<i64>().ok()).map(serde_json::Value::from),
            DataType::Float64 => common.and_then(|v| v.parse::<f64>().ok()).map(serde_json::Value::from),
            DataType::Bool => common.map(|v| serde_json::Value::from(v == "true")),
            _ => common.map(serde_json::Value::from),
        };
        row.insert(name.clone(), value.unwrap_or(serde_json::Value::Null));
    }
    serde_json::json!({"rows": [row]}).to_string()
}

fn readme(project: &str, model: &str, inferred: &InferredSource, request: &str) -> String {
    let mut page = format!(
        "# {project}\n\n{}, told from the rows of `{}`.\n\n```\nmainspring validate      # is the folder in order?\nmainspring plan          # what would change?\nmainspring apply         # make it so\nmainspring run           # ingest, train, judge\nmainspring serve         # http://127.0.0.1:7878\n```\n\nThen, in another terminal:\n\n```\ncurl -s http://127.0.0.1:7878/api/v1/endpoints/{model}/predict \\\n  -H 'content-type: application/json' \\\n  -d '{}'\n```\n",
        inferred.label.meaning,
        inferred.source.name,
        shell(request)
    );
    if !inferred.notes.is_empty() {
        page.push_str("\nGuessed from the file; check it:\n\n");
        for note in &inferred.notes {
            let _ = writeln!(page, "- {note}");
        }
    }
    page
}

/// A text inside single quotes of a shell.
fn shell(text: &str) -> String {
    text.replace('\'', "'\\''")
}
