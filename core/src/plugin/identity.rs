use std::{fmt, sync::Arc};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::{
    Secret,
    error::{Result, bail},
};

/// A certificate and its private key, by which a client proves itself below HTTP (RFC 8705). Cheap to clone; Debug shows nothing.
#[derive(Clone)]
pub struct ClientIdentity(Arc<Parts>);

struct Parts {
    chain: Vec<CertificateDer<'static>>,
    /// The key in PEM form, cleared on drop.
    key: Secret,
    print: [u8; 32],
}

impl ClientIdentity {
    /// From PEM texts: the certificate, followed by those that vouch for it if the provider wants them, and the key (PKCS #8,
    /// PKCS #1 or SEC 1). Without a key the first text holds it too.
    ///
    /// # Errors
    /// `project_invalid` when there is no certificate or no key in them. Whether they fit each other is seen when they are used.
    pub fn from_pem(certificates: &Secret, key: Option<&Secret>) -> Result<Self> {
        let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(certificates.expose().as_bytes()).collect();
        let Some(chain) = chain.ok().filter(|chain| !chain.is_empty()) else {
            bail!(ProjectInvalid, "the client's certificate is none in PEM form")
        };
        let key = key.unwrap_or(certificates).clone();
        let Ok(mut der) = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()) else {
            bail!(ProjectInvalid, "the key of the client's certificate is none in PEM form")
        };
        let mut digest = Sha256::new();
        for certificate in &chain {
            digest.update(certificate.as_ref());
        }
        digest.update(der.secret_der());
        // The parser's own copy of the key.
        der.zeroize();
        Ok(Self(Arc::new(Parts { chain, key, print: digest.finalize().into() })))
    }

    /// Tells one identity from another, in this process only: it is made of the key as well.
    pub(crate) fn print(&self) -> [u8; 32] {
        self.0.print
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.chain.clone()
    }

    /// The key, for a TLS library.
    pub(crate) fn key(&self) -> Option<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(self.0.key.expose().as_bytes()).ok()
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(…)")
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.0.print == other.0.print
    }
}
