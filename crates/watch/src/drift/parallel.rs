//! Work on columns, side by side.

use std::sync::{Mutex, PoisonError};

/// Threads that sort and compare columns; more would take the machine from what it serves.
pub const THREADS_MAX: usize = 2;

/// Applies a function to each item on up to [`THREADS_MAX`] threads; results come in the items' order.
pub fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let count = items.len();
    let queue = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(count));
    let worker = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((position, item)) = next else { break };
            let result = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((position, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS_MAX.min(count) {
            scope.spawn(worker);
        }
        worker();
    });
    let mut results = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_items() {
        let squares = super::map((0..100).collect(), |x: u64| x * x);

        assert_eq!(squares, (0..100).map(|x| x * x).collect::<Vec<_>>());
    }
}
