//! Where the log is written: beside the threads that answer.
//!
//! Encoding a batch of 32,768 rows of 40 columns takes tens of milliseconds. On the threads that answer, the requests that wait
//! there meanwhile would be the slowest one in a hundred.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A thread for all writers of the log; without one they share those that answer.
pub(crate) struct LogRuntime(Option<Runtime>);

impl LogRuntime {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let built = Builder::new_multi_thread().worker_threads(1).thread_name("prediction-log").enable_all().build();
        let refused = |error| tracing::warn!(%error, "predictions are logged on the threads that answer");
        Self(built.map_err(refused).ok())
    }

    /// Runs a writer.
    pub(crate) fn spawn<F>(&self, writer: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match &self.0 {
            Some(runtime) => runtime.spawn(writer),
            None => tokio::spawn(writer),
        }
    }
}

impl Drop for LogRuntime {
    fn drop(&mut self) {
        // waiting for it is not allowed on threads that answer; what must be written was flushed before
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
