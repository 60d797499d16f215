//! The body of a response: decompressed if need be, and read up to a limit and no further.
//!
//! No compression is asked for. Servers that compress all the same are understood, if it is by gzip, and the limit
//! counts what comes out: the output of a few kilobytes can be without end.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use zeroize::Zeroizing;

use super::failure::Fault;

/// The longest response that makes sense is a page of metadata.
pub(super) const LONGEST: usize = 1024 * 1024;

/// A body that is being received.
pub(super) struct Body {
    received: usize,
    decoder: Decoder,
}

enum Decoder {
    Identity(Bounded),
    // Boxed, for it is large and rare.
    Gzip(Box<GzDecoder<Bounded>>),
}

impl Body {
    /// A body with these headers.
    ///
    /// # Errors
    ///
    /// [`Fault::Coding`] if it is coded in a way that was not asked for and is not understood.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let mut codings = headers.get_all(CONTENT_ENCODING).iter();
        let coding = codings.next().map_or(&b""[..], |value| value.as_bytes().trim_ascii());
        let decoder = match coding.to_ascii_lowercase().as_slice() {
            _ if codings.next().is_some() => return Err(Fault::Coding),
            b"" | b"identity" => Decoder::Identity(Bounded::default()),
            b"gzip" | b"x-gzip" => Decoder::Gzip(Box::new(GzDecoder::new(Bounded::default()))),
            _ => return Err(Fault::Coding),
        };
        Ok(Self { received: 0, decoder })
    }

    /// Takes what was received next.
    ///
    /// # Errors
    ///
    /// [`Fault::TooLong`] at the limit, [`Fault::Coding`] if it is not what its coding says.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<(), Fault> {
        // What is compressed can be longer than what comes out: there are blocks of no bytes.
        self.received = self.received.saturating_add(chunk.len());
        if self.received > LONGEST {
            return Err(Fault::TooLong);
        }
        match &mut self.decoder {
            Decoder::Identity(body) => body.write_all(chunk).map_err(|_| Fault::TooLong),
            Decoder::Gzip(decoder) => decoder.write_all(chunk).map_err(|_| fault(decoder.get_ref().is_full)),
        }
    }

    /// The whole of it.
    ///
    /// # Errors
    ///
    /// As [`Body::take`]; [`Fault::Coding`] if the end is missing.
    pub(super) fn finish(self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        match self.decoder {
            Decoder::Identity(body) => Ok(body.content),
            // An empty body needs no coding.
            Decoder::Gzip(_) if self.received == 0 => Ok(Zeroizing::default()),
            Decoder::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().content)),
                Err(_) => Err(fault(decoder.get_ref().is_full)),
            },
        }
    }
}

fn fault(is_full: bool) -> Fault {
    if is_full { Fault::TooLong } else { Fault::Coding }
}

/// Takes up to [`LONGEST`] bytes.
#[derive(Default)]
struct Bounded {
    content: Zeroizing<Vec<u8>>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.content.len() + bytes.len() > LONGEST {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.content.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(codings: &[&'static str]) -> HeaderMap {
        let pair = |coding: &&'static str| (CONTENT_ENCODING, HeaderValue::from_static(coding));
        let mut headers = HeaderMap::new();
        for (name, value) in codings.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    /// In pieces as a network may deliver them.
    fn read(codings: &[&'static str], sent: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut body = Body::of(&headers(codings))?;
        sent.chunks(7).try_for_each(|chunk| body.take(chunk))?;
        body.finish().map(|content| content.to_vec())
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn s30_a_body_is_read_as_its_coding_says() {
        for codings in [&[][..], &[""], &["identity"], &["Identity "]] {
            assert_eq!(read(codings, b"{}").unwrap(), b"{}", "{codings:?}");
        }
        for codings in [&["gzip"], &["GZip"], &["x-gzip"]] {
            assert_eq!(read(codings, &gzip(b"{\"a\":1}")).unwrap(), b"{\"a\":1}", "{codings:?}");
            assert_eq!(read(codings, b"").unwrap(), b"");
        }
    }

    #[test]
    fn s30_a_coding_that_is_not_understood_is_a_fault() {
        for codings in
            [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["identity", "identity"], &["deflate"]]
        {
            assert!(matches!(read(codings, &gzip(b"{}")), Err(Fault::Coding)), "{codings:?}");
        }
    }

    #[test]
    fn s30_a_body_that_is_not_what_its_coding_says_is_a_fault() {
        let whole = gzip(b"{\"access_token\":\"abc\"}");
        let mut flipped = whole.clone();
        let checksum = flipped.len() - 8;
        flipped[checksum] ^= 1;
        for sent in
            [b"{}".to_vec(), whole[..whole.len() - 1].to_vec(), [whole.clone(), whole].concat(), flipped]
        {
            assert!(matches!(read(&["gzip"], &sent), Err(Fault::Coding)), "{sent:?}");
        }
    }

    #[test]
    fn s30_the_limit_counts_what_comes_out() {
        let longest = vec![b' '; LONGEST];
        assert_eq!(read(&[], &longest).unwrap().len(), LONGEST);
        assert_eq!(read(&["gzip"], &gzip(&longest)).unwrap().len(), LONGEST);
        let longer = vec![b' '; LONGEST + 1];
        assert!(matches!(read(&[], &longer), Err(Fault::TooLong)));
        assert!(matches!(read(&["gzip"], &gzip(&longer)), Err(Fault::TooLong)));
    }

    #[test]
    fn s30_the_limit_counts_what_comes_in_as_well() {
        // A gzip header, and then blocks of no bytes without end.
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        let nothing = [&header[..], &[0, 0, 0, 0xff, 0xff].repeat(LONGEST / 5)].concat();
        assert!(matches!(read(&["gzip"], &nothing), Err(Fault::TooLong)));
    }

    #[test]
    fn s30_a_bomb_is_stopped_in_its_middle() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..32 {
            encoder.write_all(&vec![0; LONGEST]).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < LONGEST / 8, "{} bytes", bomb.len());
        let mut body = Body::of(&headers(&["gzip"])).unwrap();
        assert!(matches!(body.take(&bomb), Err(Fault::TooLong)));
        let Decoder::Gzip(decoder) = body.decoder else { panic!("it is gzip") };
        assert!(decoder.get_ref().content.capacity() <= 2 * LONGEST, "nor did it take more memory meanwhile");
    }
}
