//! Requests that cannot be done: each answer names field and cause, and neither router nor switches are changed.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skerry_bus::api::{OperationState, OperationView};
use skerry_bus::service::FlowStatus;
use skerry_tests::daemons::{ANY_PORT, Daemons};
use skerry_tests::lab::Lab;
use skerry_tests::rest::Rest;

use crate::Need::Ovs as OpenVSwitch;
use crate::world::{REGION, World, endpoint, flow, problem, switch_id, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test(
        "bad_request::what_cannot_be_read_is_told_by_field_and_cause",
        &[],
        unreadable,
    ),
    Test(
        "bad_request::a_flow_whose_endpoint_is_not_there_or_taken_changes_nothing",
        &[OpenVSwitch],
        endpoints,
    ),
    Test(
        "bad_request::a_mirror_or_join_point_that_does_not_fit_changes_nothing",
        &[OpenVSwitch],
        points,
    ),
    Test(
        "bad_request::a_dry_run_does_nothing_and_the_same_twice_is_once",
        &[OpenVSwitch],
        dry_runs_and_repeats,
    ),
];

/// Method, path, body; status, kind; pointer of the field if one is to be named; a part of its cause.
type Case<'a> = (&'a str, &'a str, &'a str, u16, &'a str, Option<&'a str>, &'a str);

fn check(rest: &Rest, case: &Case) -> Result<()> {
    let (method, path, body, status, kind, pointer, cause) = *case;
    let bytes = (!matches!(method, "GET" | "DELETE")).then_some(body.as_bytes());
    let shown: String = body.chars().take(200).collect();
    let told = || format!("{method} {path} {shown}");
    let answer = rest.ask(method, path, bytes).with_context(told)?;
    let (fields, detail) = problem(&answer, status, kind).with_context(told)?;
    match pointer {
        Some(pointer) => {
            let named = fields.iter().any(|(at, why)| at == pointer && why.contains(cause));
            ensure!(named, "{}: {pointer} with {cause:?} is expected in {fields:?}", told());
        }
        None => ensure!(
            detail.contains(cause),
            "{}: {cause:?} is expected in {detail:?}",
            told()
        ),
    }
    Ok(())
}

