//! A flow with the route and the numbers it has: what the router stores, and what plans are made between.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::intent::Flow;
use crate::resources::{Exhausted, FlowIds, Pools};
use crate::route::Route;
use crate::stages::Plan;
use crate::translate::{PerSwitch, TranslateError, translate};

/// A flow in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// What is wanted.
    pub flow: Flow,
    /// The links it crosses.
    pub route: Route,
    /// The numbers it uses.
    pub ids: FlowIds,
}

impl Placed {
    /// A new flow.
    pub fn new(flow: Flow, route: Route, pools: &mut Pools) -> Result<Placed, Exhausted> {
        let ids = pools.allocate(&flow, None, false)?;
        Ok(Placed { flow, route, ids })
    }

    /// The same flow after a change of what is wanted or of its route. Another route gets its own path numbers, so that
    /// both can stand for a while. What this one holds stays held until [`Pools::release`] is called with both.
    pub fn changed(&self, flow: Flow, route: Route, pools: &mut Pools) -> Result<Placed, Exhausted> {
        let new_path = route != self.route;
        let ids = pools.allocate(&flow, Some(&self.ids), new_path)?;
        Ok(Placed { flow, route, ids })
    }

    /// What the switches hold for it.
    pub fn objects(&self) -> Result<PerSwitch, TranslateError> {
        translate(&self.flow, &self.route, &self.ids)
    }
}

/// The plan from one state of a flow to another: none before is its creation, none after its deletion.
pub fn plan(before: Option<&Placed>, after: Option<&Placed>, drain: Duration) -> Result<Plan, TranslateError> {
    let objects = |p: Option<&Placed>| p.map_or_else(|| Ok(PerSwitch::new()), Placed::objects);
    Ok(Plan::new(&objects(before)?, &objects(after)?, drain))
}
