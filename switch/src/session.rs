//! What a switch remembers of one connection: how far it is, what is sent unasked, when it was heard.
//!
//! ```text
//! Greeting --HELLO--> Open --silence--> Asked --anything--> Open
//!     |                                   |
//!     +------- no hello in time ----------+--- silence ---> closed
//! ```

use std::time::Instant;

use ofproto::{AsyncConfig, ConfigFlags, FlowRemovedReasons, Framer, PacketInReasons, PortReasons, SwitchConfig};

use super::{HELLO_MAX, SILENCE_MAX};

/// Bytes of a packet that miss a table; Open vSwitch's default. No packet misses here.
const MISS_SEND_LEN: u16 = 128;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Our hello is out.
    Greeting {
        /// When it was said.
        since: Instant,
    },
    /// Both said hello.
    Open {
        /// When the controller was heard last.
        heard: Instant,
    },
    /// Nothing was heard for long, and an echo is asked.
    Asked {
        /// When it was asked.
        since: Instant,
    },
}

impl State {
    /// When something is to be done about it, and what.
    pub fn deadline(self) -> (Instant, &'static str) {
        match self {
            State::Greeting { since } => (since + HELLO_MAX, "hello"),
            State::Open { heard } => (heard + SILENCE_MAX, "controller silent"),
            State::Asked { since } => (since + SILENCE_MAX, "echo unanswered"),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    /// Cuts what it says into frames.
    pub framer: Framer,
    /// How far it is.
    pub state: State,
    /// OFPT_SET_CONFIG, kept and given back.
    pub config: SwitchConfig,
    /// OFPT_SET_ASYNC: what is sent unasked.
    pub unasked: AsyncConfig,
}

impl Session {
    /// A connection that has just been made.
    pub fn new(now: Instant) -> Session {
        let ports = PortReasons::ADD | PortReasons::DELETE | PortReasons::MODIFY;
        let removed = FlowRemovedReasons::IDLE_TIMEOUT
            | FlowRemovedReasons::HARD_TIMEOUT
            | FlowRemovedReasons::DELETE
            | FlowRemovedReasons::GROUP_DELETE;
        Session {
            framer: Framer::new(),
            state: State::Greeting { since: now },
            config: SwitchConfig {
                flags: ConfigFlags::NONE,
                miss_send_len: MISS_SEND_LEN,
            },
            // Section 7.3.10: a master gets everything but packets with a bad TTL, a slave port events only.
            unasked: AsyncConfig {
                packet_in_mask: [
                    PacketInReasons::NO_MATCH | PacketInReasons::ACTION,
                    PacketInReasons::NONE,
                ],
                port_status_mask: [ports, ports],
                flow_removed_mask: [removed, FlowRemovedReasons::NONE],
            },
        }
    }

    /// Something came.
    pub fn heard(&mut self, now: Instant) {
        match self.state {
            State::Greeting { .. } => {}
            State::Open { .. } | State::Asked { .. } => self.state = State::Open { heard: now },
        }
    }
}
