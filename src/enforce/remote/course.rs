//! What a NAS is told next, from what is wanted and what it answered so far; pure.
//!
//! The one rule: a session counts as ended or changed only on an ACK, or when the NAS says twice, the second time
//! asked by session id alone, that it has no such session.

use crate::domain::nas::NasKind;
use crate::domain::owed::{Settled, Wanted};
use crate::nas::change::{MidSession, Naming, mid_session};
use crate::radius::change::{Answer, Deed, ErrorCause};

/// One order to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) deed: Deed,
    pub(super) naming: Naming,
}

/// How a course begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// By giving this order.
    Give(Try),
    /// Not at all: a NAS of this kind was never told what has changed.
    NothingToTell(Settled),
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is known to be done.
    Done(Settled),
    /// Another order.
    Give(Try),
    /// The NAS refuses; it is asked again later.
    Refused(Option<ErrorCause>),
}

pub(super) const fn begin(wanted: Wanted, kind: NasKind) -> Beginning {
    let naming = Naming::Full;
    match wanted {
        Wanted::Disconnect { .. } | Wanted::Reconnect => {
            Beginning::Give(Try { deed: Deed::Disconnect, naming })
        }
        Wanted::Change(terms) => match mid_session(kind) {
            MidSession::Told => Beginning::Give(Try { deed: Deed::Change, naming }),
            MidSession::Anew => Beginning::Give(Try { deed: Deed::Disconnect, naming }),
            MidSession::Never => Beginning::NothingToTell(Settled::Changed(terms.granted())),
        },
    }
}

pub(super) fn after(wanted: Wanted, tried: Try, answer: Answer) -> Next {
    let Try { deed, naming } = tried;
    match answer {
        Answer::Ack => Next::Done(match (deed, wanted) {
            (Deed::Change, Wanted::Change(terms)) => Settled::Changed(terms.granted()),
            (Deed::Disconnect, _) | (Deed::Change, Wanted::Disconnect { .. } | Wanted::Reconnect) => {
                Settled::Ended
            }
        }),
        Answer::Nak(cause) => match (cause, naming, deed) {
            // A name that is spelt otherwise at the NAS, an attribute that it does not know or one that it
            // lacks is no proof that there is no session.
            (Some(cause), Naming::Full, _) if is_about_naming(cause) => {
                Next::Give(Try { deed, naming: Naming::IdOnly })
            }
            (Some(ErrorCause::SESSION_CONTEXT_NOT_FOUND), Naming::IdOnly, _) => Next::Done(Settled::Absent),
            // What cannot be changed in mid-session is had by logging in anew.
            (_, _, Deed::Change) => Next::Give(Try { deed: Deed::Disconnect, naming: Naming::Full }),
            (cause, _, Deed::Disconnect) => Next::Refused(cause),
        },
    }
}

fn is_about_naming(cause: ErrorCause) -> bool {
    [ErrorCause::UNSUPPORTED_ATTRIBUTE, ErrorCause::MISSING_ATTRIBUTE, ErrorCause::SESSION_CONTEXT_NOT_FOUND]
        .contains(&cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Refusal;

    const END: Wanted = Wanted::Disconnect { refusal: Refusal::ServiceEnded };
    const FULL: Try = Try { deed: Deed::Disconnect, naming: Naming::Full };
    const BY_ID: Try = Try { deed: Deed::Disconnect, naming: Naming::IdOnly };

    fn nak(cause: u32) -> Answer {
        Answer::Nak(Some(ErrorCause(cause)))
    }

    #[test]
    fn only_an_ack_ends_a_session() {
        assert_eq!(begin(END, NasKind::Mikrotik), Beginning::Give(FULL));
        assert_eq!(after(END, FULL, Answer::Ack), Next::Done(Settled::Ended));
        for refused in [Answer::Nak(None), nak(504), nak(501)] {
            assert!(matches!(after(END, FULL, refused), Next::Refused(_)), "{refused:?}");
        }
    }

    #[test]
    fn a_session_is_absent_only_when_its_id_alone_is_not_found() {
        assert_eq!(after(END, FULL, nak(503)), Next::Give(BY_ID));
        assert_eq!(after(END, BY_ID, nak(503)), Next::Done(Settled::Absent));
        assert_eq!(after(END, BY_ID, Answer::Ack), Next::Done(Settled::Ended));
    }

    #[test]
    fn an_attribute_that_a_nas_does_not_know_is_left_out() {
        for cause in [401, 402] {
            assert_eq!(after(END, FULL, nak(cause)), Next::Give(BY_ID));
            assert_eq!(after(END, BY_ID, nak(cause)), Next::Refused(Some(ErrorCause(cause))));
        }
    }

    #[test]
    fn what_cannot_be_changed_in_mid_session_ends_so_that_it_logs_in_anew() {
        let change = Try { deed: Deed::Change, naming: Naming::IdOnly };
        assert_eq!(after(Wanted::Reconnect, change, nak(405)), Next::Give(FULL));
    }
}
