//! Replies. What may hold a token is in one piece of memory, which is wiped when it was sent or is given up.

use std::convert::Infallible;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Buf, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use zeroize::Zeroizing;

use super::refusal::Refusal;

/// The body of a reply; `None` when it was handed to HTTP.
pub(super) struct Body(Option<Text>);

/// Bytes that HTTP writes from where they are.
pub(super) struct Text {
    bytes: Bytes,
    written: usize,
}

/// A body with a token in it, or one without: that can be long, and wiping takes its time.
pub(super) enum Bytes {
    Secret(Zeroizing<Vec<u8>>),
    Plain(Vec<u8>),
}

impl From<Zeroizing<Vec<u8>>> for Bytes {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self::Secret(bytes)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Plain(bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Secret(bytes) => bytes,
            Self::Plain(bytes) => bytes,
        }
    }
}

/// A reply in JSON that nobody on the way may keep.
pub(super) fn json(bytes: impl Into<Bytes>) -> Response<Body> {
    text(StatusCode::OK, "application/json", bytes.into())
}

/// The same of another type.
pub(super) fn text(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body(Some(Text { bytes, written: 0 })));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, retry_after, allow, is_last, .. } = refusal;
        let mut response = text(status, "application/json", refusal.json().into());
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(methods) = allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if is_last {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl hyper::body::Body for Body {
    type Data = Text;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Text>, Infallible>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |text| text.remaining() as u64))
    }
}

impl Buf for Text {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.written
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    fn advance(&mut self, count: usize) {
        self.written = self.bytes.len().min(self.written + count);
    }
}
