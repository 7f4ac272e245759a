//! How a switch behaves: as it should, or in one of the ways in which switches and strangers do not.

use clap::ValueEnum;

/// A behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Manner {
    /// As it should.
    #[value(skip)]
    Good,
    /// Not a switch: a connection that swallows what comes. For floods that are to go elsewhere.
    #[value(skip)]
    Sink,
    /// Connects and says nothing.
    HalfOpen,
    /// Says its hello one byte a second.
    Trickle,
    /// Says hello and answers nothing.
    Silent,
    /// After the handshake it answers nothing any more, but reads.
    Mute,
    /// After the handshake it reads 64 bytes a second.
    Slow,
    /// After the handshake it says bytes that are no messages.
    Garbage,
    /// After the handshake it says messages whose bodies are nonsense.
    Malformed,
    /// Has the id of a switch that behaves.
    Duplicate,
    /// After the handshake it sends 10,000 packet-ins a second, whatever the controller wants.
    Flood,
    /// Hangs up after each handshake and comes back at once.
    Churn,
}

impl Manner {
    /// Its name, as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Manner::Good => "good",
            Manner::Sink => "sink",
            Manner::HalfOpen => "half-open",
            Manner::Trickle => "trickle",
            Manner::Silent => "silent",
            Manner::Mute => "mute",
            Manner::Slow => "slow",
            Manner::Garbage => "garbage",
            Manner::Malformed => "malformed",
            Manner::Duplicate => "duplicate",
            Manner::Flood => "flood",
            Manner::Churn => "churn",
        }
    }

    /// Whether it is a switch that speaks when it is connected.
    pub fn speaks(self) -> bool {
        !matches!(self, Manner::Sink | Manner::HalfOpen | Manner::Trickle)
    }

    /// Whether it begins to misbehave some time after its handshake.
    pub fn turns(self) -> bool {
        matches!(
            self,
            Manner::Mute | Manner::Slow | Manner::Garbage | Manner::Malformed | Manner::Flood
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manner_that_can_be_asked_for_is_called_what_it_is_typed() {
        for manner in Manner::value_variants() {
            let typed = manner.to_possible_value().expect("none is skipped here");
            assert_eq!(typed.get_name(), manner.name());
        }
    }
}
