//! `skerry flow create|show|ls|rm|reroute|mirror|join`.

use clap::{Args, Subcommand, ValueEnum};
use skerry_bus::FlowId;
use skerry_bus::api::{FlowRequest, FlowView, PathStrategy};
use ureq::http::Method;

use crate::commands::operation::{Waiting, finish};
use crate::commands::point;
use crate::endpoint::EndpointArg;
use crate::failure::Failure;
use crate::output::{Output, ms, name, pairs, table};
use crate::rest::{Router, path};

/// Commands about flows.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Creates a flow, or changes the one of that name to this
    Create(Create),
    /// One flow: path, latency, SLA, mirror and join points
    Show {
        /// Its name
        flow: FlowId,
    },
    /// Flows
    Ls,
    /// Deletes a flow
    Rm {
        /// Its name
        flow: FlowId,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Looks for a better path and takes it
    Reroute {
        /// Its name
        flow: FlowId,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Mirror points: copies of one direction for a sink
    #[command(subcommand)]
    Mirror(point::Mirror),
    /// Join points: traffic from a sink into the flow
    #[command(subcommand)]
    Join(point::Join),
}

/// What a flow is to be.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name: letters, digits, hyphens and underscores
    flow: FlowId,
    /// Where it begins: SWITCH/PORT[:VLAN[.INNER]]
    #[arg(long, alias = "source", value_name = "ENDPOINT")]
    from: EndpointArg,
    /// Where it ends: SWITCH/PORT[:VLAN[.INNER]]
    #[arg(long, alias = "destination", value_name = "ENDPOINT")]
    to: EndpointArg,
    /// Kilobits per second; 0 is unlimited
    #[arg(long, default_value_t = 0, value_name = "KBPS")]
    bandwidth: u32,
    /// First limit of the round trip, milliseconds
    #[arg(long, value_name = "MS")]
    max_latency: Option<f64>,
    /// Second limit of the round trip, milliseconds
    #[arg(long, value_name = "MS")]
    max_latency_tier_2: Option<f64>,
    /// How its path is chosen
    #[arg(long, value_enum, default_value_t = StrategyArg::Cost)]
    strategy: StrategyArg,
    /// Keep its path whatever happens
    #[arg(long)]
    pinned: bool,
    /// Lower is served first
    #[arg(long)]
    priority: Option<u32>,
    /// Free text
    #[arg(long, default_value = "")]
    description: String,
    #[command(flatten)]
    waiting: Waiting,
}

/// Strategies as they are typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StrategyArg {
    /// Least cost
    Cost,
    /// Least latency
    Latency,
    /// Within the latency limit, with the least cost
    MaxLatency,
    /// Least cost, then best fit of bandwidth
    CostAndAvailableBandwidth,
}

impl From<StrategyArg> for PathStrategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::Cost => PathStrategy::Cost,
            StrategyArg::Latency => PathStrategy::Latency,
            StrategyArg::MaxLatency => PathStrategy::MaxLatency,
            StrategyArg::CostAndAvailableBandwidth => PathStrategy::CostAndAvailableBandwidth,
        }
    }
}

/// Runs one.
pub fn run(command: Command, router: &Router, out: &Output) -> Result<(), Failure> {
    match command {
        Command::Create(create) => run_create(create, router, out),
        Command::Show { flow } => show(&flow, router, out),
        Command::Ls => ls(router, out),
        Command::Rm { flow, waiting } => {
            let written = router.write(
                Method::DELETE,
                &waiting.path(&["v2", "flows", flow.as_str()]),
                None::<&()>,
            )?;
            finish(written, waiting, &format!("delete of flow {flow}"), router, out)
        }
        Command::Reroute { flow, waiting } => {
            let path = waiting.path(&["v2", "flows", flow.as_str(), "reroute"]);
            let written = router.write(Method::POST, &path, None::<&()>)?;
            finish(written, waiting, &format!("reroute of flow {flow}"), router, out)
        }
        Command::Mirror(command) => point::mirror(command, router, out),
        Command::Join(command) => point::join(command, router, out),
    }
}

