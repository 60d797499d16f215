//! Answers as values, and their way onto the connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::http::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::Value;

/// An answer that can still be changed.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The body is left hanging in its middle.
    pub(super) stalled: bool,
}

impl Reply {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), stalled: false }
    }

    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }.header("content-type", content_type)
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string()).header("cache-control", "no-store")
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn into_response(self) -> Response<ReplyBody> {
        let length = if self.stalled { self.body.len() / 2 } else { self.body.len() };
        let data = Some(Bytes::from(self.body).slice(..length)).filter(|data| !data.is_empty());
        let mut response = Response::new(ReplyBody { data, stalled: self.stalled });
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status has three digits");
        for (name, value) in self.headers {
            let value = HeaderValue::from_str(&value).expect("a test sends headers that HTTP allows");
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// A body that is there at once, or stops coming.
pub(super) struct ReplyBody {
    data: Option<Bytes>,
    stalled: bool,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            // Nobody is woken: it ends when the connection does.
            None if self.stalled => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.stalled
    }

    fn size_hint(&self) -> SizeHint {
        match &self.data {
            _ if self.stalled => SizeHint::new(),
            Some(data) => SizeHint::with_exact(data.len() as u64),
            None => SizeHint::with_exact(0),
        }
    }
}
