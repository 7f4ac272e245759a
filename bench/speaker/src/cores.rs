//! Which core does what. Where a program runs decides more than what it does: a core that sleeps is woken by an
//! interrupt, and two programs on one core take turns.

use std::fs;
use std::process::Command;

/// The cores that are measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Has what is measured.
    pub measured: usize,
    /// Has the load.
    pub load: usize,
    /// Whether programs can be held on a core at all.
    can_pin: bool,
}

impl Cores {
    /// The first two of those that this process may use; the same one twice if there is one only.
    pub fn here() -> Cores {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let cores = list.map(parse).unwrap_or_default();
        let measured = cores.first().copied().unwrap_or(0);
        let installed = ["/usr/bin/taskset", "/bin/taskset"]
            .iter()
            .any(|path| fs::exists(path).unwrap_or(false));
        Cores {
            measured,
            load: cores.get(1).copied().unwrap_or(measured),
            can_pin: installed,
        }
    }

    /// What the report says of it.
    pub fn told(&self) -> String {
        match (self.can_pin, self.measured == self.load) {
            (false, _) => "nothing pinned (no taskset)".to_owned(),
            (true, true) => format!("one core only, {}", self.measured),
            (true, false) => format!("measured on core {}, load on core {}", self.measured, self.load),
        }
    }

    /// The same command, held on a core.
    pub fn pin(&self, core: usize, command: Command) -> Command {
        if !self.can_pin {
            return command;
        }
        let mut pinned = Command::new("taskset");
        pinned.arg("-c").arg(core.to_string());
        pinned.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        pinned
    }
}

/// Reads `0-3,8`.
fn parse(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_is_read() {
        assert_eq!(parse("\t0-1"), [0, 1]);
        assert_eq!(parse("2,4-6"), [2, 4, 5, 6]);
        assert_eq!(parse(""), Vec::<usize>::new());
    }

    #[test]
    fn a_pinned_command_keeps_its_arguments_and_its_environment() {
        let mut command = Command::new("prog");
        command.arg("a").env("X", "1").env_remove("Y");
        let cores = Cores {
            measured: 0,
            load: 1,
            can_pin: true,
        };
        let pinned = cores.pin(1, command);
        let args: Vec<_> = pinned.get_args().collect();
        assert_eq!(
            (pinned.get_program().to_str(), args),
            (
                Some("taskset"),
                vec!["-c".as_ref(), "1".as_ref(), "prog".as_ref(), "a".as_ref()]
            )
        );
        assert_eq!(pinned.get_envs().count(), 2);
    }
}
