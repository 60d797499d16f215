//! Bodies that are compressed, and bodies without end.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use tokenbroker_testkit::wait_until;

use crate::raw::{Raw, response};
use crate::{Host, SOON};

const MIB: usize = 1024 * 1024;

/// More than a decoder and its output may take, and far less than what the bombs would.
const FLAT: u64 = 16;

const TOKEN: &[u8] = br#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#;

#[test]
fn s30_no_compression_is_asked_for_and_a_server_that_compresses_all_the_same_is_understood() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(TOKEN).unwrap();
    let body = encoder.finish().unwrap();
    let headers = ["content-type: application/json", "content-encoding: gzip"];
    let server = Raw::saying(response("200 OK", &headers, &body));
    let host = Host::asking(&server);
    assert_eq!(host.get(), "t0ken\n");
    assert!(
        server.requests()[0].head.contains("\r\naccept-encoding: identity\r\n"),
        "{:?}",
        server.requests()
    );
}

#[test]
fn s30_a_gzip_bomb_is_stopped_at_the_decoded_limit_and_takes_no_memory() {
    let bomb = bomb(512);
    assert!(bomb.len() < MIB, "{} bytes would be too many undecoded", bomb.len());
    let headers = ["content-type: application/json", "content-encoding: gzip"];
    let bomb = response("200 OK", &headers, &bomb);
    is_stopped_at_the_limit(move |stream| drop(stream.write_all(&bomb)));
}

#[test]
fn s30_a_body_without_end_is_stopped_at_the_limit() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    is_stopped_at_the_limit(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
        let mut count = 0;
        while stream.write_all(&[b' '; 64 * 1024]).is_ok() {
            count += 64 * 1024;
        }
        counter.store(count, Ordering::Relaxed);
    });
    wait_until(SOON, || sent.load(Ordering::Relaxed) > 0);
    // What is in the buffers of the kernel counts as sent.
    assert!(sent.load(Ordering::Relaxed) < 32 * MIB, "{sent:?} bytes were taken");
}

/// A daemon that has a token meets this body when it renews it.
#[track_caller]
fn is_stopped_at_the_limit(body: impl Fn(&mut TcpStream) + Send + Sync + 'static) {
    let is_bad = Arc::new(AtomicBool::new(false));
    let now_bad = Arc::clone(&is_bad);
    let host = Host::asking(&Raw::start(move |_, stream| match now_bad.load(Ordering::Relaxed) {
        true => body(stream),
        false => drop(stream.write_all(&response("200 OK", &["content-type: application/json"], TOKEN))),
    }));
    let token = host.get();
    let before = peak_memory(&host);
    is_bad.store(true, Ordering::Relaxed);
    let _ = host.install.cli(["renew", "app"]).run();
    host.failed_with("malformed", "the response of 127.0.0.1 is longer than 1048576 bytes");
    let grown = peak_memory(&host) - before;
    assert!(grown < FLAT, "the daemon grew by {grown} MiB");
    assert_eq!(host.get(), token);
}

#[test]
fn s30_a_coding_that_nobody_asked_for_is_named_as_the_cause() {
    let headers = ["content-type: application/json", "content-encoding: br"];
    let host = Host::asking(&Raw::saying(response("200 OK", &headers, TOKEN)));
    host.failed_with("malformed", "the response of 127.0.0.1 is compressed in a way that is not understood");
    host.refused(5, &["error: the response of 127.0.0.1 is compressed in a way", "; next try "]);
}

/// So many mebibytes of zeros, by repeating one that depends on nothing before it.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(64 * 1024);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(&vec![0; MIB], &mut block, FlushCompress::Full).unwrap();
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], block.repeat(mebibytes).as_slice()].concat()
}

/// In mebibytes.
fn peak_memory(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