fn run_create(create: Create, router: &Router, out: &Output) -> Result<(), Failure> {
    let request = FlowRequest {
        source: create.from.0,
        destination: create.to.0,
        maximum_bandwidth: create.bandwidth,
        max_latency: create.max_latency,
        max_latency_tier_2: create.max_latency_tier_2,
        path_computation_strategy: create.strategy.into(),
        pinned: create.pinned,
        priority: create.priority,
        description: create.description,
    };
    let path = create.waiting.path(&["v2", "flows", create.flow.as_str()]);
    let written = router.write(Method::PUT, &path, Some(&request))?;
    finish(written, create.waiting, &format!("flow {}", create.flow), router, out)
}

fn ls(router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, flows) = router.get::<Vec<FlowView>>("/v2/flows")?;
    out.print(&document, || {
        table(
            &[
                "FLOW",
                "STATUS",
                "SLA",
                "ROUND TRIP MS",
                "LIMIT MS",
                "FROM",
                "TO",
                "HOPS",
                "MIRRORS",
                "JOINS",
            ],
            flows.iter().map(|f| {
                vec![
                    f.flow_id.to_string(),
                    name(&f.status),
                    f.sla_state.clone(),
                    ms(f.latency_ms),
                    ms(f.request.max_latency),
                    skerry_bus::Endpoint::from(f.request.source).to_string(),
                    skerry_bus::Endpoint::from(f.request.destination).to_string(),
                    f.path.len().to_string(),
                    f.mirror_points.len().to_string(),
                    f.join_points.len().to_string(),
                ]
            }),
        )
    })
}

fn show(flow: &FlowId, router: &Router, out: &Output) -> Result<(), Failure> {
    let (document, f) = router.get::<FlowView>(&path(&["v2", "flows", flow.as_str()]))?;
    out.print(&document, || {
        let operation = f
            .operation
            .as_ref()
            .map(|o| format!("{} {}: {}", o.kind, name(&o.state), o.step));
        let limits = match (f.request.max_latency, f.request.max_latency_tier_2) {
            (None, _) => String::new(),
            (Some(one), None) => format!("{one} ms"),
            (Some(one), Some(two)) => format!("{one} ms, {two} ms"),
        };
        let bandwidth = match f.request.maximum_bandwidth {
            0 => "unlimited".to_owned(),
            kbps => format!("{kbps} kbit/s"),
        };
        let mut text = pairs([
            ("flow", f.flow_id.to_string()),
            ("description", f.request.description.clone()),
            ("status", name(&f.status)),
            ("why", f.status_info.clone()),
            ("operation", operation.unwrap_or_default()),
            ("from", skerry_bus::Endpoint::from(f.request.source).to_string()),
            ("to", skerry_bus::Endpoint::from(f.request.destination).to_string()),
            ("bandwidth", bandwidth),
            ("strategy", name(&f.request.path_computation_strategy)),
            ("latency limits", limits),
            ("SLA", f.sla_state.clone()),
            ("round trip ms", ms(f.latency_ms)),
            (
                "links known",
                format!("{} of {}", f.latency_coverage.0, f.latency_coverage.1),
            ),
        ]);
        text.push('\n');
        text.push_str(&table(
            &["IN", "SWITCH", "OUT"],
            f.path.iter().map(|hop| {
                vec![
                    hop.input_port.to_string(),
                    hop.switch_id.to_string(),
                    hop.output_port.to_string(),
                ]
            }),
        ));
        if !f.mirror_points.is_empty() {
            text.push('\n');
            text.push_str(&point::mirror_table(&f.mirror_points));
        }
        if !f.join_points.is_empty() {
            text.push('\n');
            text.push_str(&point::join_table(&f.join_points));
        }
        text
    })
}
