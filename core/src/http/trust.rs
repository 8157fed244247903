//! Which certificates are trusted: the platform's, and those of an authority that the caller names.

use std::sync::Arc;

use rustls::{
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::transport::crypto;
use crate::error::{Error, Result, err};

fn unusable() -> Error {
    err!(InvalidRequest, "a certificate of the authority cannot be used")
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = || err!(InvalidRequest, "the certificate authority is no PEM with certificates");
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
    if certificates.is_empty() { Err(wrong()) } else { Ok(certificates) }
}

/// The certificates that the platform trusts, read once; `None` where it has none.
#[cfg(not(target_os = "android"))]
pub(super) fn platform() -> Option<Arc<dyn ServerCertVerifier>> {
    use std::sync::OnceLock;

    use rustls_platform_verifier::Verifier;

    static PLATFORM: OnceLock<Arc<Verifier>> = OnceLock::new();
    match PLATFORM.get() {
        Some(verifier) => Some(verifier.clone()),
        None => Verifier::new(crypto()).ok().map(|made| PLATFORM.get_or_init(|| Arc::new(made)).clone() as _),
    }
}

/// Those and the ones of an authority, as PEM.
#[cfg(not(target_os = "android"))]
pub(super) fn with_authority(pem: &[u8]) -> Result<Arc<dyn ServerCertVerifier>> {
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(certificates(pem)?, crypto());
    Ok(Arc::new(verifier.map_err(|_| unusable())?))
}

/// Android's are in reach of its own language only: the host reads them and names them as an authority.
#[cfg(target_os = "android")]
pub(super) fn platform() -> Option<Arc<dyn ServerCertVerifier>> {
    None
}

/// An authority's certificates, as PEM.
#[cfg(target_os = "android")]
pub(super) fn with_authority(pem: &[u8]) -> Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = rustls::RootCertStore::empty();
    // A device has some that nobody can read any more.
    if roots.add_parsable_certificates(certificates(pem)?).0 == 0 {
        return Err(unusable());
    }
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto()).build();
    verifier.map(|made| made as _).map_err(|_| unusable())
}
