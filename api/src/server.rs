//! The HTTP server: what every request passes through, the address, TLS.

use std::{
    fs::File,
    io::BufReader,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::{Compress, from_fn},
    web,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::{
    auth::identify,
    middleware::{answer, compression, limits},
    routes::{self, Surface},
    state::AppState,
};

/// How long a stopping server waits for answers that are under way.
const SHUTDOWN: u64 = 30;
/// How long a client may take for a request's head.
const REQUEST_HEAD: Duration = Duration::from_secs(15);
/// How long an idle connection stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Where to listen, and as what.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Address; port 0 picks a free one.
    pub listen: SocketAddr,
    /// PEM files of certificate chain and private key, when the server speaks TLS itself.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Which routes.
    pub surface: Surface,
}

/// A server that listens, and begins to answer when `server` is awaited.
pub struct Bound {
    /// The address it listens on.
    pub address: SocketAddr,
    /// The server itself.
    pub server: Server,
    /// Stops it: `handle.stop(true)` lets answers under way finish.
    pub handle: ServerHandle,
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken or not of this machine.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file of the certificate cannot be read, or holds something else.
    #[error("the TLS file {}: {reason}", path.display())]
    TlsFile {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not fit.
    #[error("the TLS certificate cannot be used: {0}")]
    Tls(#[source] rustls::Error),
}

/// Binds the address. Signals are the caller's: on one it calls `Drain::begin` and stops the handle.
///
/// # Errors
/// See [`BindError`].
pub fn bind(state: web::Data<AppState>, binding: &Binding) -> Result<Bound, BindError> {
    let surface = binding.surface;
    let server = HttpServer::new(move || app(state.clone(), surface))
        .disable_signals()
        .shutdown_timeout(SHUTDOWN)
        .client_request_timeout(REQUEST_HEAD)
        .keep_alive(KEEP_ALIVE);
    let failed = |source| BindError::Address {
        address: binding.listen,
        source,
    };
    let server = match &binding.tls {
        None => server.bind(binding.listen).map_err(failed)?,
        Some((certificate, key)) => {
            let config = tls_config(certificate, key)?;
            server
                .bind_rustls_0_23(binding.listen, config)
                .map_err(failed)?
        }
    };
    let address = server.addrs().first().copied().unwrap_or(binding.listen);
    let server = server.run();
    let handle = server.handle();
    Ok(Bound {
        address,
        server,
        handle,
    })
}

/// The application: routes, and the layers around them. The last layer named is the outermost.
pub fn app(
    state: web::Data<AppState>,
    surface: Surface,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl actix_web::body::MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(state)
        .configure(|config| routes::register(config, surface))
        .wrap(from_fn(identify::identify))
        .wrap(from_fn(limits::refuse_oversized))
        .wrap(from_fn(compression::mark_incompressible))
        .wrap(Compress::default())
        .wrap(from_fn(answer::complete))
}

fn tls_config(certificate: &Path, key: &Path) -> Result<ServerConfig, BindError> {
    let bad = |path: &Path, reason: String| BindError::TlsFile {
        path: path.to_owned(),
        reason,
    };
    let open = |path: &Path| {
        File::open(path)
            .map(BufReader::new)
            .map_err(|error| bad(path, error.to_string()))
    };
    let chain = CertificateDer::pem_reader_iter(open(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(certificate, "no certificate in it".to_owned()));
    }
    let key_der =
        PrivateKeyDer::from_pem_reader(open(key)?).map_err(|error| bad(key, error.to_string()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(BindError::Tls)?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(BindError::Tls)
}

#[cfg(test)]
mod tests;
