//! Compiles what models say of their observations over tables without rows.

use mainspring_lake::{Blueprint, unknown_name};
use mainspring_spec::{Mistake, ObjectKind, ObjectRef, Project};

/// Tells which expressions of a project's models do not compile. The blueprint has the sources and views; a model over one
/// that is not there, because it has a mistake itself, is passed over.
pub async fn dry_run(project: &Project, blueprint: &Blueprint) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for model in project.models.values() {
        let observations = &model.observations;
        let Ok(rows) = blueprint.table(&observations.from).await else { continue };
        let expressions = [
            ("label", Some(&observations.label)),
            ("label_known_at", observations.label_known_at.as_ref()),
            ("at", observations.at.as_ref()),
            ("where", observations.filter.as_ref()),
        ];
        for (key, sql) in expressions {
            let Some(error) = sql.and_then(|sql| rows.parse_sql_expr(sql).err()) else { continue };
            let object = ObjectRef::new(ObjectKind::Model, &model.name);
            let unknown = unknown_name(&error);
            mistakes.push(Mistake::sql(object, &["observations", key], error.strip_backtrace(), unknown));
        }
    }
    mistakes
}
