//! Sockets that are served, as the daemon does it, on a thread of their own.

use std::thread::JoinHandle;
use std::time::Duration;

use skerry_speaker::sockets::{SocketEvent, Sockets};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

/// A test that waits longer has found a fault; the machine is shared with others.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The thread on which they are served; dropping it ends them.
pub struct Serving(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Serving {
    /// Serve them until this is dropped.
    pub fn start(sockets: Sockets) -> Serving {
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("a runtime");
            runtime.block_on(sockets.serve(stopped)).expect("they are served");
        });
        Serving(Some((stop, thread)))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// What happens next on the sockets.
pub fn next(events: &mut UnboundedReceiver<SocketEvent>) -> SocketEvent {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().expect("a runtime");
    let event = runtime.block_on(async { tokio::time::timeout(PATIENCE, events.recv()).await });
    event.expect("nothing happened for 30 s").expect("the sockets live")
}
