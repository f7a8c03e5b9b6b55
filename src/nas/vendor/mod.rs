//! The closed list of vendors: one file each, called from [`write_accept`](super::write_accept).

pub mod generic;
pub mod mikrotik;
pub mod wispr;
