//! Which certificate ends soon: the words for the log, once for each limit that is passed, and the soonest end.

use std::collections::BTreeMap;

use skerry_speaker_core::Fingerprint;

use super::holder::Holder;

/// Days before its end at which a certificate is spoken of; 0: it has ended.
const WARN_DAYS: [i64; 4] = [30, 7, 1, 0];
/// Seconds of a day.
const DAY: i64 = 86_400;

/// A certificate that is watched.
#[derive(Debug)]
struct Watched {
    what: String,
    not_after: i64,
    /// Limits of [`WARN_DAYS`] that were spoken of.
    told: usize,
}

impl Watched {
    fn new(what: String, not_after: i64) -> Watched {
        Watched {
            what,
            not_after,
            told: 0,
        }
    }

    /// A line if a limit was passed since the last look.
    fn look(&mut self, now: i64) -> Option<Warning> {
        let left = self.not_after - now;
        let passed = WARN_DAYS.iter().filter(|days| left <= **days * DAY).count();
        let news = passed > self.told;
        self.told = passed;
        news.then(|| Warning {
            what: self.what.clone(),
            days_left: left.div_euclid(DAY),
            ended: left <= 0,
        })
    }
}

/// A certificate ends soon, or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Which.
    pub what: String,
    /// Whole days that are left; below zero after its end.
    pub days_left: i64,
    /// Whether it has ended.
    pub ended: bool,
}

/// The certificates of connected switches. As large as there are connections.
#[derive(Default)]
pub struct Clients {
    of: BTreeMap<Fingerprint, (usize, Watched)>,
    on_change: Option<Box<dyn Fn(Option<i64>) + Send>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Clients").field(&self.of.len()).finish()
    }
}

impl Clients {
    /// Who is told when the soonest end may be another one.
    pub(super) fn on_change(&mut self, tell: impl Fn(Option<i64>) + Send + 'static) {
        tell(self.soonest());
        self.on_change = Some(Box::new(tell));
    }

    /// One more switch is connected with this certificate.
    pub(super) fn add(&mut self, holder: &Holder) {
        let new = || (0, Watched::new(format!("of a switch, {holder}"), holder.not_after));
        self.of.entry(holder.fingerprint).or_insert_with(new).0 += 1;
        self.changed();
    }

    fn changed(&self) {
        if let Some(tell) = &self.on_change {
            tell(self.soonest());
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, fingerprint: Fingerprint) {
        if let Some((connected, _)) = self.of.get_mut(&fingerprint) {
            *connected -= 1;
            if *connected == 0 {
                self.of.remove(&fingerprint);
            }
        }
        self.changed();
    }

    /// When the first of them ends.
    pub fn soonest(&self) -> Option<i64> {
        self.of.values().map(|(_, watched)| watched.not_after).min()
    }

    /// What is to be said of them.
    pub(super) fn look(&mut self, now: i64) -> Vec<Warning> {
        self.of
            .values_mut()
            .filter_map(|(_, watched)| watched.look(now))
            .collect()
    }
}

/// The speaker's own certificate and the CAs.
#[derive(Debug, Default)]
pub(super) struct Own(Vec<Watched>);

impl Own {
    pub(super) fn new(server: &Holder, cas: &[Holder]) -> Own {
        let server = Watched::new(format!("of the speaker, {server}"), server.not_after);
        let cas = cas
            .iter()
            .map(|ca| Watched::new(format!("of a CA of switches, {ca}"), ca.not_after));
        Own(std::iter::once(server).chain(cas).collect())
    }

    pub(super) fn look(&mut self, now: i64) -> Vec<Warning> {
        self.0.iter_mut().filter_map(|watched| watched.look(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: u8, not_after: i64) -> Holder {
        Holder {
            subject: format!("CN={name}"),
            fingerprint: Fingerprint([name; 32]),
            uris: Vec::new(),
            not_after,
            validity: String::new(),
        }
    }

    #[test]
    fn each_limit_is_spoken_of_once() {
        let mut own = Own::new(&holder(1, 100 * DAY), &[]);
        let days: Vec<(i64, i64)> = (0..=102 * 24)
            .flat_map(|hour| {
                own.look(hour * 3_600)
                    .into_iter()
                    .map(move |w| (hour / 24, w.days_left))
            })
            .collect();
        assert_eq!(days, [(70, 30), (93, 7), (99, 1), (100, 0)]);
        // Somebody who starts late hears of it once too.
        let mut own = Own::new(&holder(1, 100 * DAY), &[holder(2, 50 * DAY), holder(3, 500 * DAY)]);
        let said = own.look(95 * DAY);
        assert_eq!(said.iter().map(|w| w.days_left).collect::<Vec<_>>(), [5, -45]);
        assert!(said[1].what.starts_with("of a CA"), "{said:?}");
        assert_eq!(said.iter().map(|w| w.ended).collect::<Vec<_>>(), [false, true]);
        assert_eq!(own.look(95 * DAY + 1), []);
    }

    #[test]
    fn a_certificate_counts_while_a_switch_is_connected_with_it() {
        let mut clients = Clients::default();
        let (first, second) = (holder(1, 40 * DAY), holder(2, 20 * DAY));
        clients.add(&first);
        clients.add(&second);
        clients.add(&second);
        assert_eq!(clients.soonest(), Some(20 * DAY));
        assert_eq!(clients.look(0).len(), 1);
        assert_eq!(clients.look(0).len(), 0);
        clients.remove(second.fingerprint);
        assert_eq!(clients.soonest(), Some(20 * DAY));
        clients.remove(second.fingerprint);
        clients.remove(second.fingerprint);
        assert_eq!(clients.soonest(), Some(40 * DAY));
        clients.remove(first.fingerprint);
        assert_eq!(clients.soonest(), None);
    }
}
