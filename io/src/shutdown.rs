//! Being asked to end: SIGTERM or SIGINT.

use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears the signals from its making on.
#[derive(Debug)]
pub struct Shutdown {
    term: Signal,
    interrupt: Signal,
}

impl Shutdown {
    /// Begin to listen. To be called in a tokio runtime with I/O.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn new() -> std::io::Result<Self> {
        Ok(Shutdown {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The same for a program without a runtime: the name comes over the sender. Signals are heard when this returns.
    ///
    /// # Errors
    /// The operating system refuses, or there is no thread to be had.
    pub fn tell(sender: mpsc::Sender<&'static str>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut shutdown = {
            let _inside = runtime.enter();
            Shutdown::new()?
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let name = runtime.block_on(shutdown.asked());
            // Nobody listens any more: the program ends for another reason.
            let _ = sender.send(name);
        })?;
        Ok(())
    }

    /// Wait to be asked; gives the signal's name. May be cancelled and called again.
    pub async fn asked(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
