//! The collection of invoices that are not final.

use crate::domain::ids::InvoiceId;
use crate::domain::invoice_draft::InvoiceDraft;
use crate::store::Registration;
use crate::store::contract::{Collection, CollectionSpec, IndexSpec, IndexValue, RecordKey, SealKind};

collection! {
    /// Drafts of invoices; gone once they are final or thrown away.
    InvoiceDrafts: "invoice_drafts", InvoiceId => InvoiceDraft, schema 1, Keyed, counters &[],
    [
        subscriber_id = |draft| draft.subscriber_id.to_key().into(),
        created_at = |draft| draft.created_at.as_millisecond().into(),
    ]
}

/// The collections of this file.
pub(super) fn all() -> Vec<Registration> {
    vec![Registration::of::<InvoiceDrafts>()]
}
