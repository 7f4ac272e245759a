//! `skerry flow mirror|join add|rm|ls`.

use clap::{Args, Subcommand, ValueEnum};
use skerry_bus::api::{Direction, JoinDelivery, JoinRequest, MirrorRequest, PointView};
use skerry_bus::{FlowId, PointId, SwitchId};
use ureq::http::Method;

use crate::commands::operation::{Waiting, finish};
use crate::endpoint::EndpointArg;
use crate::failure::Failure;
use crate::output::{Output, name, table};
use crate::rest::{Router, path};

/// Commands about mirror points.
#[derive(Debug, Subcommand)]
pub enum Mirror {
    /// Adds a mirror point, or changes the one of that name to this
    Add {
        #[command(flatten)]
        place: Place,
        /// Which direction is copied
        #[arg(long, value_enum)]
        direction: DirectionArg,
    },
    /// Removes a mirror point
    Rm(Removal),
    /// Mirror points of a flow
    Ls {
        /// The flow
        flow: FlowId,
    },
}

/// Commands about join points.
#[derive(Debug, Subcommand)]
pub enum Join {
    /// Adds a join point, or changes the one of that name to this
    Add {
        #[command(flatten)]
        place: Place,
        /// Where the traffic goes
        #[arg(long, value_enum)]
        delivery: DeliveryArg,
    },
    /// Removes a join point
    Rm(Removal),
    /// Join points of a flow
    Ls {
        /// The flow
        flow: FlowId,
    },
}

/// Where a point is.
#[derive(Debug, Args)]
pub struct Place {
    /// The flow
    flow: FlowId,
    /// The point's name, unique within its flow
    point: PointId,
    /// At which switch of the flow
    #[arg(long, value_name = "SWITCH")]
    at: SwitchId,
    /// Where its device is: SWITCH/PORT[:VLAN[.INNER]]
    #[arg(long, value_name = "ENDPOINT")]
    sink: EndpointArg,
    #[command(flatten)]
    waiting: Waiting,
}

/// A point to remove.
#[derive(Debug, Args)]
pub struct Removal {
    /// The flow
    flow: FlowId,
    /// The point's name
    point: PointId,
    #[command(flatten)]
    waiting: Waiting,
}

/// Directions as they are typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DirectionArg {
    /// From source to destination
    Forward,
    /// From destination to source
    Reverse,
}

/// Deliveries as they are typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DeliveryArg {
    /// Towards the far end
    Network,
    /// Towards the customer at the join switch
    Local,
    /// To both
    Both,
}

impl From<DirectionArg> for Direction {
    fn from(direction: DirectionArg) -> Self {
        match direction {
            DirectionArg::Forward => Direction::Forward,
            DirectionArg::Reverse => Direction::Reverse,
        }
    }
}

impl From<DeliveryArg> for JoinDelivery {
    fn from(delivery: DeliveryArg) -> Self {
        match delivery {
            DeliveryArg::Network => JoinDelivery::Network,
            DeliveryArg::Local => JoinDelivery::Local,
            DeliveryArg::Both => JoinDelivery::Both,
        }
    }
}

/// Runs a command about mirror points.
pub fn mirror(command: Mirror, router: &Router, out: &Output) -> Result<(), Failure> {
    match command {
        Mirror::Add { place, direction } => {
            let request = MirrorRequest {
                mirror_point_id: place.point.clone(),
                mirror_point_direction: direction.into(),
                mirror_point_switch_id: place.at,
                sink_endpoint: place.sink.0,
            };
            let written = router.write(
                Method::PUT,
                &place.waiting.path(&["v2", "flows", place.flow.as_str(), "mirror"]),
                Some(&request),
            )?;
            let what = format!("mirror point {} of flow {}", place.point, place.flow);
            finish(written, place.waiting, &what, router, out)
        }
        Mirror::Rm(removal) => remove(&removal, "mirror", router, out),
        Mirror::Ls { flow } => {
            let (document, points) = router.get::<Vec<PointView<MirrorRequest>>>(&collection(&flow, "mirror"))?;
            out.print(&document, || mirror_table(&points))
        }
    }
}

/// Runs a command about join points.
pub fn join(command: Join, router: &Router, out: &Output) -> Result<(), Failure> {
    match command {
        Join::Add { place, delivery } => {
            let request = JoinRequest {
                join_point_id: place.point.clone(),
                join_point_switch_id: place.at,
                sink_endpoint: place.sink.0,
                delivery: delivery.into(),
            };
            let written = router.write(
                Method::PUT,
                &place.waiting.path(&["v2", "flows", place.flow.as_str(), "join"]),
                Some(&request),
            )?;
            let what = format!("join point {} of flow {}", place.point, place.flow);
            finish(written, place.waiting, &what, router, out)
        }
        Join::Rm(removal) => remove(&removal, "join", router, out),
        Join::Ls { flow } => {
            let (document, points) = router.get::<Vec<PointView<JoinRequest>>>(&collection(&flow, "join"))?;
            out.print(&document, || join_table(&points))
        }
    }
}

fn collection(flow: &FlowId, kind: &str) -> String {
    path(&["v2", "flows", flow.as_str(), kind])
}

fn remove(removal: &Removal, kind: &str, router: &Router, out: &Output) -> Result<(), Failure> {
    let path = removal
        .waiting
        .path(&["v2", "flows", removal.flow.as_str(), kind, removal.point.as_str()]);
    let written = router.write(Method::DELETE, &path, None::<&()>)?;
    let what = format!("delete of {kind} point {} of flow {}", removal.point, removal.flow);
    finish(written, removal.waiting, &what, router, out)
}

/// Mirror points as a table.
pub fn mirror_table(points: &[PointView<MirrorRequest>]) -> String {
    table(
        &["MIRROR POINT", "STATUS", "SWITCH", "DIRECTION", "SINK", "GROUP"],
        points.iter().map(|p| {
            vec![
                p.request.mirror_point_id.to_string(),
                name(&p.status),
                p.request.mirror_point_switch_id.to_string(),
                name(&p.request.mirror_point_direction),
                skerry_bus::Endpoint::from(p.request.sink_endpoint).to_string(),
                p.group_id.map(|n| n.to_string()).unwrap_or_default(),
            ]
        }),
    )
}

/// Join points as a table.
pub fn join_table(points: &[PointView<JoinRequest>]) -> String {
    table(
        &["JOIN POINT", "STATUS", "SWITCH", "DELIVERY", "SINK", "GROUP"],
        points.iter().map(|p| {
            vec![
                p.request.join_point_id.to_string(),
                name(&p.status),
                p.request.join_point_switch_id.to_string(),
                name(&p.request.delivery),
                skerry_bus::Endpoint::from(p.request.sink_endpoint).to_string(),
                p.group_id.map(|n| n.to_string()).unwrap_or_default(),
            ]
        }),
    )
}
