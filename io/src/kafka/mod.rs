//! The Kafka client: settings set on purpose, a producer and a consumer that live as long as the process, and the calls
//! that look at topics and make them.
//!
//! Both find the broker again by themselves, also when it comes back at another address (`bootstrap = "file:PATH"`).
//! They hand over values and know nothing of what is in a payload, but for putting chunks together. What "caught
//! up" or "not delivered" means for a region is decided in the machines.

mod address;
mod admin;
mod consumer;
mod context;
mod producer;
mod settings;

pub use address::{Bootstrap, BootstrapError};
pub use admin::{Admin, AdminError, Seen};
pub use consumer::{Begin, Committer, Consumer, ConsumerEvent, Reading, Record};
pub use producer::{Lengths, Producer, ProducerEvent, ProducerEvents, SendError};
pub use settings::{KafkaSettings, Setting};
