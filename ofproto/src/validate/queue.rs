//! Queues (sections 7.3.5.8 and 7.3.6).

use super::{Refusal, RefusalCause, refuse_if};
use crate::error_msg::QueueOpFailedCode;
use crate::queue::{QueueGetConfigRequest, QueueStatsRequest};

impl QueueGetConfigRequest {
    /// Whether a switch would take it (section 7.3.6).
    ///
    /// # Errors
    /// A number that is no port's, with OFPQOFC_BAD_PORT.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse_if(
            !self.port.can_be_asked(),
            "ofp_queue_get_config_request",
            QueueOpFailedCode::BAD_PORT,
            RefusalCause::Port(self.port),
        )
    }
}

impl QueueStatsRequest {
    /// Whether a switch would take it (section 7.3.5.8).
    ///
    /// # Errors
    /// A number that is no port's, with OFPQOFC_BAD_PORT.
    pub fn validate(&self) -> Result<(), Refusal> {
        refuse_if(
            !self.port_no.can_be_asked(),
            "ofp_queue_stats_request",
            QueueOpFailedCode::BAD_PORT,
            RefusalCause::Port(self.port_no),
        )
    }
}
