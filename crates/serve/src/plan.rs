//! What an endpoint takes: the fields of a request, and where each input of the model comes from.

use std::collections::{BTreeSet, HashMap};

use mainspring_kernel::{Encoding, ModelArtifact};
use mainspring_spec::{DataType, Field, InputRef, Project};

use crate::Error;

/// What a request must bring and what is looked up for it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The fields of a request.
    pub fields: Vec<RequestField>,
    /// The model's inputs, in its order.
    pub inputs: Vec<PlannedInput>,
    /// What [`FeatureLookup`](crate::FeatureLookup) is asked for, in order.
    pub features: Vec<InputRef>,
    positions: HashMap<String, usize>,
    /// For each input that is encoded by its categories, where each is among them.
    categories: Vec<HashMap<String, usize>>,
}

/// A field of a request.
#[derive(Debug, Clone)]
pub struct RequestField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether a request without it is refused. Fields that only name the observation for its label may be left out.
    pub required: bool,
}

/// An input of the model.
#[derive(Debug, Clone)]
pub struct PlannedInput {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Where its value comes from.
    pub from: InputFrom,
    /// The categories it knows, when it is encoded by them.
    pub categories: Option<Vec<String>>,
}

/// Where the value of an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFrom {
    /// The request field at this position.
    Field(usize),
    /// The feature at this position of [`Plan::features`].
    Feature(usize),
}

impl Plan {
    /// Puts a plan together from a request's fields and the inputs of a model.
    #[must_use]
    pub fn new(fields: Vec<RequestField>, inputs: Vec<PlannedInput>, features: Vec<InputRef>) -> Self {
        let positions = fields.iter().enumerate().map(|(at, field)| (field.name.clone(), at)).collect();
        let places = |input: &PlannedInput| {
            let known = input.categories.iter().flatten().cloned();
            known.zip(0..).collect()
        };
        let categories = inputs.iter().map(places).collect();
        Self { fields, inputs, features, positions, categories }
    }

    /// Plans for what is behind an endpoint: a version of its model, or nothing yet.
    ///
    /// # Errors
    /// See [`of_model`](Self::of_model).
    pub fn of_endpoint(
        project: &Project,
        endpoint: &mainspring_spec::Endpoint,
        artifact: Option<&ModelArtifact>,
    ) -> Result<Self, Error> {
        match artifact {
            _ if !endpoint.registered => Self::of_model(project, &endpoint.model, artifact),
            Some(artifact) => Ok(Self::of_artifact(artifact)),
            None => Ok(Self::new(vec![], vec![], vec![])),
        }
    }

    /// Plans for a version of a model, or for the model as it is declared while it has none.
    ///
    /// # Errors
    /// When the project does not declare an input that the version was trained with.
    pub fn of_model(project: &Project, model: &str, artifact: Option<&ModelArtifact>) -> Result<Self, Error> {
        let resolved = project.resolve_model(model)?;
        let fields = request_fields(project, model, &resolved)?;
        let declared: HashMap<&str, &InputRef> = resolved.inputs.iter().map(|input| (input.name(), input)).collect();
        let wanted: Vec<(String, Option<DataType>, Option<Vec<String>>)> = match artifact {
            Some(artifact) => artifact
                .inputs
                .iter()
                .map(|input| (input.name.clone(), Some(input.data_type), categories(&input.encoding)))
                .collect(),
            None => resolved.inputs.iter().map(|input| (input.name().to_owned(), None, None)).collect(),
        };
        let mut features = Vec::new();
        let mut inputs = Vec::with_capacity(wanted.len());
        for (name, data_type, categories) in wanted {
            let Some(reference) = declared.get(name.as_str()) else {
                return Err(Error::Invalid(format!(
                    "it was trained with the input `{name}`, which model `{model}` no longer declares; \
                     declare it again, or train a new version"
                )));
            };
            let (from, declared_type) = match reference {
                InputRef::Feature { .. } => {
                    features.push((*reference).clone());
                    (InputFrom::Feature(features.len() - 1), DataType::Float64)
                }
                InputRef::Column { data_type, .. } => {
                    let at = fields.iter().position(|field| field.name == name);
                    let at = at.ok_or_else(|| Error::Internal(format!("column `{name}` is no request field")))?;
                    (InputFrom::Field(at), *data_type)
                }
            };
            inputs.push(PlannedInput { name, data_type: data_type.unwrap_or(declared_type), from, categories });
        }
        Ok(Self::new(fields, inputs, features))
    }

