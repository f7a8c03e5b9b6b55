//! Memory that outlives the process: typed collections with declared indexes, and one
//! non-interactive atomic commit. What the store promises is in [`contract`].

pub mod contract;
pub mod draft;
pub mod tables;
