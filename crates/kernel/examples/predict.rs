//! `cargo run -p mainspring-kernel --example predict -- model.txt < rows.jsonl`: reads a LightGBM or XGBoost model, scores
//! rows given as JSON arrays in the order of its inputs, one a line, and prints one JSON array of scores for each.

#![allow(clippy::print_stdout, reason = "printing is what it does")]

use std::error::Error;
use std::io::BufRead;

use mainspring_kernel::{Scorer, Value, import};
use serde_json::Value as Json;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a model file")?;
    let imported = import::read(&std::fs::read(path)?)?;
    let scorer = Scorer::compile(&imported.artifact)?;
    let mut row = vec![0.0; scorer.encoder().columns()];
    let mut out = vec![0.0; scorer.outputs()];
    for line in std::io::stdin().lock().lines() {
        let values: Vec<Json> = serde_json::from_str(&line?)?;
        let value = |json: &'_ Json| match json {
            Json::Number(number) => number.as_i64().map(Value::Int).or(number.as_f64().map(Value::Float)),
            Json::Bool(flag) => Some(Value::Bool(*flag)),
            _ => None,
        };
        let typed = values.iter().map(|json| match json {
            Json::String(text) => Value::Text(text),
            other => value(other).unwrap_or(Value::Null),
        });
        scorer.encoder().encode_row(typed, &mut row);
        scorer.score_row(&row, &mut out)?;
        println!("{}", serde_json::to_string(&out)?);
    }
    Ok(())
}
