//! Reading a body up to a limit.
//!
//! The one rule: never more than the limit is held, whatever `Content-Length` says.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::Fault;

/// Reads a whole body of at most `limit` octets.
///
/// # Errors
/// [`Fault::TooLarge`] at once when the length is announced, else when it is passed;
/// [`Fault::BodyBroken`] when the peer stops or breaks the framing.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, Fault> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(Fault::TooLarge);
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Fault::TooLarge),
        Err(_) => Err(Fault::BodyBroken),
    }
}

/// The same for a peer that has so long to send it.
///
/// # Errors
/// As [`read`]; [`Fault::BodyBroken`] when the time is over too.
pub async fn read_within(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<Vec<u8>, Fault> {
    tokio::time::timeout(deadline, read(headers, body, limit)).await.unwrap_or(Err(Fault::BodyBroken))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// A body that is announced and never comes.
    struct Never;

    impl hyper::body::Body for Never {
        type Data = axum::body::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let never = Body::new(Never);
        let read = read_within(&HeaderMap::new(), never, 4, Duration::from_millis(10)).await;
        assert_eq!(read, Err(Fault::BodyBroken));
    }

    #[tokio::test]
    async fn a_body_at_the_limit_is_read_and_one_octet_more_is_refused() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, Body::from("1234"), 4).await, Ok(b"1234".to_vec()));
        assert_eq!(read(&none, Body::from("12345"), 4).await, Err(Fault::TooLarge));
    }

    #[tokio::test]
    async fn an_announced_length_beyond_the_limit_is_refused_unread() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, "5".parse().unwrap());
        assert_eq!(read(&headers, Body::empty(), 4).await, Err(Fault::TooLarge));
    }
}
