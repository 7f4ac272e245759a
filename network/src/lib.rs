//! The network as values: what customers want, what switches hold for it, and the way from one to the other.
//!
//! Everything is a pure function or a plain value: no clock, no tasks, no sockets. In the order of use:
//! [`validate`] says what is wrong with a wish, [`intent`] keeps it, [`graph`] and [`path`] find the way, [`resources`]
//! gives numbers, [`translate`](mod@translate) and [`service`] say what each switch holds, [`stages`] in which order it gets there,
//! and [`pipeline`] and [`walk`](mod@walk) show what becomes of a packet. Design sections 6 and 8 decide.

pub mod exit;
pub mod frame;
pub mod graph;
pub mod intent;
pub mod layout;
pub mod packet;
pub mod path;
pub mod pipeline;
pub mod placed;
pub mod resources;
pub mod route;
pub mod search;
pub mod service;
pub mod stages;
pub mod tags;
pub mod translate;
pub mod validate;
pub mod walk;

pub use exit::Exit;
pub use graph::{Edge, Graph};
pub use intent::{Flow, JoinPoint, Leg, MirrorPoint};
pub use packet::{Packet, Tag};
pub use path::{FoundPath, PathFailure, PathRequest, best_path, k_best_paths};
pub use pipeline::{Emission, process};
pub use placed::{Placed, plan};
pub use resources::{Exhausted, FlowIds, Pools};
pub use route::{Passage, Route};
pub use service::service_objects;
pub use stages::{Plan, Stage, StageName};
pub use translate::{PerSwitch, TranslateError, translate};
pub use validate::{Surroundings, validate_flow, validate_join, validate_mirror};
pub use walk::{Outcome, walk};
