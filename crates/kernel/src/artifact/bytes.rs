//! An artifact as bytes: canonical JSON, because it is read by people, by `diff` and by other languages, and parses within
//! milliseconds at the size of boosted trees. Structs are written in the order of their fields and numbers in their
//! shortest form that reads back to the same bits, so one model has one sequence of bytes.

use super::{ARTIFACT_BYTES_MAX, ARTIFACT_FORMAT, ModelArtifact};
use crate::Error;

/// Read first, so that a newer format is named as such rather than as a misspelt key.
#[derive(serde::Deserialize)]
struct Header {
    format: u32,
}

impl ModelArtifact {
    /// Writes the artifact; the same model gives the same bytes.
    ///
    /// # Errors
    /// When the artifact is not valid, so that nothing is stored that could not be read back.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.validate()?;
        let bytes = serde_json::to_vec(self)?;
        check_size(bytes.len())?;
        Ok(bytes)
    }

    /// Reads and checks an artifact. The bytes may come from anyone.
    ///
    /// # Errors
    /// When the bytes are too many, are not an artifact, or break one of its rules.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        check_size(bytes.len())?;
        let header: Header = serde_json::from_slice(bytes)?;
        if header.format != ARTIFACT_FORMAT {
            return Err(Error::Format { found: header.format, known: ARTIFACT_FORMAT });
        }
        let artifact: Self = serde_json::from_slice(bytes)?;
        artifact.validate()?;
        Ok(artifact)
    }
}

fn check_size(found: usize) -> Result<(), Error> {
    if found > ARTIFACT_BYTES_MAX { Err(Error::TooLarge { found, most: ARTIFACT_BYTES_MAX }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::artifact::{Body, Encoding, Input, Less, Link, Node, Tree, TreeEnsemble};
    use crate::{Scorer, Value};

    fn stump() -> ModelArtifact {
        ModelArtifact {
            format: ARTIFACT_FORMAT,
            task: mainspring_spec::Task::Binary,
            classes: vec![],
            inputs: vec![Input {
                name: "wind".into(),
                data_type: mainspring_spec::DataType::Float64,
                encoding: Encoding::Number,
            }],
            body: Body::Trees(TreeEnsemble {
                outputs: 1,
                base: vec![0.1],
                trees: vec![Tree {
                    output: 0,
                    nodes: vec![
                        Node::Split { feature: 0, threshold: 0.3, less: Less::Strict, left: 1, right: 2, missing: 2 },
                        Node::Leaf { value: -1.0 / 3.0 },
                        Node::Leaf { value: 0.5 },
                    ],
                }],
                ..TreeEnsemble::default()
            }),
            link: Link::Logistic,
        }
    }

    #[test]
    fn an_artifact_reads_back_and_writes_the_same_bytes() {
        let bytes = stump().to_bytes().unwrap();

        let read = ModelArtifact::from_bytes(&bytes).unwrap();

        assert_eq!(read, stump());
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn the_bytes_are_what_the_documentation_says() {
        let text = String::from_utf8(stump().to_bytes().unwrap()).unwrap();

        assert_eq!(
            text,
            r#"{"format":1,"task":"binary","classes":[],"inputs":[{"name":"wind","data_type":"float64","encoding":"number"}],"body":{"trees":{"outputs":1,"base":[0.1],"trees":[{"output":0,"nodes":[[0,0.3,"<",1,2,2],[-0.3333333333333333],[0.5]]}]}},"link":"logistic"}"#
        );
    }

    #[test]
    fn a_newer_format_is_named() {
        let error = ModelArtifact::from_bytes(br#"{"format":2,"anything":[]}"#).unwrap_err();

        assert!(matches!(error, Error::Format { found: 2, known: 1 }), "{error}");
    }

    #[test]
    fn a_file_cut_at_any_byte_is_refused() {
        let bytes = stump().to_bytes().unwrap();

        for end in 0..bytes.len() {
            assert!(ModelArtifact::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = ModelArtifact::from_bytes(&bytes);
        }

        /// Whatever a changed artifact turns into: it is refused, or it can be compiled and scored.
        #[test]
        fn changed_bytes_are_refused_or_score(
            changes in proptest::collection::vec((0usize..400, proptest::sample::select(b"0123456789-.,[]{}\"<=eE".to_vec())), 1..6),
            value in any::<f64>(),
        ) {
            let mut bytes = stump().to_bytes().unwrap();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Ok(artifact) = ModelArtifact::from_bytes(&bytes) {
                let scorer = Scorer::compile(&artifact).unwrap();
                let mut row = vec![0.0; scorer.encoder().columns()];
                scorer.encoder().encode_row(std::iter::repeat(Value::Float(value)), &mut row);
                let mut out = vec![0.0; scorer.outputs()];
                scorer.score_row(&row, &mut out).unwrap();
            }
        }

        /// References drawn at random into well-formed JSON reach the checks behind the parser.
        #[test]
        fn trees_with_random_references_are_refused_or_score(
            nodes in proptest::collection::vec((any::<bool>(), 0u32..3, 0u32..12, 0u32..12, 0u32..12), 1..10),
        ) {
            let mut artifact = stump();
            let Body::Trees(ensemble) = &mut artifact.body else { unreachable!() };
            ensemble.trees[0].nodes = nodes
                .into_iter()
                .map(|(leaf, feature, left, right, missing)| {
                    if leaf {
                        Node::Leaf { value: f64::from(left) }
                    } else {
                        Node::Split { feature, threshold: 0.5, less: Less::OrEqual, left, right, missing }
                    }
                })
                .collect();
            if artifact.validate().is_ok() {
                let scorer = Scorer::compile(&artifact).unwrap();
                for x in [0.0, 1.0, f64::NAN] {
                    let mut out = [0.0];
                    scorer.score_row(&[x], &mut out).unwrap();
                    prop_assert!((0.0..=1.0).contains(&out[0]));
                }
            }
        }
    }
}
