//! The broker that a run talks through: Apache Kafka, as a deployment has it, or the trial broker.

use anyhow::Result;
use skerry_io::kafka::KafkaSettings;
use skerry_tests::daemons::Daemons;
use skerry_tests::kafka::{Cluster, Options};
use skerry_tests::lab::Lab;
use skerry_tests::process::Process;

/// Memory of Kafka, all of it from the start. What a run writes fits into it many times.
const HEAP: &str = "384m";

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Kafka.
    Kafka,
    /// `skerry broker`.
    Trial,
}

/// A running broker. It ends with its lab.
pub struct Broker {
    /// How it is reached.
    pub settings: KafkaSettings,
    /// Its process.
    pub process: Process,
}

impl Broker {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(lab: &Lab, daemons: &Daemons, kind: Kind) -> Result<Broker> {
        match kind {
            Kind::Trial => Ok(Broker {
                process: daemons.broker()?,
                settings: daemons.kafka()?,
            }),
            Kind::Kafka => {
                let partitions = skerry_bus::topic::PARTITIONS;
                let options = Options {
                    heap: HEAP,
                    // It runs for long, and is to be as fast as a deployment's.
                    brief: false,
                    more: format!("num.partitions={partitions}\n"),
                    ..Options::one()
                };
                let cluster = Cluster::new(lab, None, options)?;
                Ok(Broker {
                    settings: cluster.settings(partitions),
                    process: cluster.start_node(0)?,
                })
            }
        }
    }
}
