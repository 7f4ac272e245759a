//! What holds of a simulated switch whatever controllers say.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// The seed unless `PROPTEST_RNG_SEED` says another.
const SEED: u64 = 0x5eed_0005;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Proptest with a fixed seed, which is printed.
fn runner(test: &str) -> TestRunner {
    let seed = from_environment("PROPTEST_RNG_SEED").unwrap_or(SEED);
    let cases = from_environment("PROPTEST_CASES").map_or(512, |cases| cases as u32);
    println!("{test}: seed {seed}, {cases} cases");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[test]
fn no_bytes_of_a_controller_do_harm() {
    let body = prop::collection::vec(any::<u8>(), 0..80);
    let frames = prop::collection::vec((0u8..=31, body), 0..40);
    let law = |(frames, cut): (Vec<(u8, Vec<u8>)>, usize)| {
        let mut world = World::new();
        let mut stream = Vec::new();
        for (kind, body) in &frames {
            stream.extend([4, *kind]);
            stream.extend((8 + body.len() as u16).to_be_bytes());
            stream.extend([0, 0, 0, 1]);
            stream.extend(body);
        }
        for part in stream.chunks(cut) {
            let part = Bytes::copy_from_slice(part);
            world.switch.handle_input(world.now, Input::Received(A, part));
        }
        // All it says can be read, and the other controller is served.
        world.said();
        prop_assert_eq!(world.answers(B, Body::BarrierRequest), [Body::BarrierReply]);
        Ok(())
    };
    runner("no_bytes_of_a_controller_do_harm")
        .run(&(frames, 1usize..50), law)
        .expect("holds");
}

#[test]
fn messages_with_a_byte_changed_do_no_harm() {
    let rule = |port| {
        add(
            7,
            in_port(port).with(Oxm::vlan_vid(9)),
            vec![Action::PopVlan, Action::output(PortNo(2))],
        )
    };
    let data = Bytes::from(Packet::tagged(&[1, 2], b"payload").to_bytes());
    let bodies = [
        Body::FlowMod(rule(1)),
        group(
            GroupModCommand::ADD,
            1,
            &[Action::output(PortNo(2)), Action::to_controller()],
        ),
        meter(MeterModCommand::ADD, 1),
        Body::PacketOut(PacketOut::new(vec![Action::output(PortNo::TABLE)], data)),
        Body::MultipartRequest(MultipartRequest::new(MultipartRequestBody::Flow(
            FlowStatsRequest::all(),
        ))),
        Body::MultipartRequest(MultipartRequest::new(MultipartRequestBody::GroupDesc)),
        Body::RoleRequest(RoleMsg {
            role: ControllerRole::SLAVE,
            generation_id: 3,
        }),
    ];
    let messages: Vec<Vec<u8>> = (1..)
        .zip(bodies)
        .map(|(xid, body)| Message::new(xid, body).to_bytes().expect("fits").to_vec())
        .collect();
    let steps = prop::collection::vec((0..messages.len(), any::<prop::sample::Index>(), any::<u8>()), 1..30);
    let law = |steps: Vec<(usize, prop::sample::Index, u8)>| {
        let mut world = World::new();
        for (which, at, byte) in steps {
            let mut message = messages[which].clone();
            let length = message.len();
            // Not the length of the frame: that would only end the stream.
            if let at @ (1 | 4..) = at.index(length) {
                message[at] = byte;
            }
            world
                .switch
                .handle_input(world.now, Input::Received(A, Bytes::from(message)));
            world.said();
            let _ = world.packet(1, &[9]);
        }
        prop_assert_eq!(world.answers(B, Body::BarrierRequest), [Body::BarrierReply]);
        Ok(())
    };
    runner("messages_with_a_byte_changed_do_no_harm")
        .run(&steps, law)
        .expect("holds");
}

#[test]
fn whatever_is_written_nothing_names_what_does_not_stand() {
    let steps = prop::collection::vec((0u8..8, 0u32..5, 0u32..5, 0u16..3), 0..60);
    let law = |steps: Vec<(u8, u32, u32, u16)>| {
        let mut world = World::new();
        for (what, id, other, priority) in steps {
            let to_group = vec![Action::Group(GroupId(other))];
            let mut metered = add(priority, in_port(id), to_group.clone());
            metered.instructions.insert(0, Instruction::Meter(MeterId(other)));
            let body = match what {
                0 => group(GroupModCommand::ADD, id, &[Action::output(PortNo(1))]),
                1 => group(GroupModCommand::ADD, id, &to_group),
                2 => group(GroupModCommand::MODIFY, id, &to_group),
                3 => group(GroupModCommand::DELETE, id, &[]),
                4 => meter(MeterModCommand::ADD, id),
                5 => meter(MeterModCommand::DELETE, id),
                6 => Body::FlowMod(add(priority, in_port(id), to_group)),
                _ => Body::FlowMod(metered),
            };
            world.ask(A, body);
            world.said();
            let tables = &world.switch.tables;
            let objects = tables.objects();
            let stands = |id: u32| objects.groups.contains_key(&id);
            for rule in objects.rules.values() {
                prop_assert!(rule.meter.is_none_or(|id| tables.meters().contains_key(&id)));
                let named = rule.apply.iter().filter_map(|action| match action {
                    skerry_bus::Action::Group(id) => Some(*id),
                    _ => None,
                });
                prop_assert!(named.into_iter().all(stands));
            }
            prop_assert!(objects.groups.values().all(|g| g.refers_to().all(stands)));
            let count = objects.rules.len();
            // A packet ends, however groups are chained.
            world.packet(1, &[]);
            prop_assert_eq!(world.rules().len(), count);
        }
        Ok(())
    };
    runner("whatever_is_written_nothing_names_what_does_not_stand")
        .run(&steps, law)
        .expect("holds");
}
