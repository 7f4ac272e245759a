//! The contract: every message between speaker, router and other services, its topic and its key.
//!
//! This crate says what is spoken, never when or by whom: it has no clock, no tasks and no
//! sockets. Payload is JSON, small and flat. Unknown fields are ignored, unknown kinds are
//! reported as such ([`Decoded::UnknownKind`]) so that a reader can count and skip them. A golden file for
//! each kind of message stands in `tests/golden/`.
//!
//! Design section 3 is the source of everything here.

pub mod api;
pub mod chunk;
pub mod command;
pub mod event;
pub mod ids;
pub mod latency;
pub mod layout;
pub mod message;
pub mod objects;
pub mod presence;
pub mod recording;
pub mod reply;
pub mod results;
pub mod service;
pub mod switch;
pub mod time;
pub mod topic;

pub use command::{Command, CommandBody, CommandHead, DesiredChange, Wanted};
pub use event::{EventHead, RegionEvent, RegionEventBody};
pub use ids::{
    Cookie, CorrelationId, Endpoint, Epoch, FlowId, Generation, IdError, LinkId, PointId, PortNo, PortRef, Region, Seq,
    SwitchId, Term,
};
pub use latency::{Latency, LatencyBody, LatencySource};
pub use message::{Decoded, decode, encode};
pub use objects::{Action, Bucket, Group, GroupKind, Masked, Match, Meter, MeterUnit, Objects, OutPort, Rule, RuleKey};
pub use presence::{Availability, Mode, PresenceRecord, RegionPresence, RegionRecord, Role};
pub use reply::{Cause, CommandResult, Outcome, Reply, ReplyBody, SwitchDump};
pub use results::{
    Change, Fate, ObjectName, ObjectResult, ObjectResults, PlannedStage, PlannedStep, Sending, StepReason, SwitchPlan,
};
pub use service::{VirtualEvent, VirtualEventBody};
pub use switch::{PortState, SwitchFeatures, SwitchState};
pub use time::BrokerClock;
pub use topic::Topic;
