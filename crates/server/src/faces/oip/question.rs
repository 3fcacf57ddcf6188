//! From tensors to a question.

use std::borrow::Cow;
use std::collections::HashMap;

use mainspring_features::Value;
use mainspring_kernel::EXACT_BELOW;
use mainspring_serve::{Error, Given, Plan, Question};
use mainspring_spec::DataType;

use super::datatype::Datatype;
use super::request::Input;
use super::tensor::{Cell, Elements, elements_of};

/// The name of the one tensor that brings all inputs as numbers.
pub(super) const ALL_INPUTS: &str = "input";

/// Makes the question that a request asks of an endpoint.
///
/// # Errors
/// Names the tensor at fault, and what is expected.
pub(super) fn of(
    inputs: Vec<Input<'_>>,
    as_of: Option<i64>,
    plan: &Plan,
    endpoint: &str,
    rows_max: u32,
) -> Result<Question, Error> {
    let rows = count_rows(&inputs)?;
    if rows > rows_max as usize {
        return Err(Error::TooManyRows { endpoint: endpoint.to_owned(), most: rows_max });
    }
    Ok(Question { rows, as_of, given: given(inputs, plan, rows)? })
}

fn invalid<T>(words: String) -> Result<T, Error> {
    Err(Error::Invalid(words))
}

/// Checks every shape and returns the number of rows, on which all tensors must agree.
fn count_rows(inputs: &[Input<'_>]) -> Result<usize, Error> {
    let mut rows = None;
    for Input { name, shape, elements, lengths, .. } in inputs {
        if elements_of(shape) != Some(elements.len() as u64) {
            return invalid(format!(
                "input `{name}` has the shape {shape:?} and {} elements; they must be its product",
                elements.len()
            ));
        }
        let nested = lengths.len() > 1 && elements.len() > 0;
        let as_shape = || lengths.iter().map(|length| *length as u64).eq(shape.iter().copied());
        if nested && !as_shape() {
            return invalid(format!("input `{name}` has the shape {shape:?}, its lists are nested as {lengths:?}"));
        }
        let Some(&first) = shape.first() else {
            return invalid(format!("input `{name}` has no shape; the first number of a shape is the number of rows"));
        };
        match rows {
            Some((before, of)) if before != first => {
                return invalid(format!("input `{name}` has {first} rows, input `{of}` has {before}"));
            }
            _ => rows = Some((first, name)),
        }
    }
    match rows {
        Some((rows, _)) => usize::try_from(rows).or_else(|_| invalid(format!("{rows} rows are too many"))),
        None => invalid("the request has no inputs".into()),
    }
}

fn given(mut inputs: Vec<Input<'_>>, plan: &Plan, rows: usize) -> Result<Given, Error> {
    if let [tensor] = inputs.as_mut_slice()
        && tensor.name == ALL_INPUTS
        && plan.inputs.iter().all(|input| input.name != ALL_INPUTS)
    {
        return all_inputs(tensor, plan);
    }
    // callers send all inputs in the order of the metadata again and again
    let in_order = inputs.len() == plan.inputs.len()
        && inputs.iter().zip(&plan.inputs).all(|(tensor, planned)| tensor.name == planned.name);
    if in_order && let Some(numbers) = numbers(inputs.iter(), plan, rows) {
        return Ok(Given::Numbers(numbers));
    }
    for tensor in &mut inputs {
        if let Some(known) = plan.meant(&tensor.name) {
            tensor.name = Cow::Owned(known.to_owned());
        }
    }
    let mut tensors: HashMap<&str, &Input<'_>> = HashMap::with_capacity(inputs.len());
    for tensor in &inputs {
        if tensors.insert(&tensor.name, tensor).is_some() {
            return invalid(format!("there are two inputs called `{}`", tensor.name));
        }
    }
    let inputs: Vec<(&str, DataType)> =
        plan.inputs.iter().map(|input| (input.name.as_str(), input.data_type)).collect();
    let fields: Vec<(&str, DataType)> =
        plan.fields.iter().map(|field| (field.name.as_str(), field.data_type)).collect();
    let knows =
        |columns: &[(&str, DataType)]| tensors.keys().all(|name| columns.iter().any(|(known, _)| known == name));
    let has_all_inputs = inputs.iter().all(|(name, _)| tensors.contains_key(name));
    if has_all_inputs && knows(&inputs) {
        let in_order = inputs.iter().filter_map(|(name, _)| tensors.get(name).copied());
        if let Some(numbers) = numbers(in_order, plan, rows) {
            return Ok(Given::Numbers(numbers));
        }
        return Ok(Given::Inputs(columns(&tensors, &inputs, rows)?));
    }
    if knows(&fields) && !fields.is_empty() {
        if let Some(missing) =
            plan.fields.iter().find(|field| field.required && !tensors.contains_key(field.name.as_str()))
        {
            return invalid(format!("the input `{}` is missing; send null when it is not known", missing.name));
        }
        return Ok(Given::Fields(columns(&tensors, &fields, rows)?));
    }
    for name in tensors.keys() {
        if !inputs.iter().chain(&fields).any(|(known, _)| known == name) {
            return invalid(format!("{}; the metadata of the model lists them all", plan.unknown("input", name)));
        }
    }
    let missing = inputs.iter().find(|(name, _)| !tensors.contains_key(name)).map_or("", |(name, _)| name);
    invalid(format!(
        "the input `{missing}` is missing: send all inputs of the model, or only the fields of a request, and have the \
         features looked up"
    ))
}

/// All inputs as one tensor of numbers.
fn all_inputs(tensor: &mut Input<'_>, plan: &Plan) -> Result<Given, Error> {
    let width = elements_of(tensor.shape.get(1..).unwrap_or_default());
    if tensor.shape.len() > 2 || width != Some(plan.inputs.len() as u64) {
        return invalid(format!(
            "input `{ALL_INPUTS}` has the shape {:?}; the model takes [rows, {}]",
            tensor.shape,
            plan.inputs.len()
        ));
    }
    if tensor.datatype == Datatype::Bytes || tensor.datatype == Datatype::Bool {
        return invalid(format!("input `{ALL_INPUTS}` is {}; it must be of numbers", tensor.datatype.as_str()));
    }
    if tensor.is_as_it_says()
        && let Some(numbers) = tensor.elements.take_floats()
    {
        return Ok(Given::Numbers(numbers));
    }
    let mut numbers = Vec::with_capacity(tensor.elements.len());
    tensor.elements.each(|at, cell| {
        numbers.push(match typed(tensor, at, cell, DataType::Float64)? {
            Value::Float(number) => number,
            _ => f64::NAN,
        });
        Ok(())
    })?;
    Ok(Given::Numbers(numbers))
}

impl Input<'_> {
    /// Whether the elements need no look at each to be of the type that the tensor says it has: bytes are, and so are
    /// numbers of a float type.
    fn is_as_it_says(&self) -> bool {
        matches!(self.elements, Elements::Raw(_)) || self.datatype.is_float()
    }
}

