//! What a model was trained for decides what its scores mean and where they start.

use mainspring_spec::Task;

use crate::artifact::Link;

/// A base score that is a probability is at least this far from 0 and from 1.
const SHARE_MIN: f32 = 1e-6;

/// What an objective stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objective {
    pub(super) task: Task,
    pub(super) link: Link,
    start: Start,
}

/// How the base score, which is written as a prediction, becomes a score.
#[derive(Debug, Clone, Copy)]
enum Start {
    AsIs,
    Logit,
    Log,
}

impl Objective {
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let of = |task, link, start| Ok(Self { task, link, start });
        match name {
            "binary:logistic" => of(Task::Binary, Link::Logistic, Start::Logit),
            "reg:logistic" => of(Task::Regression, Link::Logistic, Start::Logit),
            "binary:logitraw" => of(Task::Regression, Link::Identity, Start::AsIs),
            "binary:hinge" => of(Task::Binary, Link::Step, Start::AsIs),
            "multi:softprob" | "multi:softmax" => of(Task::Multiclass, Link::Softmax, Start::AsIs),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                of(Task::Regression, Link::Exponential, Start::Log)
            }
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "reg:expectileerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map" => of(Task::Regression, Link::Identity, Start::AsIs),
            other => Err(format!("the objective `{other}` is not known; what its scores mean cannot be said")),
        }
    }

    /// The scores that outputs start from. The base score is one number, or since version 3 a list of them.
    pub(super) fn base(self, written: &str, outputs: usize) -> Result<Vec<f64>, String> {
        let list = written.trim().trim_start_matches('[').trim_end_matches(']');
        let numbers: Vec<f32> = list
            .split(',')
            .map(|number| number.trim().parse::<f32>().map_err(|_| format!("the base score `{written}` is no number")))
            .collect::<Result<_, String>>()?;
        let score = |number: f32| -> f32 {
            match self.start {
                Start::AsIs => number,
                Start::Logit => -(1.0 / number.clamp(SHARE_MIN, 1.0 - SHARE_MIN) - 1.0).ln(),
                Start::Log => number.ln(),
            }
        };
        let scores: Vec<f64> = numbers.iter().map(|number| f64::from(score(*number))).collect();
        match scores.as_slice() {
            [one] => Ok(vec![*one; outputs]),
            _ if scores.len() == outputs => Ok(scores),
            _ => Err(format!("there are {} base scores for {outputs} outputs", scores.len())),
        }
    }
}
