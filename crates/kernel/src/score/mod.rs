//! Scoring: the hot path of the product.
//!
//! Small trees are not walked. A walk of 100 trees of 31 leaves visits some 900 nodes, each of which waits for the one before;
//! eight walks at a time hide some of that, and a row still takes microseconds. Instead all questions about a column are
//! answered at once by the rank of its value among their thresholds ([`ranks`]). One row then takes, for each column, the
//! masks of the leaves that are left at that rank ([`masks`]); a batch takes some 64 rows at a time, a word for each question
//! ([`slices`]), with the vector instructions of the processor where it has those that help ([`lanes`]). Both are at least
//! three to five times as fast as walking. Trees of more than 64 leaves, questions about categories and models of very many
//! trees or columns are walked ([`forest`]).

#[cfg(target_arch = "x86_64")]
mod avx512;
mod ensemble;
mod forest;
mod lanes;
mod link;
mod masks;
mod plain;
mod questions;
mod ranks;
mod section;
mod sets;
mod slices;

use crate::Error;
use crate::artifact::{Body, LinearModel, ModelArtifact};
use crate::encode::{Encoder, Matrix};

use ensemble::Ensemble;
use link::Answer;

/// How many numbers of a row are multiplied and added up while a small tree is asked.
const MULTIPLICATIONS_OF_A_STEP: usize = 8;

/// A model ready to score: checked once, then only arrays.
#[derive(Debug)]
pub struct Scorer {
    encoder: Encoder,
    outputs: usize,
    body: Compiled,
    answer: Answer,
}

#[derive(Debug)]
enum Compiled {
    Trees(Ensemble),
    Linear(LinearModel),
    Constant(Vec<f64>),
}

impl Scorer {
    /// Compiles an artifact.
    ///
    /// # Errors
    /// When the artifact is not valid.
    pub fn compile(artifact: &ModelArtifact) -> Result<Self, Error> {
        artifact.validate()?;
        let body = match &artifact.body {
            Body::Trees(ensemble) => Compiled::Trees(Ensemble::compile(ensemble)),
            Body::Linear(linear) => Compiled::Linear(linear.clone()),
            Body::Constant(scores) => Compiled::Constant(scores.clone()),
        };
        Ok(Self {
            encoder: Encoder::new(artifact),
            outputs: artifact.body.outputs(),
            body,
            answer: Answer::new(artifact.task, artifact.link),
        })
    }

    /// What turns typed values into the rows this model scores.
    #[must_use]
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// How many numbers the answer to a row has: 1, or one for each class.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// How long a row takes, in steps: a small tree is one, and takes 1 to 3 ns of one of many rows, 10 ns of a row alone.
    #[must_use]
    pub fn steps_per_row(&self) -> usize {
        match &self.body {
            Compiled::Trees(trees) => trees.steps_per_row(),
            Compiled::Linear(linear) => 1 + self.encoder.columns() * linear.bias.len() / MULTIPLICATIONS_OF_A_STEP,
            Compiled::Constant(_) => 1,
        }
    }

    /// Scores one encoded row into `out`: the probability of true, the probability of each class, or a number.
    ///
    /// # Errors
    /// When the row or `out` has not the model's size.
    pub fn score_row(&self, row: &[f64], out: &mut [f64]) -> Result<(), Error> {
        same("columns", self.encoder.columns(), row.len())?;
        same("outputs", self.outputs, out.len())?;
        match &self.body {
            Compiled::Trees(trees) => trees.score_row(row, out),
            Compiled::Linear(linear) => score_linear(linear, row, out),
            Compiled::Constant(scores) => out.copy_from_slice(scores),
        }
        self.answer.apply(out);
        Ok(())
    }

    /// Scores encoded rows, shape `[rows, columns]`, into `out`, shape `[rows, outputs]`. Each row gets the bits that
    /// [`score_row`](Self::score_row) gives it.
    ///
    /// # Errors
    /// When the sizes are not those of whole rows, or not equally many.
    pub fn score_batch(&self, rows: usize, values: &[f64], out: &mut [f64]) -> Result<(), Error> {
        let columns = self.encoder.columns();
        same("numbers in these rows", rows * columns, values.len())?;
        same("numbers in the answer", rows * self.outputs, out.len())?;
        match &self.body {
            Compiled::Trees(trees) => trees.score_batch(columns, values, out),
            Compiled::Linear(linear) => {
                for (number, scores) in out.chunks_exact_mut(self.outputs).enumerate() {
                    score_linear(linear, &values[number * columns..(number + 1) * columns], scores);
                }
            }
            Compiled::Constant(constant) => {
                for scores in out.chunks_exact_mut(self.outputs) {
                    scores.copy_from_slice(constant);
                }
            }
        }
        for scores in out.chunks_exact_mut(self.outputs) {
            self.answer.apply(scores);
        }
        Ok(())
    }

    /// Scores a matrix; the result has shape `[rows, outputs]`.
    ///
    /// # Errors
    /// When the matrix was not made by this model's encoder.
    pub fn score_matrix(&self, matrix: &Matrix) -> Result<Vec<f64>, Error> {
        let mut out = vec![0.0; matrix.rows * self.outputs];
        self.score_batch(matrix.rows, &matrix.values, &mut out)?;
        Ok(out)
    }
}

fn score_linear(linear: &LinearModel, row: &[f64], out: &mut [f64]) {
    for ((score, weights), bias) in out.iter_mut().zip(&linear.weights).zip(&linear.bias) {
        *score = weights.iter().zip(row).fold(*bias, |sum, (weight, x)| sum + weight * x);
    }
}

fn same(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Shape { what, expected, found }) }
}
