//! Memory that outlives the process: typed collections with declared indexes, and one
//! non-interactive atomic commit. What the store promises is in [`contract`].
//!
//! It knows nothing of what a record means: the domain's collections are declared beside it and
//! handed in as [`Registration`]s. The one rule it keeps: an answer to a commit is given only
//! after the change is durable, and a read gives exactly what was written or an error.
//!
//! | file | what it is |
//! |---|---|
//! | [`contract`] | collections, units, ranges, errors: what every engine promises |
//! | [`handle`] | [`Store`]: what callers hold |
//! | [`listing`] | windows of what fits, with a total |
//! | `names` | search by a part of a name |
//! | [`record`] | what travels between engine and handle; the observer |
//! | [`writer`] | the one thread that changes anything: queue, group commit, answers |
//! | `apply` | one unit against the rows: expectations, operations, events |
//! | `counts` | how many records a list has, kept in step |
//! | `engine` | where the rows are: SQLite or memory |
//! | [`report`] | what checks, backups and restorations say |
//! | [`seal`] | how a record proves that it is what was written |
//! | [`vault`] | the box's key, and secrets sealed with it |

pub mod contract;
pub mod draft;
pub mod handle;
pub mod listing;
pub(crate) mod names;
pub mod options;
pub mod record;
pub mod report;
pub mod seal;
pub mod snapshot;
#[doc(hidden)]
pub mod suite;
pub mod tables;
pub mod usage;
pub mod vault;
pub mod voucher_key;
pub mod writer;

mod apply;
pub mod audit;
mod counts;
mod engine;
mod files;

pub use handle::{Loaded, Store};
pub use options::{OpenError, Options};
pub use record::{Applied, Observer, Registration, StoredState};
pub use report::{BackupError, Manifest, Report, Restored};
pub use seal::SealKey;
pub use vault::{SealedSecret, Vault, VaultError};
pub use writer::{Submitted, Sweep, SweepWhat, Swept};
