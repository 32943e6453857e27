//! The client that `http` jobs share.

use std::{sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::address::PublicAddresses;
use crate::handlers::BuiltinError;

const USER_AGENT: &str = concat!("coatcheck/", env!("CARGO_PKG_VERSION"));

/// How long a name server and a connection may take together.
const CONNECT: Duration = Duration::from_secs(10);

/// How many unused connections to one host are kept, and how long.
const MOST_IDLE_PER_HOST: usize = 32;
const LONGEST_IDLE: Duration = Duration::from_secs(30);

pub(super) fn client(allow_private: bool) -> Result<reqwest::Client, BuiltinError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(MOST_IDLE_PER_HOST)
        .pool_idle_timeout(LONGEST_IDLE)
        .tls_backend_preconfigured(tls()?);
    if !allow_private {
        builder = builder.dns_resolver(PublicAddresses);
    }
    Ok(builder.build()?)
}

/// The provider of the cryptography is named here rather than installed for the whole process,
/// which belongs to whoever writes `main`. A machine without any CA certificate can still call
/// `http` URLs.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            errors = ?found.errors,
            "this machine has no CA certificates: http jobs cannot call https URLs"
        );
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
