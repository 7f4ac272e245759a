//! The delay line between two bridges.

use std::time::Duration;

use anyhow::{Result, ensure};
use skerry_tests::delay::DelayLine;
use skerry_tests::packet::{Kind, Stream, Tag};
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Ovs, Root, Tap};
use crate::Test;
use crate::bench::{Bench, LINK, LINK_PORT};

pub const TESTS: &[Test] = &[
    Test(
        "delay::a_tagged_packet_takes_the_set_delay_each_way",
        &[Root, Ovs, Tap],
        a_tagged_packet_takes_the_set_delay_each_way,
    ),
    Test(
        "delay::a_cut_link_loses_all_and_a_joined_one_nothing",
        &[Root, Ovs, Tap],
        a_cut_link_loses_all_and_a_joined_one_nothing,
    ),
    Test(
        "delay::a_pulled_cable_shows_at_both_ports",
        &[Root, Ovs, Tap],
        a_pulled_cable_shows_at_both_ports,
    ),
    Test(
        "delay::a_wrong_command_is_refused_by_name",
        &[Root, Ovs, Tap],
        a_wrong_command_is_refused_by_name,
    ),
    Test(
        "delay::the_log_tells_what_each_discovery_packet_took",
        &[Root, Ovs, Tap],
        the_log_tells_what_each_discovery_packet_took,
    ),
    Test(
        "delay::a_restarted_switch_has_its_links_again",
        &[Root, Ovs, Tap],
        a_restarted_switch_has_its_links_again,
    ),
];

/// How far the median may be off: a tenth of the delay, and what a busy machine adds.
fn about(measured_ns: u64, expected: Duration) -> bool {
    let expected_ns = expected.as_nanos() as u64;
    measured_ns >= expected_ns && measured_ns <= expected_ns + expected_ns / 10 + 300_000
}

fn a_tagged_packet_takes_the_set_delay_each_way() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(3))?;
    bench.connect()?;
    bench.b.echo(true)?;
    let tags = [Tag::c(100)];
    let ping = bench.a.ping(1, &tags, 200, 200)?;
    ensure!(ping.sent == 200 && ping.lost == 0, "{ping:?}");
    let there = bench.b.received(1, Kind::Ask, &tags)?;
    ensure!(there.numbers.len() == 200 && there.wrong_payload == 0, "{there:?}");
    let stats = bench.delay.stats(LINK)?;
    for direction in [&stats.a_to_b, &stats.b_to_a] {
        ensure!(
            direction.frames == 200 && about(direction.median_ns, Duration::from_millis(3)),
            "{stats:?}"
        );
    }
    // The hosts see no less than both ways together.
    ensure!(ping.answers.min_ns >= 6_000_000, "{ping:?}");

    let (there, back) = (Duration::from_millis(12), Duration::from_millis(5));
    bench.delay.set(LINK, there, back)?;
    bench.delay.reset(LINK)?;
    let ping = bench.a.ping(2, &tags, 100, 200)?;
    ensure!(ping.lost == 0 && ping.answers.min_ns >= 17_000_000, "{ping:?}");
    let stats = bench.delay.stats(LINK)?;
    ensure!(
        about(stats.a_to_b.median_ns, there) && about(stats.b_to_a.median_ns, back),
        "{stats:?}"
    );
    Ok(())
}

fn a_cut_link_loses_all_and_a_joined_one_nothing() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    bench.connect()?;
    bench.delay.cut(LINK)?;
    bench.a.send_stream(Stream::new(1, &[], 1_000).count(50))?;
    bench.a.finish(1, DEADLINE)?;
    wait::until("50 frames dropped", DEADLINE, || match bench.delay.stats(LINK) {
        Ok(stats) if stats.a_to_b.dropped_cut == 50 => Ok(()),
        seen => Err(format!("{seen:?}")),
    })?;
    ensure!(bench.b.arrivals(1)?.is_empty());
    bench.delay.join(LINK)?;
    bench.a.send_stream(Stream::new(2, &[], 1_000).count(50))?;
    let arrived = bench.b.settled(2, Kind::Data, &[], 50, DEADLINE)?;
    ensure!(arrived.numbers.len() == 50, "{arrived:?}");
    ensure!(bench.b.arrivals(1)?.is_empty());
    Ok(())
}