/// The tensors, in the order of the plan's inputs, as rows of numbers, a category as its position; none when an input is
/// neither, or is not one that the input can be, which [`columns`] then says, or a category is not known, whose text the log
/// keeps.
fn numbers<'t, 'a: 't>(tensors: impl Iterator<Item = &'t Input<'a>>, plan: &Plan, rows: usize) -> Option<Vec<f64>> {
    let width = plan.inputs.len();
    let mut numbers = vec![f64::NAN; rows * width];
    for (column, (planned, tensor)) in plan.inputs.iter().zip(tensors).enumerate() {
        if tensor.elements.len() != rows {
            return None;
        }
        if planned.categories.is_some() {
            let are_texts = planned.data_type == DataType::String && tensor.datatype == Datatype::Bytes;
            let places = numbers.iter_mut().skip(column).step_by(width);
            if !are_texts || !tensor.elements.fill_places(places, |text| plan.category(column, text)) {
                return None;
            }
            continue;
        }
        if !tensor.is_as_it_says() || !tensor.elements.fill(numbers.iter_mut().skip(column).step_by(width)) {
            return None;
        }
        let mut places = numbers.iter().skip(column).step_by(width);
        let is_whole = |number: f64| number.is_nan() || (number.fract() == 0.0 && number.abs() < EXACT_BELOW);
        let fits = match planned.data_type {
            DataType::Float64 => true,
            DataType::Int64 | DataType::Timestamp => places.all(|number| is_whole(*number)),
            DataType::Date => {
                places.all(|number| is_whole(*number) && (number.is_nan() || number.abs() <= f64::from(i32::MAX)))
            }
            DataType::Bool => places.all(|number| number.is_nan() || *number == 0.0 || *number == 1.0),
            DataType::String => false,
        };
        if !fits {
            return None;
        }
    }
    Some(numbers)
}

