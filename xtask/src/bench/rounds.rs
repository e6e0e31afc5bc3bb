//! Peers take turns in random order, so that what disturbs the machine disturbs them alike.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use anyhow::{Context, Result};

/// Samples by subject.
pub(crate) type Samples = BTreeMap<String, Vec<f64>>;

/// Measures every subject once per round. `measure` returns one sample, or what went wrong.
pub(crate) fn interleaved(
    rounds: usize,
    subjects: &[&str],
    mut measure: impl FnMut(&str) -> Result<f64>,
) -> Result<Samples> {
    let mut samples = Samples::new();
    for round in 1..=rounds {
        let mut order = subjects.to_vec();
        order.sort_by_cached_key(|_| RandomState::new().build_hasher().finish());
        for subject in order {
            let sample = measure(subject).with_context(|| format!("measure {subject} in round {round}"))?;
            println!("round {round}/{rounds}  {subject:<40}{sample:>12.3}");
            samples.entry(subject.to_owned()).or_default().push(sample);
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_takes_its_turn_in_every_round() {
        let mut turns = Vec::new();
        let samples = interleaved(3, &["a", "b"], |subject| {
            turns.push(subject.to_owned());
            Ok(1.0)
        })
        .unwrap();
        assert_eq!(samples.values().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        for round in turns.chunks(2) {
            assert!(round.contains(&"a".to_owned()) && round.contains(&"b".to_owned()));
        }
    }

    #[test]
    fn a_turn_that_fails_ends_the_bench_and_is_named() {
        let error = interleaved(1, &["a"], |_| anyhow::bail!("no")).unwrap_err();
        assert_eq!(format!("{error:#}"), "measure a in round 1: no");
    }
}
