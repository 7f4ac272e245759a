//! The packet tool counts right what arrives, and what does not.

use std::time::Duration;

use anyhow::{Result, ensure};
use skerry_tests::packet::{Kind, Stream, Tag};
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Ovs, Root, Tap};
use crate::Test;
use crate::bench::{Bench, HOST_PORT, LINK, LINK_PORT};

pub const TESTS: &[Test] = &[
    Test(
        "packets::qinq_frames_pass_unchanged",
        &[Root, Ovs, Tap],
        qinq_frames_pass_unchanged,
    ),
    Test(
        "packets::a_duplicating_switch_is_found",
        &[Root, Ovs, Tap],
        a_duplicating_switch_is_found,
    ),
    Test(
        "packets::exactly_the_lost_numbers_are_missing",
        &[Root, Ovs, Tap],
        exactly_the_lost_numbers_are_missing,
    ),
    Test(
        "packets::ten_thousand_at_two_thousand_a_second_arrive_once",
        &[Root, Ovs, Tap],
        ten_thousand_arrive_once,
    ),
    Test(
        "packets::a_changed_tag_is_told_apart",
        &[Root, Ovs, Tap],
        a_changed_tag_is_told_apart,
    ),
    Test(
        "packets::a_stream_number_is_used_once",
        &[Root, Ovs, Tap],
        a_stream_number_is_used_once,
    ),
];

/// Silence after which nothing more is expected on a link of a millisecond.
const QUIET: Duration = Duration::from_secs(2);

fn qinq_frames_pass_unchanged() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    bench.connect()?;
    bench.b.echo(true)?;
    let cases: [&[Tag]; 4] = [
        &[],
        &[Tag::c(100)],
        &[Tag::s(200), Tag::c(100)],
        &[
            Tag::c(7),
            Tag {
                priority: 6,
                ..Tag::c(8)
            },
        ],
    ];
    for (number, tags) in cases.into_iter().enumerate() {
        let stream = number as u32 * 2;
        let ping = bench.a.ping(stream, tags, 20, 500)?;
        ensure!(ping.lost == 0 && ping.answers.wrong_payload == 0, "{tags:?}: {ping:?}");
        // Nothing of the stream came with other tags.
        let arrivals = bench.b.arrivals(stream)?;
        ensure!(
            arrivals.len() == 1 && arrivals[0].tags == tags,
            "{tags:?}: {arrivals:?}"
        );
        let longest = Stream {
            length: 1_514,
            ..Stream::new(stream + 1, tags, 500).count(20)
        };
        bench.a.send_stream(longest)?;
        let arrived = bench.b.settled(stream + 1, Kind::Data, tags, 20, DEADLINE)?;
        ensure!(
            arrived.numbers.len() == 20 && arrived.wrong_payload == 0,
            "{tags:?}: {arrived:?}"
        );
    }
    Ok(())
}

fn a_duplicating_switch_is_found() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    bench.connect()?;
    let twice = format!("in_port={LINK_PORT},actions=output:{HOST_PORT},output:{HOST_PORT}");
    bench.ovs.ofctl(&["add-flow", "s2", &twice])?;
    bench.a.send_stream(Stream::new(1, &[], 1_000).count(100))?;
    let sent = bench.a.finish(1, DEADLINE)?;
    let arrived = wait::until("200 packets", DEADLINE, || match bench.b.received(1, Kind::Data, &[]) {
        Ok(arrived) if arrived.received == 200 => Ok(arrived),
        seen => Err(format!("{seen:?}")),
    })?;
    ensure!(
        sent == 100 && arrived.duplicates == 100 && arrived.numbers.len() == 100,
        "{arrived:?}"
    );
    Ok(())
}

fn exactly_the_lost_numbers_are_missing() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    bench.connect()?;
    bench.a.send_stream(Stream::new(1, &[], 1_000))?;
    let beyond = |number: u64| {
        wait::until(&format!("packet {number} sent"), DEADLINE, || match bench.a.mark(1) {
            Ok(sent) if sent.next >= number => Ok(sent.next),
            seen => Err(format!("{seen:?}")),
        })
    };
    beyond(300)?;
    bench.delay.cut(LINK)?;
    let during = bench.a.mark(1)?.next;
    let last = beyond(during + 300)?;
    bench.delay.join(LINK)?;
    let after = bench.a.mark(1)?.next;
    beyond(after + 300)?;
    let sent = bench.a.stop(1)?;
    let dropped = bench.delay.stats(LINK)?.a_to_b.dropped_cut;
    let arrived = bench.b.settled(1, Kind::Data, &[], sent, QUIET)?;
    let missing = arrived.numbers.missing_in(0..sent);
    ensure!(missing.len() == 1, "one hole, not {missing:?}");
    let hole = missing[0].clone();
    ensure!(
        hole.end - hole.start == dropped,
        "the link dropped {dropped}, the hole is {hole:?}"
    );
    // On the wire between cut and join: all between the marks, and little around them.
    ensure!(
        hole.start <= during && hole.end >= last && hole.end <= after + 64,
        "hole {hole:?}, marks {during} {last} {after}"
    );
    ensure!(arrived.duplicates == 0 && arrived.reordered == 0, "{arrived:?}");
    Ok(())
}

fn ten_thousand_arrive_once() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(2))?;
    bench.connect()?;
    let tags = [Tag::c(100)];
    let begin = std::time::Instant::now();
    bench.a.send_stream(Stream::new(1, &tags, 2_000).count(10_000))?;
    let sent = bench.a.finish(1, DEADLINE)?;
    let took = begin.elapsed();
    let arrived = bench.b.settled(1, Kind::Data, &tags, sent, QUIET)?;
    let stats = bench.delay.stats(LINK)?;
    ensure!(
        arrived.numbers.len() == sent && arrived.received == sent,
        "of {sent}: {arrived:?}\n{stats:?}"
    );
    // Not faster than asked; slower only as far as the machine was busy.
    ensure!(took >= Duration::from_millis(4_900), "{took:?}");
    Ok(())
}

fn a_changed_tag_is_told_apart() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    bench.connect()?;
    let swap = format!("priority=40000,in_port={LINK_PORT},dl_vlan=100,actions=mod_vlan_vid:200,output:{HOST_PORT}");
    bench.ovs.ofctl(&["add-flow", "s2", &swap])?;
    bench.a.send_stream(Stream::new(1, &[Tag::c(100)], 500).count(10))?;
    let arrived = bench.b.settled(1, Kind::Data, &[Tag::c(200)], 10, DEADLINE)?;
    ensure!(arrived.numbers.len() == 10, "{arrived:?}");
    ensure!(bench.b.received(1, Kind::Data, &[Tag::c(100)])?.received == 0);
    Ok(())
}

fn a_stream_number_is_used_once() -> Result<()> {
    let bench = Bench::new(Duration::from_millis(1))?;
    bench.a.send_stream(Stream::new(1, &[], 100))?;
    let error = bench
        .a
        .send_stream(Stream::new(1, &[], 100))
        .expect_err("used")
        .to_string();
    ensure!(error.contains("was sent already"), "{error}");
    let first = bench.a.stop(1)?;
    // Its end is final.
    ensure!(bench.a.stop(1)? == first && bench.a.mark(1)?.ended);
    let error = bench.a.mark(2).expect_err("unknown").to_string();
    ensure!(error.contains("never sent"), "{error}");
    bench.lab.teardown()
}
