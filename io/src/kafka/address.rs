//! Where the broker is: a list of addresses, or a file that holds one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An address file is one line; more is not an address file.
const FILE_MAX: u64 = 4 * 1024;

/// How to find the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bootstrap {
    /// `host:port,host:port`.
    Hosts(String),
    /// `file:PATH`: the file holds such a list and is read again when nobody answers there. The trial broker writes
    /// its address to such a file, because its port is another one each time.
    File(PathBuf),
}

/// A broker address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BootstrapError(String);

impl FromStr for Bootstrap {
    type Err = BootstrapError;
    fn from_str(text: &str) -> Result<Self, BootstrapError> {
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() {
                return Err(BootstrapError("a path is expected after file:".to_owned()));
            }
            return Ok(Bootstrap::File(PathBuf::from(path)));
        }
        hosts(text).map(Bootstrap::Hosts)
    }
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bootstrap::Hosts(hosts) => f.write_str(hosts),
            Bootstrap::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Bootstrap {
    /// The addresses as of now.
    ///
    /// # Errors
    /// The file is not there yet, or holds something else.
    pub fn read(&self) -> Result<String, BootstrapError> {
        match self {
            Bootstrap::Hosts(hosts) => Ok(hosts.clone()),
            Bootstrap::File(path) => {
                let at = |cause: String| BootstrapError(format!("{}: {cause}", path.display()));
                let length = std::fs::metadata(path).map_err(|e| at(e.to_string()))?.len();
                if length > FILE_MAX {
                    return Err(at(format!("{length} bytes are too many for an address")));
                }
                let text = std::fs::read_to_string(path).map_err(|e| at(e.to_string()))?;
                hosts(text.trim()).map_err(|e| at(e.0))
            }
        }
    }
}

fn hosts(text: &str) -> Result<String, BootstrapError> {
    for host in text.split(',') {
        let fits = match host.trim().rsplit_once(':') {
            Some((name, port)) => !name.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0),
            None => false,
        };
        if !fits {
            return Err(BootstrapError(format!("{host:?} is not HOST:PORT (nor file:PATH)")));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_others_refused() {
        for good in ["127.0.0.1:9092", "a:1,b:2", "[::1]:9092"] {
            assert_eq!(good.parse(), Ok(Bootstrap::Hosts(good.to_owned())));
        }
        for bad in ["", "a", "a:0", "a:70000", ":1", "a:1,", "file:"] {
            assert!(bad.parse::<Bootstrap>().is_err(), "{bad}");
        }
        let file: Bootstrap = "file:no/such/file".parse().expect("it is a path");
        assert!(
            file.read()
                .expect_err("nothing there")
                .to_string()
                .starts_with("no/such/file: ")
        );
    }
}
