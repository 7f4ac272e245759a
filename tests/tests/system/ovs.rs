//! The private Open vSwitch.

use anyhow::{Result, ensure};
use skerry_tests::lab::{End, Lab};
use skerry_tests::ovs::{Controllers, Ovs};

use crate::Need::{Ovs as OpenVSwitch, Root};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "ovs::dumps_show_what_was_written",
        &[Root, OpenVSwitch],
        dumps_show_what_was_written,
    ),
    Test(
        "ovs::a_killed_switch_comes_back_empty",
        &[Root, OpenVSwitch],
        a_killed_switch_comes_back_empty,
    ),
    Test(
        "ovs::controllers_are_set_and_replaced",
        &[Root, OpenVSwitch],
        controllers_are_set_and_replaced,
    ),
    Test(
        "ovs::the_dummy_datapath_needs_no_namespace",
        &[OpenVSwitch],
        the_dummy_datapath_needs_no_namespace,
    ),
];

fn one_bridge(lab: &Lab) -> Result<Ovs> {
    lab.add_netns("switches")?;
    lab.add_netns("host")?;
    lab.veth(End::new("host", "eth0"), End::new("switches", "port"))?;
    let ovs = Ovs::start(lab, "switches")?;
    ovs.add_bridge("s1", 0xa1, &Controllers::new::<String>([]))?;
    ovs.add_port("s1", "port", 7)?;
    Ok(ovs)
}

fn dumps_show_what_was_written() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let ovs = one_bridge(&lab)?;
    ensure!(ovs.dump_flows("s1")?.is_empty() && ovs.dump_groups("s1")?.is_empty() && ovs.dump_meters("s1")?.is_empty());
    let before = ovs.ofctl(&["show", "s1"])?;
    ensure!(before.contains("dpid:00000000000000a1"), "{before}");
    ovs.ofctl(&[
        "add-meter",
        "s1",
        "meter=3,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=100",
    ])?;
    ovs.ofctl(&["add-group", "s1", "group_id=2,type=all,bucket=output:7,bucket=in_port"])?;
    ovs.ofctl(&[
        "add-flow",
        "s1",
        "cookie=0x5,table=1,priority=9,in_port=7,actions=group:2",
    ])?;
    ovs.ofctl(&["add-flow", "s1", "cookie=0x4,in_port=7,actions=meter:3,goto_table:1"])?;
    let flows = ovs.dump_flows("s1")?;
    ensure!(
        flows
            == [
                "cookie=0x4, table=0, in_port=7 actions=meter:3,goto_table:1",
                "cookie=0x5, table=1, priority=9,in_port=7 actions=group:2"
            ],
        "{flows:?}"
    );
    let groups = ovs.dump_groups("s1")?;
    ensure!(
        groups.len() == 1 && groups[0].starts_with("group_id=2,type=all,bucket="),
        "{groups:?}"
    );
    let meters = ovs.dump_meters("s1")?;
    ensure!(
        meters == ["meter=3 kbps burst stats bands= type=drop rate=1000 burst_size=100"],
        "{meters:?}"
    );
    Ok(())
}

fn a_killed_switch_comes_back_empty() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let ovs = one_bridge(&lab)?;
    ovs.ofctl(&["add-flow", "s1", "in_port=7,actions=drop"])?;
    ovs.kill_vswitchd()?;
    ensure!(ovs.ofctl(&["show", "s1"]).is_err(), "it answers after its death");
    ovs.restart_vswitchd()?;
    ensure!(ovs.dump_flows("s1")?.is_empty());
    let ports = ovs.ofctl(&["show", "s1"])?;
    ensure!(ports.contains(" 7("), "{ports}");
    ovs.stop()
}

fn controllers_are_set_and_replaced() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let ovs = one_bridge(&lab)?;
    // Nobody listens there: the namespace is private.
    ovs.set_controllers("s1", &Controllers::new(["tcp:127.0.0.1:6653", "tcp:127.0.0.1:6654"]))?;
    let states = ovs.controllers("s1")?;
    ensure!(
        states.len() == 2 && states.iter().all(|state| !state.connected),
        "{states:?}"
    );
    ovs.set_controllers(
        "s1",
        &Controllers {
            inactivity_probe_ms: 700,
            ..Controllers::new(["tcp:127.0.0.1:6655"])
        },
    )?;
    let states = ovs.controllers("s1")?;
    ensure!(
        states.len() == 1 && states[0].target == "tcp:127.0.0.1:6655",
        "{states:?}"
    );
    let probe = ovs.vsctl(&["--columns=inactivity_probe,max_backoff", "list", "controller"])?;
    ensure!(probe.contains("700") && probe.contains("1000"), "{probe}");
    ovs.set_controllers("s1", &Controllers::new::<String>([]))?;
    ensure!(ovs.controllers("s1")?.is_empty());
    Ok(())
}

fn the_dummy_datapath_needs_no_namespace() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let ovs = Ovs::start_dummy(&lab)?;
    for number in 1..=20_u64 {
        let bridge = format!("s{number}");
        ovs.add_bridge(&bridge, number, &Controllers::new::<String>([]))?;
        ovs.add_dummy_port(&bridge, &format!("p{number}"), 4, None)?;
    }
    ovs.ofctl(&["add-flow", "s20", "in_port=4,actions=in_port"])?;
    ensure!(ovs.dump_flows("s20")?.len() == 1 && ovs.dump_flows("s19")?.is_empty());
    Ok(())
}
