//! The options of `skerry load`, and what is wrong with them.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::echo::IN_FLIGHT_MAX;
use super::manner::Manner;
use super::packets::{BYTES, HOSTS_MAX, Kind};
use super::plan::{Echo, PacketIns, Plan};
use super::tls::Tls;
use super::wiring::Shape;

/// Where OpenFlow controllers listen (IANA).
const PORT: u16 = 6653;
/// Switches of one run: what one core carries with room to spare.
const SWITCHES_MAX: usize = 10_000;
/// Ports of a switch. More than one message of a port list holds is no use here.
const PORTS_MAX: u32 = 256;
/// Controllers of a switch: more regions than reach one switch anywhere.
const CONTROLLERS_MAX: usize = 8;
/// Of anything in a second: one in a quarter of an hour, and what no controller sees the end of.
const RATES: (f64, f64) = (0.001, 1e7);
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
    /// TLS with the controllers
    #[arg(long, requires = "ca")]
    tls: bool,
    /// Certificates that controllers' are checked against, PEM
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// The certificate that every switch shows, PEM; without it they show none
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The name that controllers' certificates must have, in place of their address
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
    /// Echo requests unanswered at a time on each connection; each answer is followed by the next request
    #[arg(long, value_name = "N", conflicts_with = "echo_every")]
    echo: Option<usize>,
    /// One echo request on each connection in each interval, such as 1s
    #[arg(long, value_name = "TIME", value_parser = time)]
    echo_every: Option<Duration>,
    /// Bytes of an echo request behind its header
    #[arg(long, value_name = "N", default_value_t = 0)]
    echo_bytes: usize,
    /// Packet-ins a second, from the switches in turn, and how soon they are answered
    #[arg(long, value_name = "RATE", conflicts_with = "packet_in_flight")]
    packet_in: Option<f64>,
    /// Packet-ins unanswered at a time from each switch; each answer is followed by the next one
    #[arg(long, value_name = "N")]
    packet_in_flight: Option<usize>,
    /// What packets are like, of floods too
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Kind::Unknown)]
    packets: Kind,
    /// Bytes of a packet
    #[arg(long, value_name = "N", default_value_t = 64)]
    packet_bytes: usize,
    /// Hosts behind each switch that packets come from
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    hosts: u32,
    /// A flood of packet-ins from a switch, so many a second; may be given several times
    #[arg(long, value_name = "SWITCH:RATE", value_parser = flood)]
    flood: Vec<(u64, f64)>,
    /// Cables taken out and put in again, so many changes a second in all
    #[arg(long, value_name = "RATE")]
    flap: Option<f64>,
    /// Further switches that misbehave: half-open, trickle, silent, mute, slow, garbage, malformed, duplicate, flood, churn
    #[arg(long, value_name = "KIND:N", value_parser = misbehave)]
    misbehave: Vec<(Manner, usize)>,
    /// End after this time, such as 30s, 5m or 500ms; without it also when standard input ends
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

fn flood(text: &str) -> Result<(u64, f64), String> {
    let (switch, rate) = text.split_once(':').ok_or("the id of a switch, a colon and a rate")?;
    let switch = switch.parse().map_err(|_| format!("{switch:?} is no id of a switch"))?;
    let rate = rate.parse().map_err(|_| format!("{rate:?} is no rate"))?;
    Ok((switch, rate))
}

fn misbehave(text: &str) -> Result<(Manner, usize), String> {
    let (kind, count) = text.split_once(':').ok_or("a kind, a colon and how many")?;
    let manner = Manner::from_str(kind, false)?;
    let count = count.parse().map_err(|_| format!("{count:?} is no number"))?;
    Ok((manner, count))
}

/// A rate of something.
///
/// # Errors
/// It is none, with its name.
pub fn rate(name: &str, rate: f64) -> Result<f64, String> {
    within(name, rate, RATES.0, RATES.1)
}

/// The packet-ins that are asked for.
///
/// # Errors
/// Both, or too many.
pub fn packet_ins(per_second: Option<f64>, in_flight: Option<usize>) -> Result<PacketIns, String> {
    match (per_second, in_flight) {
        (None, None) => Ok(PacketIns::None),
        (Some(per_second), None) => Ok(PacketIns::Rate(rate("packet-in", per_second)?)),
        (None, Some(count)) => Ok(PacketIns::InFlight(within(
            "packet-in-flight",
            count,
            1,
            IN_FLIGHT_MAX,
        )?)),
        (Some(_), Some(_)) => Err("a rate or a number in flight, not both".to_owned()),
    }
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

/// The TLS that options ask for.
///
/// # Errors
/// A file that is not what it should be, with the option's name.
pub fn tls(args: &LoadArgs) -> Result<Option<Tls>, String> {
    let Some(ca) = args.ca.as_deref().filter(|_| args.tls) else {
        return Ok(None);
    };
    let own = args.cert.as_deref().zip(args.key.as_deref());
    Tls::new(ca, own, args.server_name.as_deref()).map(Some)
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
            Some(self::rate("connect-rate", rate)?)
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
    for (switch, per_second) in &args.flood {
        rate("flood", *per_second)?;
        within("flood", *switch, args.first_id, args.first_id + switches as u64 - 1)?;
    }
    for (_, count) in &args.misbehave {
        within("misbehave", *count, 1, SWITCHES_MAX)?;
    }
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
        packet_ins: packet_ins(args.packet_in, args.packet_in_flight)?,
        packets: args.packets,
        packet_bytes: within("packet-bytes", args.packet_bytes, *BYTES.start(), *BYTES.end())?,
        hosts: within("hosts", args.hosts, 1, HOSTS_MAX)?,
        floods: args.flood.clone(),
        flap: args.flap.map(|per_second| rate("flap", per_second)).transpose()?,
        misbehave: args.misbehave.clone(),
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
