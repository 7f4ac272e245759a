//! Random inputs with the invariants checked: nothing panics, others are untouched, every command ends exactly once.
//! Every failure names its seed.

use bytes::{Bytes, BytesMut};
use ofproto::*;
use skerry_bus::{CommandBody, DesiredChange, Generation, Outcome, RegionEventBody, SwitchId, Term, topic};
use skerry_speaker_core::{ConnId, Input};

use super::model::{Effect, Model};
use super::world::*;

/// A small generator (xorshift), so that a seed gives the same run everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

fn frame(body: Body) -> Bytes {
    Message::new(7, body).to_bytes().expect("fits")
}

/// What a switch may say, valid.
fn sayings(dpid: u64) -> Vec<Bytes> {
    let mut model = Model::new(dpid, 3);
    let hello = model.connect(1);
    let mut said = vec![hello];
    let asked = [
        Body::FeaturesRequest,
        Body::MultipartRequest(MultipartRequest::new(MultipartRequestBody::Desc)),
        Body::MultipartRequest(MultipartRequest::new(MultipartRequestBody::PortDesc)),
        Body::RoleRequest(RoleMsg {
            role: ControllerRole::NOCHANGE,
            generation_id: 0,
        }),
        Body::BarrierRequest,
        Body::MultipartRequest(MultipartRequest::new(MultipartRequestBody::Flow(
            FlowStatsRequest::all(),
        ))),
    ];
    for body in asked {
        for effect in model.read(1, &frame(body)) {
            if let Effect::Reply(_, bytes) = effect {
                said.push(bytes);
            }
        }
    }
    for effect in model.set_port(2, false) {
        if let Effect::Reply(_, bytes) = effect {
            said.push(bytes);
        }
    }
    let status = RoleStatus {
        role: ControllerRole::SLAVE,
        reason: RoleReason::CONFIG,
        generation_id: 3,
    };
    said.push(frame(Body::Experimenter(status.to_experimenter())));
    said.push(frame(Body::Error(ErrorMsg {
        kind: ErrorType::BAD_REQUEST,
        code: 10,
        data: Bytes::from_static(b"what it was about"),
    })));
    said.push(frame(Body::PacketIn(PacketIn {
        buffer_id: NO_BUFFER,
        total_len: 60,
        reason: PacketInReason::ACTION,
        table_id: TableId(0),
        cookie: 1,
        matching: Match::new().with(Oxm::in_port(PortNo(1))),
        data: Bytes::from(vec![0; 60]),
    })));
    said
}

fn mutate(random: &mut Random, bytes: &Bytes) -> Bytes {
    let mut out = BytesMut::from(bytes.as_ref());
    for _ in 0..=random.next(3) {
        let len = out.len() as u64;
        if len == 0 {
            break;
        }
        let at = random.next(len) as usize;
        match random.next(4) {
            0 => out[at] = random.next(256) as u8,
            1 => out[at] ^= 1 << random.next(8),
            2 => out.truncate(at),
            // A length that is not true.
            _ => out[at.clamp(2, 3) % len as usize] = random.next(256) as u8,
        }
    }
    out.freeze()
}

#[test]
fn malformed_frames_end_their_own_connection_at_most() {
    let mut world = active();
    let said = sayings(0);
    let mut random = Random(0x5eed_0001);
    for n in 0..20_000u64 {
        let conn = world.accept(0);
        // Valid ones up to some point, then one that is not, then whatever comes.
        let good = random.next(6) as usize;
        for (k, bytes) in said.iter().enumerate().take(good) {
            if k == 1 {
                let mut features = BytesMut::from(bytes.as_ref());
                features[8..16].copy_from_slice(&(1_000 + n).to_be_bytes());
                // Our second message asks for the features.
                features[4..8].copy_from_slice(&2u32.to_be_bytes());
                world.bytes(0, conn, features.freeze());
            } else {
                let mut answer = BytesMut::from(bytes.as_ref());
                let xid = [1, 2, 3, 4, 4, 6, 7][k.min(6)];
                answer[4..8].copy_from_slice(&u32::to_be_bytes(xid));
                world.bytes(0, conn, answer.freeze());
            }
        }
        let which = random.next(said.len() as u64) as usize;
        let bad = mutate(&mut random, &said[which]);
        world.bytes(0, conn, bad);
        let which = random.next(said.len() as u64) as usize;
        world.bytes(0, conn, said[which].clone());
        let reason = "test ends it".to_owned();
        let conn = ConnId(conn);
        world.input(0, Input::Closed { conn, reason });
        world.speakers[0].facts.clear();
        world.written(0, conn.0);
    }
    world.desired(0, "after", 1, 1, 1, snapshot(rules(3)));
    world.run(100 * MS);
    assert_eq!(
        world.ended(0, "after"),
        (Outcome::Applied, None),
        "the other session is untouched"
    );
}

