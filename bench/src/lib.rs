//! Measures `ofproto` beside other codecs, and beside what the machine itself needs to
//! look at the same bytes. `make bench-codec` runs it; docs/performance.md says how to
//! read what it prints. Nothing else uses this package.

pub mod allocations;
pub mod checksum;
pub mod clock;
pub mod corpus;
pub mod figure;
pub mod floor;
pub mod ours;
pub mod peer;
pub mod reading;
pub mod report;
pub mod rounds;
pub mod stream;
