//! SMS: what a text costs, and the carriers that take it.
//!
//! | file | what |
//! |---|---|
//! | [`segments`] | the parts of 140 octets that a text needs |

pub mod segments;
