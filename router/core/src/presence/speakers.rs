//! Which processes speak for the regions: what they call themselves, so that an operator finds the one too many.

use std::collections::BTreeMap;

use skerry_bus::{Epoch, Region};

/// Processes remembered per region: the one that is followed, the one it followed on, and two that should not be there. Of
/// more, those of the smallest epochs are forgotten.
const SPEAKERS_MAX: usize = 4;
/// Characters of a name that are kept.
const NAME_MAX: usize = 200;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    names: BTreeMap<Region, BTreeMap<Epoch, String>>,
}

impl Speakers {
    /// A process told its name.
    pub(super) fn heard(&mut self, region: &Region, epoch: Epoch, name: &str) {
        // This comes four times a second in every partition.
        if name.is_empty() || self.name(region, epoch).is_some() {
            return;
        }
        let names = self.names.entry(region.clone()).or_default();
        names.insert(epoch, name.chars().take(NAME_MAX).collect());
        if names.len() > SPEAKERS_MAX {
            names.pop_first();
        }
    }

    /// What the process calls itself, if it said so.
    pub(super) fn name(&self, region: &Region, epoch: Epoch) -> Option<&str> {
        self.names.get(region)?.get(&epoch).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_latest_processes_are_kept() {
        let east: Region = "east".parse().expect("a region");
        let mut speakers = Speakers::default();
        speakers.heard(&east, Epoch(1), "");
        assert_eq!(speakers.name(&east, Epoch(1)), None);
        for n in 1..=10 {
            speakers.heard(&east, Epoch(n), &format!("host-{n} {}", "x".repeat(300)));
        }
        assert_eq!(speakers.name(&east, Epoch(6)), None);
        let name = speakers.name(&east, Epoch(7)).expect("one of the latest");
        assert!(name.starts_with("host-7") && name.len() == NAME_MAX, "{name}");
    }
}