fn a_pulled_cable_shows_at_both_ports() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    for (up, state) in [(false, "LINK_DOWN"), (true, "LIVE"), (false, "LINK_DOWN")] {
        bench.delay.carrier(LINK, up)?;
        for bridge in ["s1", "s2"] {
            wait::until(&format!("{bridge}: port 1 {state}"), DEADLINE, || {
                let text = bench
                    .ovs
                    .ofctl(&["dump-ports-desc", bridge])
                    .map_err(|error| error.to_string())?;
                let port = text.lines().map(str::trim).skip_while(|line| !line.starts_with("1("));
                let line = port.clone().find(|line| line.starts_with("state:")).unwrap_or_default();
                if line.contains(state) { Ok(()) } else { Err(text) }
            })?;
        }
    }
    Ok(())
}

fn a_wrong_command_is_refused_by_name() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    let error = bench.delay.cut("nowhere").expect_err("no such pair").to_string();
    ensure!(error.contains("no pair \\\"nowhere\\\""), "{error}");
    let error = bench
        .delay
        .set(LINK, Duration::from_secs(60), Duration::ZERO)
        .expect_err("too long")
        .to_string();
    ensure!(error.contains("at most"), "{error}");
    // It goes on after an error.
    bench.delay.stats(LINK).map(drop)
}

/// A discovery packet as far as the log is concerned: Ethernet, IPv4, UDP to 61231.
fn discovery(payload: &str) -> String {
    let mut packet = vec![0xff; 6];
    packet.extend([2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0]);
    packet.extend((28 + payload.len() as u16).to_be_bytes());
    packet.extend([
        0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0xf0, 0, 0xef, 0x2f,
    ]);
    packet.extend((8 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload.as_bytes());
    hex(&packet)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn the_log_tells_what_each_discovery_packet_took() -> Result<()> {
    let one_way = Duration::from_millis(4);
    let bench = Bench::new(one_way)?;
    let log = bench.lab.folder().join("crossings.jsonl");
    bench.delay.log_to(&log)?;
    ensure!(bench.delay.log_to(&log).is_err(), "a second log");
    for nonce in ["first", "second"] {
        let packet = format!("packet={}", discovery(nonce));
        let out = format!("in_port=controller,{packet},actions=output:{LINK_PORT}");
        bench.ovs.ofctl(&["packet-out", "s1", &out])?;
    }
    let crossings = wait::until("two crossings in the log", DEADLINE, || {
        match DelayLine::read_log(&log) {
            Ok(crossings) if crossings.len() == 2 => Ok(crossings),
            seen => Err(format!("{seen:?}")),
        }
    })?;
    for (crossing, nonce) in crossings.iter().zip(["first", "second"]) {
        ensure!(
            crossing.pair == LINK && crossing.a_to_b && crossing.udp_port == 61_231,
            "{crossing:?}"
        );
        ensure!(crossing.payload == hex(nonce.as_bytes()), "{crossing:?}");
        ensure!(
            crossing.written_ns - crossing.received_ns >= one_way.as_nanos() as u64,
            "{crossing:?}"
        );
    }
    Ok(())
}

fn a_restarted_switch_has_its_links_again() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    bench.connect()?;
    bench.b.echo(true)?;
    ensure!(bench.a.ping(1, &[], 20, 500)?.lost == 0);
    bench.ovs.kill_vswitchd()?;
    bench.ovs.restart_vswitchd()?;
    bench.a.send_stream(Stream::new(2, &[], 1_000).count(20))?;
    let arrived = bench.b.settled(2, Kind::Data, &[], 20, Duration::from_millis(500))?;
    ensure!(arrived.received == 0, "forwarded without rules: {arrived:?}");
    bench.connect()?;
    let ping = bench.a.ping(3, &[], 20, 500)?;
    ensure!(ping.lost == 0, "{ping:?}");
    Ok(())
}
