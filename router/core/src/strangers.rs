//! Regions that speak and are not configured: an operator who misspelt a name looks for his switches in vain, so it is
//! told.
//!
//! A router reads no topic of such a region. It looks now and then which regions have a topic of events and how much
//! was written there: whose grows, speaks. Topics of regions that are gone stay, and are not told.
//!
//! | state | bus up | bus down | found | time |
//! | --- | --- | --- | --- | --- |
//! | away | waits, until now | – | – | – |
//! | waiting | – | away | compares | looks |
//! | looking | – | away | compares, waits an interval | – |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use skerry_bus::Region;

/// Regions that are compared: more than a deployment has. Those behind them by name are not looked at.
const STRANGERS_MAX: usize = 64;

/// What is set from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// The regions there are.
    pub regions: BTreeSet<Region>,
    /// Time between two looks. A speaker that lives writes each quarter of a second.
    pub look: Duration,
    /// A region that goes on speaking is told again after this.
    pub tell_again: Duration,
}

impl Config {
    /// Defaults for these regions.
    pub fn new(regions: impl IntoIterator<Item = Region>) -> Self {
        Config {
            regions: regions.into_iter().collect(),
            look: Duration::from_secs(5),
            tell_again: Duration::from_secs(60),
        }
    }
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Whether the bus can be reached.
    Bus {
        /// It can.
        up: bool,
    },
    /// What a look found: regions that have a topic of events, with the length of its log ever since.
    Found(BTreeMap<Region, i64>),
}

/// What the machine decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Look, and tell what was found, be it nothing.
    Look,
    /// Somebody speaks for a region that is not configured.
    Speaks(Region),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Away,
    Waiting { until: Instant },
    Looking,
}

#[derive(Debug, Clone, Copy)]
struct Stranger {
    length: i64,
    told: Option<Instant>,
}

/// The machine.
#[derive(Debug)]
pub struct Strangers {
    config: Config,
    state: State,
    strangers: BTreeMap<Region, Stranger>,
    outputs: VecDeque<Output>,
}

impl Strangers {
    /// Waits for the bus.
    pub fn new(config: Config, _now: Instant) -> Self {
        Strangers {
            config,
            state: State::Away,
            strangers: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Take an input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.state = match (self.state, input) {
            (State::Away, Input::Bus { up: true }) => State::Waiting { until: now },
            (state @ (State::Waiting { .. } | State::Looking), Input::Bus { up: true }) => state,
            (State::Away | State::Waiting { .. } | State::Looking, Input::Bus { up: false }) => State::Away,
            // Of a bus that went away meanwhile.
            (State::Away, Input::Found(_)) => State::Away,
            (State::Waiting { .. } | State::Looking, Input::Found(found)) => {
                self.compare(now, found);
                State::Waiting {
                    until: now + self.config.look,
                }
            }
        };
    }

    fn compare(&mut self, now: Instant, found: BTreeMap<Region, i64>) {
        let mut strangers = BTreeMap::new();
        let unknown = found.into_iter().filter(|(r, _)| !self.config.regions.contains(r));
        for (region, length) in unknown.take(STRANGERS_MAX) {
            let before = self.strangers.get(&region);
            let grew = before.is_some_and(|before| length > before.length);
            let mut told = before.and_then(|before| before.told);
            if grew && told.is_none_or(|at| now >= at + self.config.tell_again) {
                told = Some(now);
                self.outputs.push_back(Output::Speaks(region.clone()));
            }
            strangers.insert(region, Stranger { length, told });
        }
        self.strangers = strangers;
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Waiting { until } = self.state
            && now >= until
        {
            self.state = State::Looking;
            self.outputs.push_back(Output::Look);
        }
    }

    /// When to wake it, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match self.state {
            State::Away | State::Looking => None,
            State::Waiting { until } => Some((until, "regions that are not configured")),
        }
    }

    /// What it decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().expect("a region")
    }

    fn found(lengths: &[(&str, i64)]) -> Input {
        Input::Found(lengths.iter().map(|(name, length)| (region(name), *length)).collect())
    }

    /// Looks when it is time, tells what was found, gives who is told.
    fn look(machine: &mut Strangers, lengths: &[(&str, i64)]) -> Vec<Output> {
        let (at, _) = machine.poll_timeout().expect("it waits");
        machine.handle_timeout(at);
        assert_eq!(machine.poll_output(), Some(Output::Look));
        assert_eq!(machine.poll_timeout(), None);
        machine.handle_input(at, found(lengths));
        std::iter::from_fn(|| machine.poll_output()).collect()
    }

    fn machine() -> Strangers {
        let mut machine = Strangers::new(Config::new([region("east")]), Instant::now());
        assert_eq!(machine.poll_timeout(), None);
        machine.handle_input(Instant::now(), Input::Bus { up: true });
        machine
    }

    #[test]
    fn who_speaks_is_told_once_in_a_while_and_who_is_silent_or_configured_is_not() {
        let mut machine = machine();
        assert_eq!(look(&mut machine, &[("east", 5), ("gone", 9), ("north", 1)]), []);
        let told = [Output::Speaks(region("north"))];
        assert_eq!(look(&mut machine, &[("east", 6), ("gone", 9), ("north", 2)]), told);
        // Five seconds between looks: eleven times it is quiet.
        for n in 1..12 {
            assert_eq!(look(&mut machine, &[("east", 6), ("gone", 9), ("north", 2 + n)]), []);
        }
        assert_eq!(look(&mut machine, &[("gone", 9), ("north", 20)]), told);
    }

    #[test]
    fn a_log_that_begins_anew_is_not_taken_for_speech() {
        let mut machine = machine();
        look(&mut machine, &[("north", 100)]);
        machine.handle_input(Instant::now(), Input::Bus { up: false });
        assert_eq!(machine.poll_timeout(), None);
        machine.handle_input(Instant::now(), found(&[("north", 200)]));
        assert_eq!((machine.poll_output(), machine.poll_timeout()), (None, None));
        machine.handle_input(Instant::now(), Input::Bus { up: true });
        assert_eq!(look(&mut machine, &[("north", 3)]), []);
        assert_eq!(look(&mut machine, &[("north", 4)]), [Output::Speaks(region("north"))]);
    }

    #[test]
    fn no_more_than_the_limit_are_remembered() {
        let mut machine = machine();
        let names: Vec<String> = (0..2 * STRANGERS_MAX).map(|n| format!("r{n}")).collect();
        let lengths = |length| names.iter().map(|n| (n.as_str(), length)).collect::<Vec<_>>();
        look(&mut machine, &lengths(1));
        assert_eq!(look(&mut machine, &lengths(2)).len(), STRANGERS_MAX);
        assert_eq!(machine.strangers.len(), STRANGERS_MAX);
    }
}
