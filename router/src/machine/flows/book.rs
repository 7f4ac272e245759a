//! A flow as the router keeps it.

use serde::{Deserialize, Serialize};
use skerry_bus::service::FlowStatus;
use skerry_bus::{FlowId, PortRef};
use skerry_network::Placed;
use skerry_network::translate::PerSwitch;

/// Where a flow is to lie, and how good that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The flow with its route and numbers: together they give its rules, to the byte.
    pub placed: Placed,
    /// The route breaks the first latency limit and keeps the second: better than nothing.
    #[serde(default)]
    pub backup: bool,
}

/// A flow with all that is known of it; what is stored of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where it lies, or shall lie while it is being created.
    pub place: Place,
    /// Whether it was created: until then the switches hold nothing that is not the operation's.
    pub standing: bool,
    /// How it is.
    pub status: FlowStatus,
    /// Why it is not UP.
    #[serde(default)]
    pub status_info: String,
    /// Grows with every change of what is wanted.
    pub revision: u64,
    /// The operation under way.
    #[serde(skip)]
    pub operation: Option<u64>,
}

impl Entry {
    /// Its name.
    pub fn id(&self) -> &FlowId {
        &self.place.placed.flow.id
    }

    /// What the switches hold for it.
    ///
    /// # Errors
    /// What is stored does not fit together; the text says what.
    pub fn objects(&self) -> Result<PerSwitch, String> {
        if self.standing {
            self.place.placed.objects().map_err(|e| e.to_string())
        } else {
            Ok(PerSwitch::new())
        }
    }

    /// Ports along its path, from source to destination.
    pub fn ports(&self) -> Vec<PortRef> {
        let placed = &self.place.placed;
        let hops = placed.route.hops(&placed.flow);
        hops.iter()
            .flat_map(|h| {
                [h.input_port, h.output_port].map(|port| PortRef {
                    switch: h.switch_id,
                    port,
                })
            })
            .collect()
    }
}
