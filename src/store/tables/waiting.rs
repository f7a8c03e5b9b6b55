//! Devices that wait for their service to be paid.

use crate::domain::device::WaitingDevice;
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};

collection! {
    /// Devices that go online by themselves once money has come; key the device's own.
    WaitingDevices: "waiting_devices", String => WaitingDevice, schema 1, Checksum, counters &[],
    [
        service_id = |one| one.service_id.to_key().into(),
        since = |one| one.since.as_millisecond().into(),
    ]
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<WaitingDevices>()]
}
