//! The composed machine of one speaker process.

use std::collections::VecDeque;
use std::time::Instant;

use crate::io::{Config, Input, Output};

/// One speaker. See the crate's head for the parts it is made of.
#[derive(Debug)]
pub struct Speaker {
    config: Config,
    outputs: VecDeque<Output>,
}

impl Speaker {
    /// A speaker without connections, with the bus down.
    pub fn new(config: Config, now: Instant) -> Self {
        let _ = now;
        Speaker {
            config,
            outputs: VecDeque::new(),
        }
    }
    /// Something happened.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        let _ = (now, input, &self.config);
    }
    /// A deadline may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }
    /// When [`Speaker::handle_timeout`] is to be called next, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        None
    }
    /// The next thing to do; call until there is none before the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