/// Named columns as rows.
fn columns(tensors: &HashMap<&str, &Input<'_>>, wanted: &[(&str, DataType)], rows: usize) -> Result<Vec<Value>, Error> {
    let mut values = vec![Value::Null; rows * wanted.len()];
    for (column, (name, data_type)) in wanted.iter().enumerate() {
        let Some(tensor) = tensors.get(name) else { continue };
        if tensor.elements.len() != rows {
            return invalid(format!(
                "input `{name}` has the shape {:?}; it takes [{rows}] or [{rows}, 1]",
                tensor.shape
            ));
        }
        tensor.elements.each(|row, cell| {
            values[row * wanted.len() + column] = typed(tensor, row, cell, *data_type)?;
            Ok(())
        })?;
    }
    Ok(values)
}

/// An element as a value of a column, checked against the type that the tensor says it has.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
#[expect(clippy::cast_precision_loss, reason = "float columns hold floats")]
fn typed(tensor: &Input<'_>, at: usize, cell: &Cell<'_>, column: DataType) -> Result<Value, Error> {
    let Input { name, datatype, .. } = tensor;
    let not_its_type =
        || Error::Invalid(format!("input `{name}`: element {at} is {}, not {}", shown(cell), datatype.as_str()));
    let fits = match (cell, datatype) {
        (Cell::Null, _) => return Ok(Value::Null),
        (Cell::Bool(_), Datatype::Bool) | (Cell::Text(_), Datatype::Bytes) => true,
        (Cell::Number(number), _) => {
            let in_range =
                |(least, most): (i128, i128)| number.fract() == 0.0 && (least..=most).contains(&(*number as i128));
            datatype.is_float() || datatype.whole_range().is_some_and(in_range)
        }
        (Cell::Whole(whole), _) => {
            datatype.is_float() || datatype.whole_range().is_some_and(|(least, most)| (least..=most).contains(whole))
        }
        _ => false,
    };
    if !fits {
        return Err(not_its_type());
    }
    let whole = || match cell {
        Cell::Number(number) if number.fract() == 0.0 && number.abs() <= (1u64 << 53) as f64 => Some(*number as i64),
        Cell::Whole(whole) => i64::try_from(*whole).ok(),
        _ => None,
    };
    let value = match (cell, column) {
        (Cell::Number(number), DataType::Float64) => Some(Value::Float(*number)),
        (Cell::Whole(number), DataType::Float64) => Some(Value::Float(*number as f64)),
        (Cell::Bool(flag), DataType::Bool) => Some(Value::Bool(*flag)),
        (Cell::Number(_) | Cell::Whole(_), DataType::Bool) => {
            whole().filter(|bit| *bit == 0 || *bit == 1).map(|bit| Value::Bool(bit == 1))
        }
        (Cell::Bool(flag), DataType::Int64) => Some(Value::Int(i64::from(*flag))),
        (Cell::Bool(flag), DataType::Float64) => Some(Value::Float(f64::from(u8::from(*flag)))),
        (_, DataType::Int64) => whole().map(Value::Int),
        (Cell::Text(text), DataType::String) => Some(Value::Text(text.as_ref().into())),
        (Cell::Text(text), DataType::Timestamp | DataType::Date) => {
            Value::from_json(&serde_json::Value::from(text.as_ref()), column)
        }
        (_, DataType::Timestamp) => whole().map(Value::Timestamp),
        (_, DataType::Date) => whole().and_then(|days| i32::try_from(days).ok()).map(Value::Date),
        _ => None,
    };
    value.ok_or_else(|| {
        Error::Invalid(format!("input `{name}`: element {at} is {}, the model takes {column} there", shown(cell)))
    })
}

fn shown(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Bool(flag) => flag.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Whole(whole) => whole.to_string(),
        Cell::Text(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
    }
}