    /// Plans for a version of a model that is only in the registry: a request brings its inputs by their names.
    #[must_use]
    pub fn of_artifact(artifact: &ModelArtifact) -> Self {
        let fields = artifact.inputs.iter().map(|input| RequestField {
            name: input.name.clone(),
            data_type: input.data_type,
            required: true,
        });
        let fields = fields.collect();
        let inputs = artifact.inputs.iter().enumerate().map(|(at, input)| PlannedInput {
            name: input.name.clone(),
            data_type: input.data_type,
            from: InputFrom::Field(at),
            categories: categories(&input.encoding),
        });
        Self::new(fields, inputs.collect(), vec![])
    }

    /// The position of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The field or input that is meant by a name with white space: libraries that write models put `_` in its place, and
    /// callers go on with the names of their data. None when the name is known as it is.
    #[must_use]
    pub fn meant(&self, name: &str) -> Option<&str> {
        if !name.contains(char::is_whitespace) || self.known(name).is_some() {
            return None;
        }
        self.known(&name.replace(char::is_whitespace, "_"))
    }

    fn known(&self, name: &str) -> Option<&str> {
        let fields = self.fields.iter().map(|field| field.name.as_str());
        let inputs = self.inputs.iter().map(|input| input.name.as_str());
        fields.chain(inputs).find(|known| *known == name)
    }

    /// The position of a category among those of the input at this position; none when the input does not know it.
    #[must_use]
    pub fn category(&self, input: usize, text: &str) -> Option<usize> {
        self.categories.get(input)?.get(text).copied()
    }

    /// The refusal of a field or input that is not there, with a name like it.
    #[must_use]
    pub fn unknown(&self, what: &str, name: &str) -> String {
        let names: BTreeSet<&str> = match what {
            "field" => self.fields.iter().map(|field| field.name.as_str()).collect(),
            _ => self.inputs.iter().map(|input| input.name.as_str()).collect(),
        };
        format!("there is no {what} `{name}`{}", suggestion(name, names.into_iter()))
    }
}

fn categories(encoding: &Encoding) -> Option<Vec<String>> {
    match encoding {
        Encoding::Category { values } | Encoding::OneHot { values } => Some(values.clone()),
        Encoding::Number | Encoding::ZeroIsMissing | Encoding::Standard { .. } => None,
    }
}

fn request_fields(
    project: &Project,
    model: &str,
    resolved: &mainspring_spec::ResolvedModel,
) -> Result<Vec<RequestField>, Error> {
    let own = resolved.inputs.iter().filter(|input| matches!(input, InputRef::Column { .. }));
    let mut needed: BTreeSet<&str> = own.map(InputRef::name).collect();
    let views = project.views_used(resolved);
    for view in views.iter().filter_map(|name| project.feature_views.get(name)) {
        needed.extend(project.entity_keys(view).iter().map(|key| key.name.as_str()));
        needed.extend(view.request.iter().map(|field| field.name.as_str()));
    }
    let fields = project.request_fields(model)?;
    let field = |Field { name, data_type }: Field| {
        let required = needed.contains(name.as_str());
        RequestField { name, data_type, required }
    };
    Ok(fields.into_iter().map(field).collect())
}

/// "; did you mean `origin`?" when a known name is near.
pub(crate) fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 1 + known.len() / 4 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    }
}