fn unreadable() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    let _broker = daemons.broker()?;
    let router = daemons.router(&[REGION], ANY_PORT, "")?;
    let rest = daemons.rest(&router);

    let good = json!({ "source": endpoint(1, 10, 100), "destination": endpoint(2, 10, 200) });
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        let (at, field) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(Value::Object(fields)) = body.pointer_mut(at) {
            fields.insert(field.to_owned(), value);
        }
        body.to_string()
    };
    let unknown = with("/colour", json!("red"));
    let unknown_inside = with("/source/vlan", json!(5));
    let text_port = with("/source/port_number", json!("ten"));
    let text_bandwidth = with("/maximum_bandwidth", json!("fast"));
    let negative_vlan = with("/destination/vlan_id", json!(-1));
    let huge_vlan = with("/destination/vlan_id", json!(70_000));
    let strategy = with("/path_computation_strategy", json!("fastest"));
    let bad_switch = with("/source/switch_id", json!("s1"));
    let no_source = json!({ "destination": endpoint(2, 10, 200) }).to_string();
    let large = format!("{{\"description\": \"{}\"}}", "x".repeat(300 * 1024));
    let trailing = format!("{good} {{}}");
    let half = good.to_string()[..40].to_owned();
    let mirror = json!({
        "mirror_point_id": "tap", "mirror_point_direction": "sideways", "mirror_point_switch_id": switch_id(1),
        "sink_endpoint": endpoint(1, 11, 0),
    });
    let mirror = mirror.to_string();
    let (flow, body) = ("/v2/flows/acme", "unreadable-body");
    let cases: &[Case] = &[
        ("PUT", flow, "", 400, body, None, "EOF"),
        ("PUT", flow, "{\"source\":", 400, body, Some("/source"), "EOF"),
        ("PUT", flow, &half, 400, body, Some("/source/switch_id"), "EOF"),
        ("PUT", flow, "[1, 2]", 400, body, None, "invalid"),
        ("PUT", flow, &trailing, 400, body, None, "trailing characters"),
        ("PUT", flow, "\u{0}\u{1}", 400, body, None, "expected value"),
        ("PUT", flow, &no_source, 400, body, None, "missing field `source`"),
        (
            "PUT",
            flow,
            &unknown,
            400,
            body,
            Some("/colour"),
            "unknown field `colour`",
        ),
        (
            "PUT",
            flow,
            &unknown_inside,
            400,
            body,
            Some("/source/vlan"),
            "unknown field `vlan`",
        ),
        (
            "PUT",
            flow,
            &text_port,
            400,
            body,
            Some("/source/port_number"),
            "invalid type: string \"ten\"",
        ),
        (
            "PUT",
            flow,
            &text_bandwidth,
            400,
            body,
            Some("/maximum_bandwidth"),
            "invalid type: string \"fast\"",
        ),
        (
            "PUT",
            flow,
            &negative_vlan,
            400,
            body,
            Some("/destination/vlan_id"),
            "-1",
        ),
        (
            "PUT",
            flow,
            &huge_vlan,
            400,
            body,
            Some("/destination/vlan_id"),
            "70000",
        ),
        (
            "PUT",
            flow,
            &strategy,
            400,
            body,
            Some("/path_computation_strategy"),
            "unknown variant `fastest`",
        ),
        ("PUT", flow, &bad_switch, 400, body, Some("/source/switch_id"), "\"s1\""),
        ("PUT", flow, &large, 413, body, None, "262144 bytes"),
        (
            "PUT",
            "/v2/flows/acme/mirror",
            &mirror,
            400,
            body,
            Some("/mirror_point_direction"),
            "unknown variant",
        ),
        ("PUT", "/v2/flows/acme/join", "{}", 400, body, None, "missing field"),
        (
            "PATCH",
            "/v2/features",
            "{\"network_snyc\": true}",
            400,
            body,
            Some("/network_snyc"),
            "unknown field",
        ),
        (
            "PATCH",
            "/v2/features",
            "{\"network_sync\": 1}",
            400,
            body,
            Some("/network_sync"),
            "invalid type",
        ),
        ("PUT", "/v2/flows/a%20b", &good.to_string(), 400, "bad-id", None, "a b"),
        (
            "PUT",
            "/v2/flows/acme?dry_run=maybe",
            &good.to_string(),
            400,
            "bad-query",
            None,
            "dry_run",
        ),
        (
            "PUT",
            "/v2/flows/acme?dryrun=true",
            &good.to_string(),
            400,
            "bad-query",
            None,
            "dryrun",
        ),
        ("GET", "/v2/switches/one", "", 400, "bad-id", None, "one"),
        ("GET", "/v2/operations/first", "", 400, "bad-id", None, "first"),
        ("GET", "/v2/operations/7", "", 404, "not-found", None, "operation 7"),
        ("GET", "/v2/events/kept?since=now", "", 400, "bad-query", None, "since"),
        ("GET", "/v2/flows/nobody", "", 404, "not-found", None, "nobody"),
        ("DELETE", "/v2/flows/nobody", "", 404, "not-found", None, "nobody"),
        ("POST", "/v2/flows/nobody/reroute", "", 404, "not-found", None, "nobody"),
        (
            "GET",
            "/v2/switches/00:00:00:00:00:00:00:63",
            "",
            404,
            "not-found",
            None,
            "00:00:00:00:00:00:00:63",
        ),
        ("GET", "/v2/flow", "", 404, "not-found", None, "/v2/flow"),
        ("GET", "/v1/switches", "", 404, "not-found", None, "/v1/switches"),
        ("DELETE", "/v2/switches", "", 405, "method-not-allowed", None, "DELETE"),
        (
            "PUT",
            "/v2/status",
            "{}",
            405,
            "method-not-allowed",
            None,
            "/v2/status does not take PUT",
        ),
        ("POST", "/v2/flows/acme", "{}", 405, "method-not-allowed", None, "POST"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{:#}", check(&rest, case).err()?)))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    let flows: Vec<Value> = rest.get("/v2/flows")?;
    let operations: Vec<Value> = rest.get("/v2/operations")?;
    ensure!(flows.is_empty() && operations.is_empty(), "{flows:?} {operations:?}");
    unharmed(&router.process)
}

/// A request that is to be refused: nothing may be different after it.
fn refused(world: &World, case: &Case) -> Result<()> {
    let state = || -> Result<(Value, Value, Vec<String>)> {
        let flows: Vec<Value> = world.rest.get("/v2/flows")?;
        // What is measured meanwhile is no change.
        let flows = flows.into_iter().map(|mut flow| {
            for measured in ["latency_ms", "latency_coverage", "sla_state"] {
                flow.as_object_mut().and_then(|flow| flow.remove(measured));
            }
            flow
        });
        let flows = flows.collect();
        Ok((flows, world.rest.get("/v2/operations")?, world.dump()?))
    };
    let before = state()?;
    check(&world.rest, case)?;
    let after = state()?;
    ensure!(after == before, "{:?} changed\n{before:#?}\nto\n{after:#?}", case);
    Ok(())
}

fn put(source: Value, destination: Value) -> String {
    json!({ "source": source, "destination": destination }).to_string()
}

fn endpoints() -> Result<()> {
    let world = World::new(3)?;
    let taken = json!({ "source": endpoint(1, 10, 100), "destination": endpoint(3, 10, 200) });
    world.rest.done("PUT", "/v2/flows/first", Some(&taken))?;

    let away = put(endpoint(9, 10, 1), endpoint(3, 11, 1));
    let no_port = put(endpoint(1, 99, 1), endpoint(3, 11, 1));
    let link = put(endpoint(1, crate::world::PORT_NEXT, 1), endpoint(3, 11, 1));
    let same = put(endpoint(1, 10, 100), endpoint(3, 11, 1));
    let far = put(endpoint(1, 11, 1), endpoint(3, 10, 200));
    let itself = put(endpoint(1, 11, 1), endpoint(1, 11, 1));
    let vlan = put(endpoint(1, 11, 4095), endpoint(3, 11, 1));
    let latency = json!({
        "source": endpoint(1, 11, 1), "destination": endpoint(3, 11, 1), "max_latency": 10, "max_latency_tier_2": 5,
    });
    let latency = latency.to_string();
    let path = "/v2/flows/second";
    let cases: &[Case] = &[
        (
            "PUT",
            path,
            &away,
            422,
            "invalid",
            Some("/source/switch_id"),
            "is not known",
        ),
        (
            "PUT",
            path,
            &no_port,
            422,
            "invalid",
            Some("/source/port_number"),
            "has no port 99",
        ),
        (
            "PUT",
            path,
            &link,
            422,
            "invalid",
            Some("/source/port_number"),
            "belongs to link",
        ),
        (
            "PUT",
            path,
            &same,
            422,
            "invalid",
            Some("/source/vlan_id"),
            "is taken by flow first",
        ),
        (
            "PUT",
            path,
            &far,
            422,
            "invalid",
            Some("/destination/vlan_id"),
            "is taken by flow first",
        ),
        (
            "PUT",
            path,
            &itself,
            422,
            "invalid",
            Some("/destination"),
            "source and destination are both",
        ),
        ("PUT", path, &vlan, 422, "invalid", Some("/source/vlan_id"), "4094"),
        (
            "PUT",
            path,
            &latency,
            422,
            "invalid",
            Some("/max_latency_tier_2"),
            "below the first",
        ),
    ];
    cases.iter().try_for_each(|case| refused(&world, case))?;

    // Several at once are all named.
    let both = put(endpoint(1, 99, 5000), endpoint(3, 10, 200));
    let answer = world.rest.ask("PUT", path, Some(both.as_bytes()))?;
    let (fields, _) = problem(&answer, 422, "invalid")?;
    let mut pointers: Vec<&str> = fields.iter().map(|(pointer, _)| pointer.as_str()).collect();
    pointers.sort_unstable();
    ensure!(
        pointers == ["/destination/vlan_id", "/source/port_number", "/source/vlan_id"],
        "{fields:?}"
    );

    // A switch that nobody reaches: not now, and nothing half done.
    let before = world.dump()?;
    world
        .ovs
        .add_bridge("s4", 4, &skerry_tests::ovs::Controllers::new::<String>([]))?;
    world.ovs.add_dummy_port("s4", "s4-edge", 10, None)?;
    let controllers = skerry_tests::ovs::Controllers::new([format!("tcp:{}", world.speaker.address)]);
    world.ovs.set_controllers("s4", &controllers)?;
    crate::world::settled(&world.rest, 4, 2)?;
    let lonely = put(endpoint(1, 11, 1), endpoint(4, 10, 1));
    refused(
        &world,
        &(
            "PUT",
            path,
            &lonely,
            422,
            "no-path",
            None,
            "there is no connection from",
        ),
    )?;
    // Nobody is there. With no controller at all Open vSwitch would forget its rules.
    let nobody = skerry_tests::ovs::Controllers::new(["tcp:127.0.0.1:1"]);
    world.ovs.set_controllers("s3", &nobody)?;
    skerry_tests::wait::until("s3 to be gone", skerry_tests::wait::DEADLINE, || {
        let view: Value = world
            .rest
            .get(&format!("/v2/switches/{}", switch_id(3)))
            .map_err(|e| format!("{e:#}"))?;
        if view.get("active_region").is_none() {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })?;
    let gone = put(endpoint(3, 11, 1), endpoint(3, 12, 1));
    refused(
        &world,
        &("PUT", path, &gone, 409, "switch-not-reachable", None, &switch_id(3)),
    )?;
    ensure!(world.dump()? == before, "{:#?}", world.dump()?);
    world.unharmed()
}

fn points() -> Result<()> {
    let world = World::new(3)?;
    let first = json!({ "source": endpoint(1, 10, 100), "destination": endpoint(3, 10, 200) });
    let second = json!({ "source": endpoint(1, 11, 1), "destination": endpoint(3, 11, 1) });
    world.rest.done("PUT", "/v2/flows/first", Some(&first))?;
    world.rest.done("PUT", "/v2/flows/second", Some(&second))?;
    let mirror = |switch: u64, sink: Value| {
        let body = json!({
            "mirror_point_id": "tap", "mirror_point_direction": "forward", "mirror_point_switch_id": switch_id(switch),
            "sink_endpoint": sink,
        });
        body.to_string()
    };
    let join = |switch: u64, sink: Value| {
        let body = json!({
            "join_point_id": "standby", "join_point_switch_id": switch_id(switch), "delivery": "network",
            "sink_endpoint": sink,
        });
        body.to_string()
    };
    let own = mirror(3, endpoint(3, 10, 200));
    let others = mirror(3, endpoint(3, 11, 1));
    let midway = mirror(2, endpoint(2, 10, 0));
    let remote = mirror(3, endpoint(1, 12, 0));
    let no_port = mirror(3, endpoint(3, 77, 0));
    let nowhere = mirror(8, endpoint(8, 1, 0));
    let join_own = join(1, endpoint(1, 10, 100));
    let join_others = join(1, endpoint(1, 11, 1));
    let join_midway = join(2, endpoint(2, 10, 0));
    let (mirrors, joins, bad) = ("/v2/flows/first/mirror", "/v2/flows/first/join", "invalid");
    let cases: &[Case] = &[
        (
            "PUT",
            mirrors,
            &own,
            422,
            bad,
            Some("/sink_endpoint/vlan_id"),
            "is an endpoint of this flow",
        ),
        (
            "PUT",
            mirrors,
            &others,
            422,
            bad,
            Some("/sink_endpoint/vlan_id"),
            "is taken by flow second",
        ),
        (
            "PUT",
            mirrors,
            &midway,
            422,
            bad,
            Some("/mirror_point_switch_id"),
            "is not an end of flow first",
        ),
        (
            "PUT",
            mirrors,
            &nowhere,
            422,
            bad,
            Some("/mirror_point_switch_id"),
            "is not an end of flow first",
        ),
        (
            "PUT",
            mirrors,
            &remote,
            422,
            bad,
            Some("/sink_endpoint/switch_id"),
            "the point's own switch",
        ),
        (
            "PUT",
            mirrors,
            &no_port,
            422,
            bad,
            Some("/sink_endpoint/port_number"),
            "has no port 77",
        ),
        (
            "PUT",
            joins,
            &join_own,
            422,
            bad,
            Some("/sink_endpoint/vlan_id"),
            "is an endpoint of this flow",
        ),
        (
            "PUT",
            joins,
            &join_others,
            422,
            bad,
            Some("/sink_endpoint/vlan_id"),
            "is taken by flow second",
        ),
        (
            "PUT",
            joins,
            &join_midway,
            422,
            bad,
            Some("/join_point_switch_id"),
            "is not an end of flow first",
        ),
        (
            "PUT",
            "/v2/flows/third/mirror",
            &own,
            404,
            "not-found",
            None,
            "there is no flow third",
        ),
        (
            "DELETE",
            "/v2/flows/first/mirror/tap",
            "",
            404,
            "not-found",
            None,
            "no mirror point tap",
        ),
        (
            "DELETE",
            "/v2/flows/first/join/standby",
            "",
            404,
            "not-found",
            None,
            "no join point standby",
        ),
    ];
    cases.iter().try_for_each(|case| refused(&world, case))?;
    // A sink is an endpoint that is taken, too.
    let tap: Value = serde_json::from_str(&mirror(3, endpoint(3, 12, 7)))?;
    world.rest.done("PUT", "/v2/flows/first/mirror", Some(&tap))?;
    let onto = put(endpoint(1, 12, 7), endpoint(3, 12, 7));
    let why = "is taken by mirror point tap of flow first";
    refused(
        &world,
        &(
            "PUT",
            "/v2/flows/third",
            &onto,
            422,
            bad,
            Some("/destination/vlan_id"),
            why,
        ),
    )?;
    world.unharmed()
}

fn dry_runs_and_repeats() -> Result<()> {
    let world = World::new(3)?;
    let rest = &world.rest;
    let empty = world.dump()?;
    let body = json!({
        "source": endpoint(1, 10, 100), "destination": endpoint(3, 10, 200), "maximum_bandwidth": 1000, "max_latency": 50,
    });
    let mirror = json!({
        "mirror_point_id": "tap", "mirror_point_direction": "reverse", "mirror_point_switch_id": switch_id(1),
        "sink_endpoint": endpoint(1, 11, 5),
    });
    let dry = |method: &str, path: &str, body: Option<&Value>| -> Result<()> {
        let before = (
            world.dump()?,
            rest.get::<Value>("/v2/operations")?,
            rest.get::<Vec<Value>>("/v2/flows")?.len(),
        );
        let (status, answer) = rest.write(method, &format!("{path}?dry_run=true"), body)?;
        let stages = answer["stages"].as_array().map_or(0, Vec::len);
        ensure!(
            status == 200 && answer["dry_run"] == true && stages > 0,
            "{method} {path}: {status} {answer}"
        );
        let after = (
            world.dump()?,
            rest.get::<Value>("/v2/operations")?,
            rest.get::<Vec<Value>>("/v2/flows")?.len(),
        );
        ensure!(after == before, "{method} {path} changed {before:#?} to {after:#?}");
        Ok(())
    };
    dry("PUT", "/v2/flows/acme", Some(&body))?;
    let answer = rest.ask("GET", "/v2/flows/acme", None)?;
    problem(&answer, 404, "not-found")?;

    // A write tells where its operation is to be found, and the operation ends.
    let answer = rest.ask("PUT", "/v2/flows/acme", Some(body.to_string().as_bytes()))?;
    ensure!(answer.status == 202, "{answer:?}");
    let started: OperationView = serde_json::from_value(answer.body.clone())?;
    ensure!(
        answer.location == Some(format!("/v2/operations/{}", started.operation_id)),
        "{answer:?}"
    );
    let ended = rest.operation(started.operation_id)?;
    ensure!(
        ended.state == OperationState::Done && ended.error.is_empty(),
        "{ended:?}"
    );
    let made = flow(rest, "acme")?;
    ensure!(made.status == FlowStatus::Up && made.operation.is_none(), "{made:?}");
    let standing = world.dump()?;
    ensure!(standing != empty, "the flow is nowhere");

    // The same again: the same.
    let ended = rest.done("PUT", "/v2/flows/acme", Some(&body))?;
    ensure!(ended.kind == "update", "{ended:?}");
    let again = flow(rest, "acme")?;
    ensure!(world.dump()? == standing, "{:#?}\nwas\n{standing:#?}", world.dump()?);
    ensure!(
        (&again.path, &again.request) == (&made.path, &made.request),
        "{again:?}\nwas\n{made:?}"
    );

    dry("PUT", "/v2/flows/acme/mirror", Some(&mirror))?;
    rest.done("PUT", "/v2/flows/acme/mirror", Some(&mirror))?;
    let mirrored = world.dump()?;
    rest.done("PUT", "/v2/flows/acme/mirror", Some(&mirror))?;
    ensure!(world.dump()? == mirrored, "{:#?}\nwas\n{mirrored:#?}", world.dump()?);
    dry("DELETE", "/v2/flows/acme/mirror/tap", None)?;
    dry("DELETE", "/v2/flows/acme", None)?;
    let reroute = rest.ask("POST", "/v2/flows/acme/reroute?dry_run=true", Some(b""))?;
    problem(&reroute, 422, "already-on-best-path")?;

    // Dry runs gave back the numbers they took: the next flow gets the numbers it would have got without them.
    rest.done("DELETE", "/v2/flows/acme", None)?;
    ensure!(world.dump()? == empty, "{:#?}\nwas\n{empty:#?}", world.dump()?);
    let answer = rest.ask("DELETE", "/v2/flows/acme", None)?;
    problem(&answer, 404, "not-found")?;
    let operations: Vec<OperationView> = rest.get("/v2/operations")?;
    ensure!(
        operations.iter().all(|o| o.state == OperationState::Done),
        "{operations:?}"
    );
    world.unharmed()
}
