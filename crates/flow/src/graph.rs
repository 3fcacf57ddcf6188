//! From the objects of a project to the tasks that bring them up to date, and their order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mainspring_spec::{FeatureView, ObjectKind, ObjectRef, Project, ViewKind};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Reads a source's new files into its table.
    Ingest,
    /// Brings a feature view's offline table up to date.
    Backfill,
    /// Brings a feature view's online values up to date.
    Materialize,
    /// Trains a model and registers the version.
    Train,
    /// Evaluates a monitor's windows.
    Monitor,
}

impl TaskKind {
    /// The kind as it stands in task names, as in `ingest:flights`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Backfill => "backfill",
            Self::Materialize => "materialize",
            Self::Train => "train",
            Self::Monitor => "monitor",
        }
    }
}

/// Something to do with one object; written `ingest:flights`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Task {
    /// What is done.
    pub kind: TaskKind,
    /// The object it is done to.
    pub name: String,
}

impl Task {
    /// The task that does this to the object of this name.
    #[must_use]
    pub fn new(kind: TaskKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// Tasks with what each needs first, in an order in which they can be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskGraph {
    order: Vec<Task>,
    needs: BTreeMap<Task, BTreeSet<Task>>,
}

impl TaskGraph {
    /// The tasks that bring the named objects, or those of a workflow of that name, up to date, with everything they
    /// need; without names, all of the project's.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTarget`] for a name that nothing has.
    pub fn of(project: &Project, targets: &[String]) -> Result<Self> {
        let all = Self::whole(project)?;
        let mut wanted: BTreeSet<Task> = BTreeSet::new();
        for target in targets {
            match project.workflows.get(target) {
                Some(workflow) => {
                    for name in &workflow.targets {
                        wanted.extend(tasks_named(project, name)?);
                    }
                }
                None => wanted.extend(tasks_named(project, target)?),
            }
        }
        Ok(if targets.is_empty() { all } else { all.only(wanted) })
    }

    /// Only the tasks of some kinds; what lay between them is taken for done.
    #[must_use]
    pub fn of_kinds(&self, kinds: &[TaskKind]) -> Self {
        let kept = |task: &Task| kinds.contains(&task.kind);
        Self {
            order: self.order.iter().filter(|task| kept(task)).cloned().collect(),
            needs: (self.needs.iter().filter(|(task, _)| kept(task)))
                .map(|(task, needs)| (task.clone(), needs.iter().filter(|needed| kept(needed)).cloned().collect()))
                .collect(),
        }
    }

    /// The tasks, each after what it needs.
    #[must_use]
    pub fn order(&self) -> &[Task] {
        &self.order
    }

    /// What a task directly needs.
    pub fn needs(&self, task: &Task) -> impl Iterator<Item = &Task> {
        self.needs.get(task).into_iter().flatten()
    }

    fn whole(project: &Project) -> Result<Self> {
        let objects = project.dependencies();
        let direct: BTreeMap<&ObjectRef, &[ObjectRef]> =
            objects.iter().map(|object| (&object.object, object.needs.as_slice())).collect();
        let mut graph = Self::default();
        for object in &objects {
            let Some(task) = own_task(project, &object.object) else { continue };
            let mut needs = BTreeSet::new();
            for needed in &object.needs {
                gather(project, &direct, needed, &mut needs);
            }
            graph.push(task.clone(), needs)?;
            let is_served = || project.feature_views.get(&task.name).is_some_and(FeatureView::is_served_online);
            if task.kind == TaskKind::Backfill && is_served() {
                graph.push(Task::new(TaskKind::Materialize, &task.name), BTreeSet::from([task]))?;
            }
        }
        Ok(graph)
    }

    fn push(&mut self, task: Task, needs: BTreeSet<Task>) -> Result<()> {
        if let Some(missing) = needs.iter().find(|needed| !self.needs.contains_key(needed)) {
            return Err(Error::Cycle(format!("{task} needs {missing}")));
        }
        self.order.push(task.clone());
        self.needs.insert(task, needs);
        Ok(())
    }

