//! `cargo bench -p mainspring-kernel`: 100 trees of 31 leaves over 28 columns, for one row and for 1,024.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark stops at the first surprise")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mainspring_kernel::{
    ARTIFACT_FORMAT, Body, Encoding, Input, Less, Link, ModelArtifact, Node, Scorer, Tree, TreeEnsemble,
};
use mainspring_spec::{DataType, Task};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const COLUMNS: u32 = 28;

fn artifact(random: &mut SmallRng) -> ModelArtifact {
    let trees = (0..100)
        .map(|_| {
            let mut nodes = vec![Node::Leaf { value: 0.0 }];
            let mut leaves = vec![0];
            while leaves.len() < 31 {
                let at: u32 = leaves.swap_remove(random.random_range(0..leaves.len()));
                let left = u32::try_from(nodes.len()).unwrap();
                nodes.extend([0; 2].map(|_: u8| Node::Leaf { value: random.random_range(-0.1..0.1) }));
                leaves.extend([left, left + 1]);
                nodes[at as usize] = Node::Split {
                    feature: random.random_range(0..COLUMNS),
                    threshold: random.random(),
                    less: Less::Strict,
                    left,
                    right: left + 1,
                    missing: left,
                };
            }
            Tree { output: 0, nodes }
        })
        .collect();
    ModelArtifact {
        format: ARTIFACT_FORMAT,
        task: Task::Binary,
        classes: vec![],
        inputs: (0..COLUMNS)
            .map(|number| Input {
                name: format!("x{number}"),
                data_type: DataType::Float64,
                encoding: Encoding::Number,
            })
            .collect(),
        body: Body::Trees(TreeEnsemble { outputs: 1, base: vec![0.0], trees, ..TreeEnsemble::default() }),
        link: Link::Logistic,
    }
}

fn score(criterion: &mut Criterion) {
    let mut random = SmallRng::seed_from_u64(7);
    let scorer = Scorer::compile(&artifact(&mut random)).unwrap();
    let mut group = criterion.benchmark_group("score 100x31");
    for rows in [1usize, 1024] {
        let values: Vec<f64> = (0..rows * COLUMNS as usize).map(|_| random.random()).collect();
        let mut out = vec![0.0; rows];
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("{rows} rows"), |bencher| {
            bencher.iter(|| {
                if rows == 1 {
                    scorer.score_row(black_box(&values), &mut out).unwrap();
                } else {
                    scorer.score_batch(rows, black_box(&values), &mut out).unwrap();
                }
                black_box(&out);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
