//! Two halves of the tasks: what is fitted on one is reported on the other.
use crate::base::RngKey;
use sha2::{Digest, Sha256};

/// For each task, whether it is of the first half. Whole tasks only, runs of all seeds
/// together; the halves differ by one task at most.
///
/// Which half a task falls into hangs on its name and those of the others, not on the
/// order in which they are given.
pub(super) fn halves(tasks: &[&str], seed: u64) -> Vec<bool> {
    let root = RngKey::from_seed(seed);
    let key = |task: &str| {
        let digest = Sha256::digest(task);
        let bytes: [u8; 8] = digest[..8].try_into().expect("eight bytes");
        (root.split(u64::from_le_bytes(bytes)).0, task.to_owned())
    };
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|&at| key(tasks[at]));
    let mut is_first = vec![false; tasks.len()];
    order[..tasks.len() / 2]
        .iter()
        .for_each(|&at| is_first[at] = true);
    is_first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_even_seeded_and_independent_of_order() {
        let names: Vec<String> = (0..21).map(|i| format!("task-{i}")).collect();
        let tasks: Vec<&str> = names.iter().map(String::as_str).collect();
        let first = halves(&tasks, 0);
        assert_eq!(first.iter().filter(|&&is| is).count(), 10);
        assert_ne!(first, halves(&tasks, 1));
        let reversed: Vec<&str> = tasks.iter().rev().copied().collect();
        let mut again = halves(&reversed, 0);
        again.reverse();
        assert_eq!(first, again);
    }
}
