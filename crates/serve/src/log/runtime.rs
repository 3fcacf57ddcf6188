//! Where the log is written: beside the threads that answer.
//!
//! Encoding a batch of 32,768 rows of 40 columns takes tens of milliseconds. On the threads that answer, the requests that wait
//! there meanwhile would be the slowest one in a hundred. Where all cores are busy the log gives way, but is never starved:
//! at this priority it still gets a fourth of one.

use std::future::Future;

use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// From 0 to 99, where 50 is what threads have; a nice value of 4 on Linux.
const PRIORITY: u8 = 36;

/// A thread for all writers of the log; without one they share those that answer.
pub(crate) struct LogRuntime(Option<Runtime>);

impl LogRuntime {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("prediction-log").on_thread_start(give_way).enable_all();
        let built = builder.build();
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

/// Lowers the priority of this thread.
fn give_way() {
    let value = ThreadPriorityValue::try_from(PRIORITY);
    let lowered = value.and_then(|value| {
        set_current_thread_priority(ThreadPriority::Crossplatform(value)).map_err(|error| error.to_string())
    });
    if let Err(error) = lowered {
        tracing::debug!(%error, "the prediction log keeps the priority of other threads");
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
