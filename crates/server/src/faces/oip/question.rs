//! From tensors to a question.

use std::collections::HashMap;

use mainspring_features::Value;
use mainspring_serve::{Error, Given, Plan, Question};
use mainspring_spec::DataType;

use super::tensor::{Cell, Elements};
use super::wire::{Datatype, InferRequest, InputTensor};

/// The name of the one tensor that brings all inputs as numbers.
pub(super) const ALL_INPUTS: &str = "input";

/// Makes the question that a request asks of an endpoint.
///
/// # Errors
/// Names the tensor at fault, and what is expected.
pub(super) fn of(request: &InferRequest<'_>, plan: &Plan, endpoint: &str, rows_max: u32) -> Result<Question, Error> {
    let rows = count_rows(request)?;
    if rows > rows_max as usize {
        return Err(Error::TooManyRows { endpoint: endpoint.to_owned(), most: rows_max });
    }
    Ok(Question { rows, as_of: as_of(request)?, given: given(request, plan, rows)? })
}

fn invalid<T>(words: String) -> Result<T, Error> {
    Err(Error::Invalid(words))
}

fn as_of(request: &InferRequest<'_>) -> Result<Option<i64>, Error> {
    let Some(given) = request.parameters.as_ref().and_then(|parameters| parameters.get("as_of")) else {
        return Ok(None);
    };
    let parsed = given.as_str().and_then(mainspring_features::timestamp);
    parsed.map(Some).ok_or_else(|| {
        Error::Invalid(format!(
            "the parameter `as_of` is {given}, which is no time; write it as \"2013-07-01T12:00:00Z\""
        ))
    })
}

/// Checks every shape and returns the number of rows, on which all tensors must agree.
fn count_rows(request: &InferRequest<'_>) -> Result<usize, Error> {
    let mut rows = None;
    for tensor in &request.inputs {
        let InputTensor { name, shape, data, .. } = tensor;
        let elements = shape.iter().try_fold(1u64, |product, length| product.checked_mul(*length));
        if elements != Some(data.elements.len() as u64) {
            return invalid(format!(
                "input `{name}` has the shape {shape:?} and {} elements; they must be its product",
                data.elements.len()
            ));
        }
        let nested = data.lengths.len() > 1 && data.elements.len() > 0;
        let as_shape = || data.lengths.iter().map(|length| *length as u64).eq(shape.iter().copied());
        if nested && !as_shape() {
            return invalid(format!(
                "input `{name}` has the shape {shape:?}, its lists are nested as {:?}",
                data.lengths
            ));
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

fn given(request: &InferRequest<'_>, plan: &Plan, rows: usize) -> Result<Given, Error> {
    if let [tensor] = request.inputs.as_slice()
        && tensor.name == ALL_INPUTS
        && plan.inputs.iter().all(|input| input.name != ALL_INPUTS)
    {
        return all_inputs(tensor, plan);
    }
    let mut tensors: HashMap<&str, &InputTensor<'_>> = HashMap::with_capacity(request.inputs.len());
    for tensor in &request.inputs {
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
fn all_inputs(tensor: &InputTensor<'_>, plan: &Plan) -> Result<Given, Error> {
    let width = tensor.shape.get(1..).unwrap_or_default().iter().product::<u64>();
    if tensor.shape.len() > 2 || width != plan.inputs.len() as u64 {
        return invalid(format!(
            "input `{ALL_INPUTS}` has the shape {:?}; the model takes [rows, {}]",
            tensor.shape,
            plan.inputs.len()
        ));
    }
    if tensor.datatype == Datatype::Bytes || tensor.datatype == Datatype::Bool {
        return invalid(format!("input `{ALL_INPUTS}` is {}; it must be of numbers", tensor.datatype.as_str()));
    }
    if let (Elements::Numbers(numbers), true) = (&tensor.data.elements, tensor.datatype.is_float()) {
        return Ok(Given::Numbers(numbers.clone()));
    }
    let number = |at| match typed(tensor, at, DataType::Float64)? {
        Value::Float(number) => Ok(number),
        _ => Ok(f64::NAN),
    };
    Ok(Given::Numbers((0..tensor.data.elements.len()).map(number).collect::<Result<_, Error>>()?))
}

/// Named columns as rows.
fn columns(
    tensors: &HashMap<&str, &InputTensor<'_>>,
    wanted: &[(&str, DataType)],
    rows: usize,
) -> Result<Vec<Value>, Error> {
    let mut values = vec![Value::Null; rows * wanted.len()];
    for (column, (name, data_type)) in wanted.iter().enumerate() {
        let Some(tensor) = tensors.get(name) else { continue };
        if tensor.data.elements.len() != rows {
            return invalid(format!(
                "input `{name}` has the shape {:?}; it takes [{rows}] or [{rows}, 1]",
                tensor.shape
            ));
        }
        for row in 0..rows {
            values[row * wanted.len() + column] = typed(tensor, row, *data_type)?;
        }
    }
    Ok(values)
}

/// An element as a value of a column, checked against the type that the tensor says it has.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
#[expect(clippy::cast_precision_loss, reason = "float columns hold floats")]
fn typed(tensor: &InputTensor<'_>, at: usize, column: DataType) -> Result<Value, Error> {
    let InputTensor { name, datatype, data, .. } = tensor;
    let cell = data.elements.cell(at);
    let not_its_type =
        || Error::Invalid(format!("input `{name}`: element {at} is {}, not {}", shown(&cell), datatype.as_str()));
    let fits = match (&cell, datatype) {
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
    let whole = || match &cell {
        Cell::Number(number) if number.fract() == 0.0 && number.abs() <= (1u64 << 53) as f64 => Some(*number as i64),
        Cell::Whole(whole) => i64::try_from(*whole).ok(),
        _ => None,
    };
    let value = match (&cell, column) {
        (Cell::Number(number), DataType::Float64) => Some(Value::Float(*number)),
        (Cell::Whole(number), DataType::Float64) => Some(Value::Float(*number as f64)),
        (Cell::Bool(flag), DataType::Bool) => Some(Value::Bool(*flag)),
        (Cell::Number(_), DataType::Bool) => {
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
        Error::Invalid(format!("input `{name}`: element {at} is {}, the model takes {column} there", shown(&cell)))
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