    /// The wanted tasks and, again and again, what they need.
    fn only(&self, wanted: BTreeSet<Task>) -> Self {
        let mut kept = BTreeSet::new();
        let mut open: Vec<Task> = wanted.into_iter().collect();
        while let Some(task) = open.pop() {
            open.extend(self.needs(&task).cloned());
            kept.insert(task);
            open.retain(|task| !kept.contains(task));
        }
        Self {
            order: self.order.iter().filter(|task| kept.contains(task)).cloned().collect(),
            needs: self
                .needs
                .iter()
                .filter(|(task, _)| kept.contains(task))
                .map(|(t, n)| (t.clone(), n.clone()))
                .collect(),
        }
    }
}

/// The task that makes an object; some have none and pass on what they need.
fn own_task(project: &Project, object: &ObjectRef) -> Option<Task> {
    let kind = match object.kind {
        ObjectKind::Source => TaskKind::Ingest,
        ObjectKind::FeatureView if project.feature_views.get(&object.name)?.kind() != ViewKind::Request => {
            TaskKind::Backfill
        }
        ObjectKind::Model => TaskKind::Train,
        ObjectKind::Monitor => TaskKind::Monitor,
        _ => return None,
    };
    Some(Task::new(kind, &object.name))
}

/// Adds the tasks that stand for an object: its own, or those of what it needs.
fn gather(
    project: &Project,
    direct: &BTreeMap<&ObjectRef, &[ObjectRef]>,
    object: &ObjectRef,
    tasks: &mut BTreeSet<Task>,
) {
    if let Some(task) = own_task(project, object) {
        tasks.insert(task);
    } else {
        for needed in direct.get(object).copied().unwrap_or_default() {
            gather(project, direct, needed, tasks);
        }
    }
}

/// The tasks that a name asks for, whatever its kind; `model:returns` asks for one kind.
fn tasks_named(project: &Project, target: &str) -> Result<Vec<Task>> {
    let (kind, name) = target.split_once(':').map_or((None, target), |(kind, name)| (Some(kind), name));
    let is = |asked: &str| kind.is_none_or(|kind| kind == asked);
    let mut tasks = vec![];
    let mut known = false;
    if is("source") && project.sources.contains_key(name) {
        known = true;
        tasks.push(Task::new(TaskKind::Ingest, name));
    }
    if let Some(view) = project.feature_views.get(name).filter(|_| is("feature_view")) {
        known = true;
        if view.kind() != ViewKind::Request {
            tasks.push(Task::new(TaskKind::Backfill, name));
            if view.is_served_online() {
                tasks.push(Task::new(TaskKind::Materialize, name));
            }
        }
    }
    if is("model") && project.models.contains_key(name) {
        known = true;
        tasks.push(Task::new(TaskKind::Train, name));
    }
    if let Some(endpoint) = project.endpoints.get(name).filter(|_| is("endpoint")) {
        known = true;
        tasks.extend(tasks_of_endpoint(project, &endpoint.model));
    }
    if let Some(monitor) = project.monitors.get(name).filter(|_| is("monitor")) {
        known = true;
        tasks.push(Task::new(TaskKind::Monitor, name));
        if let Some(endpoint) = project.endpoints.get(&monitor.endpoint) {
            tasks.extend(tasks_of_endpoint(project, &endpoint.model));
        }
    }
    if known { Ok(tasks) } else { Err(unknown(project, target)) }
}

/// What an endpoint needs to answer: its model, and its features online. A model that is only in the registry needs nothing.
fn tasks_of_endpoint(project: &Project, model: &str) -> Vec<Task> {
    if !project.models.contains_key(model) {
        return vec![];
    }
    let mut tasks = vec![Task::new(TaskKind::Train, model)];
    if let Ok(resolved) = project.resolve_model(model) {
        let views = project.views_used(&resolved);
        let online = |view: &String| project.feature_views.get(view).is_some_and(FeatureView::is_served_online);
        tasks.extend(views.into_iter().filter(online).map(|view| Task::new(TaskKind::Materialize, view)));
    }
    tasks
}

fn unknown(project: &Project, name: &str) -> Error {
    let names = (project.sources.keys())
        .chain(project.feature_views.keys())
        .chain(project.models.keys())
        .chain(project.endpoints.keys())
        .chain(project.monitors.keys())
        .chain(project.workflows.keys());
    let nearest = names.map(|known| (strsim::jaro_winkler(known, name), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match nearest {
        Some((likeness, known)) if likeness > 0.75 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    };
    Error::UnknownTarget { name: name.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_table_is_computed_and_not_brought_online() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("mainspring.yaml", "project: p\n");
        write(
            "sources/s.yaml",
            "source: orders\npath: orders.csv\nkey: [id]\nevent_time: at\ncolumns:\n- {name: id, type: int64}\n- {name: at, type: timestamp}\n- {name: amount, type: float64}\n",
        );
        write(
            "features/f.yaml",
            "feature_view: big_orders\nsql: select id, at, amount from orders where amount > 50\nevent_time: at\n",
        );
        let project = mainspring_spec::load(folder.path()).unwrap();

        let all = TaskGraph::of(&project, &[]).unwrap();
        let named = TaskGraph::of(&project, &["big_orders".into()]).unwrap();

        let names = |graph: &TaskGraph| graph.order().iter().map(Task::to_string).collect::<Vec<_>>();
        assert_eq!(names(&all), ["ingest:orders", "backfill:big_orders"]);
        assert_eq!(names(&named), names(&all));
    }
}
