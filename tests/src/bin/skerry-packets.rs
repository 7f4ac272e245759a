//! Sends, counts and echoes numbered, tagged packets on an interface; see the module `packet`.

use std::net::Ipv4Addr;

use clap::Parser;
use skerry_tests::packet::{engine, sender::Addresses};

/// Sends, counts and echoes numbered packets; requests are JSON lines on standard input.
#[derive(Parser)]
struct Arguments {
    /// The interface.
    interface: String,
    /// IPv4 address that packets come from.
    #[arg(long, default_value = "198.18.0.1")]
    from: Ipv4Addr,
    /// IPv4 address that packets go to.
    #[arg(long, default_value = "198.18.0.2")]
    to: Ipv4Addr,
}

fn main() -> anyhow::Result<()> {
    let Arguments { interface, from, to } = Arguments::parse();
    let mac = |address: Ipv4Addr| {
        let [a, b, c, d] = address.octets();
        [2, 0, a, b, c, d]
    };
    let addresses = Addresses {
        macs: [mac(to), mac(from)],
        addresses: [from.octets(), to.octets()],
    };
    engine::serve(&interface, addresses)
}
