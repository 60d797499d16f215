//! The thread behind a server: accepts connections until it is told to stop, then cuts them all.

use std::fmt;
use std::net;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::routes;
use super::state::Server;
use crate::certificates::ServerCertificate;

/// A thread that serves; dropping it closes the port and every connection.
pub(super) struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Connections made from now on are answered, as soon as the thread gets to it.
    pub(super) fn start(listener: net::TcpListener, tls: Option<TlsAcceptor>, server: Arc<Server>) -> Self {
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("auth-server".into())
            .spawn(move || serve(listener, tls, server, stopped))
            .expect("a thread can be started");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the authorization server's thread panicked");
        }
    }
}

/// What TLS connections to this certificate's server are accepted with.
pub(super) fn acceptor(certificate: &ServerCertificate) -> TlsAcceptor {
    TlsAcceptor::from(tls_config(certificate))
}

/// How a server with this certificate speaks TLS.
pub(crate) fn tls_config(certificate: &ServerCertificate) -> Arc<ServerConfig> {
    let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).expect("it is in PEM");
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("it is in PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("the key is the certificate's");
    Arc::new(config)
}

fn serve(
    listener: net::TcpListener,
    tls: Option<TlsAcceptor>,
    server: Arc<Server>,
    stopped: oneshot::Receiver<()>,
) {
    // Connections are tasks of this runtime: they end with it.
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
        tokio::select! {
            _ = stopped => {}
            () = accept(listener, tls, server) => {}
        }
    });
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, tls.clone(), Arc::clone(&server)))),
            // Out of descriptors, most likely: others must get the chance to close theirs.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, server: Arc<Server>) {
    // A client that breaks the connection off is a test's doing, and what the test looks at.
    match tls {
        None => http(stream, server).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                http(stream, server).await;
            }
        }
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin, server: Arc<Server>) {
    let service = service_fn(|request| {
        let server = Arc::clone(&server);
        async move {
            let reply = routes::answer(request, &server).await;
            reply.map(|reply| reply.into_response()).ok_or(Disconnect)
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// How a handler tells hyper to close the connection without an answer.
#[derive(Debug)]
struct Disconnect;

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Disconnect {}