#[test]
fn malformed_frames_of_an_announced_switch_harm_nobody_else() {
    let mut world = active();
    let said = sayings(2);
    let mut random = Random(0x5eed_0002);
    for _ in 0..2_000 {
        if !world.switches.contains_key(&2) {
            world.add_switch(2, 3);
        }
        let conn = world.connect(2, 0);
        world.run(20 * MS);
        for _ in 0..5 {
            let which = random.next(said.len() as u64) as usize;
            let bad = mutate(&mut random, &said[which]);
            world.bytes(0, conn, bad);
        }
        let reason = "test ends it".to_owned();
        let closed = ConnId(conn);
        world.input(0, Input::Closed { conn: closed, reason });
        world.model(2).disconnect(conn);
        world.speakers[0].events.clear();
    }
    world.desired(0, "after", 1, 1, 1, snapshot(rules(3)));
    world.run(100 * MS);
    assert_eq!(world.ended(0, "after"), (Outcome::Applied, None));
}

/// One run of random commands, faults and changes of the active region; then quiet.
fn run(seed: u64) {
    let mut random = Random(seed);
    let mut world = World::new(&["east", "west"]);
    for switch in 1..=2 {
        world.add_switch(switch, 2);
        world.connect(switch, 0);
        world.connect(switch, 1);
    }
    world.cable((1, 1), (2, 2), MS);
    world.run(50 * MS);
    let (mut term, mut generation) = (1, 0);
    let mut asked = Vec::new();
    for n in 0..60 {
        let speaker = random.next(2) as usize;
        let switch = random.next(2) + 1;
        let name = format!("c{n}");
        match random.next(14) {
            0 | 1 => {
                term += 1;
                let body = CommandBody::Activate {
                    switch: SwitchId(switch),
                    term: Term(term),
                };
                world.command(speaker, &name, 5 * SECOND, body);
                asked.push((speaker, name));
            }
            2 => {
                let body = CommandBody::Deactivate {
                    switch: SwitchId(switch),
                    term: Term(term),
                };
                world.command(speaker, &name, 5 * SECOND, body);
                asked.push((speaker, name));
            }
            3..=7 => {
                generation += 1;
                let change = if random.next(2) == 0 {
                    snapshot(rules(random.next(400)))
                } else {
                    DesiredChange::Delta {
                        base: Generation(generation - 1),
                        put: rules(random.next(400)),
                        remove: Default::default(),
                    }
                };
                let held = term - random.next(2);
                world.desired(speaker, &name, switch, held, generation, change);
                asked.push((speaker, name));
            }
            8 => {
                world.command(
                    speaker,
                    &name,
                    5 * SECOND,
                    CommandBody::Dump {
                        switch: SwitchId(switch),
                    },
                );
                asked.push((speaker, name));
            }
            9 => {
                // A connection is lost and made again.
                let lost = world
                    .conns
                    .iter()
                    .rev()
                    .find(|(_, c)| **c == (switch, speaker))
                    .map(|(conn, _)| *conn);
                let lost = lost.expect("there was one");
                let reason = "lost".to_owned();
                let conn = ConnId(lost);
                world.input(speaker, Input::Closed { conn, reason });
                world.model(switch).disconnect(lost);
                world.connect(switch, speaker);
            }
            10 => world.model(switch).quirks.no_barrier = true,
            11 => world.model(switch).quirks.refuse_priority = Some(100),
            12 => world.speakers[speaker].stopped = !world.speakers[speaker].stopped,
            _ => {
                world.model(switch).quirks = Default::default();
                let input = if random.next(2) == 0 {
                    Input::BusDown
                } else {
                    Input::BusUp
                };
                world.input(speaker, input);
            }
        }
        world.run(MS * random.next(40) as u32);
    }
    for switch in 1..=2 {
        world.model(switch).quirks = Default::default();
    }
    for speaker in 0..2 {
        world.speakers[speaker].stopped = false;
        world.input(speaker, Input::BusUp);
    }
    world.run(40 * SECOND);
    for (speaker, name) in &asked {
        assert!(
            world.result(*speaker, name).is_some(),
            "seed {seed:#x}: {name} has no answer"
        );
    }
    for (speaker, process) in world.speakers.iter().enumerate() {
        for (partition, commit) in &process.commits {
            let read = asked.iter().filter(|(s, _)| *s == speaker).count();
            assert!(*commit <= read as i64, "seed {seed:#x}: partition {partition}");
        }
        let committed: i64 = process.commits.values().sum();
        let read = asked.iter().filter(|(s, _)| *s == speaker).count() as i64;
        assert_eq!(committed, read, "seed {seed:#x}: every record is committed in the end");
    }
    // Nothing of it keeps a healthy region from working.
    term += 100;
    for switch in 1..=2 {
        world.activate(0, switch, term);
        world.run(100 * MS);
        let name = format!("last-{switch}");
        world.desired(0, &name, switch, term, generation + 10, snapshot(rules(7)));
        world.run(SECOND);
        assert_eq!(world.ended(0, &name), (Outcome::Applied, None), "seed {seed:#x}");
        assert_eq!(world.model(switch).flows.len(), 7, "seed {seed:#x}");
        let partition = topic::partition_of(&SwitchId(switch).to_string(), 4);
        assert!(world.speakers[0].commits.contains_key(&partition));
    }
}

