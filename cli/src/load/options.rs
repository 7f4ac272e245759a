//! The options of `skerry load`, and what is wrong with them.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::echo::IN_FLIGHT_MAX;
use super::plan::{Echo, Plan};
use super::wiring::Shape;

/// Where OpenFlow controllers listen (IANA).
const PORT: u16 = 6653;
/// Switches of one run: what one core carries with room to spare.
const SWITCHES_MAX: usize = 10_000;
/// Ports of a switch. More than one message of a port list holds is no use here.
const PORTS_MAX: u32 = 256;
/// Controllers of a switch: more regions than reach one switch anywhere.
const CONTROLLERS_MAX: usize = 8;
/// The longest delay, interval or run: a week.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Bytes of an echo request behind its header, so that it is a message.
const ECHO_BYTES_MAX: usize = 65_000;

/// Options of `skerry load`.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// A controller of every switch; may be given several times. Without a port, 6653
    #[arg(long, value_name = "ADDRESS[:PORT]", required = true)]
    controller: Vec<String>,
    /// How many switches
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    switches: usize,
    /// Ports of each switch, numbered from 1
    #[arg(long, value_name = "N", default_value_t = 4)]
    ports: u32,
    /// How the switches are joined
    #[arg(long, value_enum, value_name = "SHAPE", default_value_t = Shape::Ring)]
    links: Shape,
    /// One-way delay of each link in milliseconds, decimals allowed
    #[arg(long, value_name = "MS", default_value_t = 5.0)]
    link_ms: f64,
    /// Id of the first switch; the others follow
    #[arg(long, value_name = "ID", default_value_t = 1)]
    first_id: u64,
    /// Connections tried in a second, or `all` for all at once
    #[arg(long, value_name = "N|all", default_value = "all")]
    connect_rate: String,
    /// Milliseconds before a connection that ended is tried again, doubled up to 8 s while it comes to nothing; `never`
    #[arg(long, value_name = "MS|never", default_value = "500")]
    reconnect: String,
    /// Addresses of this machine that switches come from, in turn, with commas
    #[arg(long, value_name = "ADDRESS,..", value_delimiter = ',')]
    source: Vec<IpAddr>,
    /// Echo requests unanswered at a time on each connection; each answer is followed by the next request
    #[arg(long, value_name = "N", conflicts_with = "echo_every")]
    echo: Option<usize>,
    /// One echo request on each connection in each interval, such as 1s
    #[arg(long, value_name = "TIME", value_parser = time)]
    echo_every: Option<Duration>,
    /// Bytes of an echo request behind its header
    #[arg(long, value_name = "N", default_value_t = 0)]
    echo_bytes: usize,
    /// End after this time, such as 30s, 5m or 500ms; without it: by `quit`, a signal or the end of standard input
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    end: Option<Duration>,
    /// Print figures each second
    #[arg(long)]
    watch: bool,
}

/// A time as it is typed: `500ms`, `30s`, `5m`, `1h`; decimals allowed.
fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(char::is_alphabetic);
    let scale = match text.strip_prefix(number) {
        Some("ms") => 1e-3,
        Some("s") => 1.0,
        Some("m") => 60.0,
        Some("h") => 3_600.0,
        _ => return Err("a time is a number with ms, s, m or h behind it".to_owned()),
    };
    let seconds = number.parse::<f64>().map_err(|error| format!("{number:?}: {error}"))? * scale;
    let time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if time.is_zero() || time > TIME_MAX {
        return Err(format!(
            "a time is more than nothing and at most {} h",
            TIME_MAX.as_secs() / 3_600
        ));
    }
    Ok(time)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>().ok();
    let alone = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    if let Some(address) = with_port.or_else(alone) {
        return Ok(address);
    }
    // A name, with or without a port.
    let name = if text.contains(':') {
        text.to_owned()
    } else {
        format!("{text}:{PORT}")
    };
    let mut found = name
        .to_socket_addrs()
        .map_err(|error| format!("--controller {text}: {error}"))?;
    found.next().ok_or_else(|| format!("--controller {text}: no address"))
}

fn within<T: PartialOrd + std::fmt::Display + Copy>(name: &str, value: T, least: T, most: T) -> Result<T, String> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(format!("--{name}: {least} to {most}, not {value}"))
    }
}

/// The run that options ask for.
///
/// # Errors
/// What is wrong, with the option's name.
pub fn plan(args: &LoadArgs) -> Result<Plan, String> {
    within("controller", args.controller.len(), 1, CONTROLLERS_MAX)?;
    let controllers = args
        .controller
        .iter()
        .map(|text| address(text))
        .collect::<Result<Vec<_>, _>>()?;
    let switches = within("switches", args.switches, 1, SWITCHES_MAX)?;
    within("first-id", args.first_id, 0, u64::MAX - SWITCHES_MAX as u64)?;
    let most = TIME_MAX.as_secs_f64() * 1e3;
    let link_delay = Duration::from_secs_f64(within("link-ms", args.link_ms, 0.0, most)? / 1e3);
    let connect_rate = match args.connect_rate.as_str() {
        "all" => None,
        text => {
            let rate = text
                .parse::<f64>()
                .map_err(|_| format!("--connect-rate {text}: a number or `all`"))?;
            Some(within("connect-rate", rate, 0.001, 1e6)?)
        }
    };
    let reconnect = match args.reconnect.as_str() {
        "never" => None,
        text => {
            let ms = text
                .parse::<u64>()
                .map_err(|_| format!("--reconnect {text}: milliseconds or `never`"))?;
            Some(Duration::from_millis(within("reconnect", ms, 1, 3_600_000)?))
        }
    };
    let echo = match (args.echo, args.echo_every) {
        (Some(count), _) => Echo::InFlight(within("echo", count, 1, IN_FLIGHT_MAX)?),
        (None, Some(interval)) => Echo::Every(interval),
        (None, None) => Echo::None,
    };
    Ok(Plan {
        controllers,
        sources: args.source.clone(),
        switches,
        first_id: args.first_id,
        ports: within("ports", args.ports, 1, PORTS_MAX)?,
        shape: args.links,
        link_delay,
        connect_rate,
        reconnect,
        echo,
        echo_bytes: within("echo-bytes", args.echo_bytes, 0, ECHO_BYTES_MAX)?,
        end: args.end,
        watch: args.watch,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_refused_without() {
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "30", "s", "-1s", "0s", "1d", "1e99h", "NaNs", "1 s s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_controller_is_an_address_or_a_name_with_or_without_a_port() {
        let text = |text: &str| address(text).map(|address| address.to_string());
        assert_eq!(text("127.0.0.1").as_deref(), Ok("127.0.0.1:6653"));
        assert_eq!(text("127.0.0.1:7").as_deref(), Ok("127.0.0.1:7"));
        assert_eq!(text("::1").as_deref(), Ok("[::1]:6653"));
        assert_eq!(text("[::1]:7").as_deref(), Ok("[::1]:7"));
        assert!(address("127.0.0.1:x").is_err());
        assert!(address("").is_err());
    }
}