#[test]
fn every_command_ends_once_whatever_happens() {
    for seed in 1..=150 {
        run(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
    }
}

#[test]
fn an_applied_answer_is_never_given_for_what_the_switch_refused() {
    // Whatever is answered `applied` stood on the switch at that moment: two writers, one switch, terms growing.
    for seed in 1..=50u64 {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut world = World::new(&["east", "west"]);
        world.add_switch(1, 1);
        world.connect(1, 0);
        world.connect(1, 1);
        world.run(50 * MS);
        for n in 1..=20u64 {
            let speaker = random.next(2) as usize;
            world.activate(speaker, 1, n);
            let name = format!("d{n}");
            let count = random.next(300) + 1;
            world.desired(speaker, &name, 1, n, n, snapshot(rules(count)));
            world.run(MS * random.next(12) as u32);
        }
        world.run(SECOND);
        let applied: Vec<u64> = (0..2)
            .flat_map(|s| {
                world.told(s, 0, |b| match b {
                    RegionEventBody::CommandResult { result } if result.outcome == Outcome::Applied => {
                        result.generation.map(|g| g.0)
                    }
                    _ => None,
                })
            })
            .collect();
        let last = (0..2).any(|s| world.result(s, "d20").is_some_and(|r| r.outcome == Outcome::Applied));
        assert!(
            last,
            "seed {seed}: the newest term is not disturbed by older ones ({applied:?})"
        );
        // No write was taken from a connection that was not MASTER: the model refuses those, and says so.
        let refused = world
            .model(1)
            .errors
            .iter()
            .filter(|e| e.kind == ErrorType::BAD_REQUEST)
            .count();
        let lost: usize = (0..2)
            .map(|s| {
                world
                    .told(s, 0, |b| matches!(b, RegionEventBody::LostRole { .. }).then_some(()))
                    .len()
            })
            .sum();
        assert!(
            refused == 0 || lost > 0,
            "seed {seed}: who is refused learns that the role is lost"
        );
    }
}
