//! TLS to external buses: rustls, with the cryptography that everything else here uses.

use std::sync::Arc;

use flagbase_core::catalog::BoxError;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::target::TlsTarget;

/// A file that TLS needs cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` cannot be used for TLS")]
struct FileError {
    file: String,
    #[source]
    source: BoxError,
}

fn unusable(file: &str, source: impl Into<BoxError>) -> FileError {
    FileError { file: file.to_owned(), source: source.into() }
}

/// What a client needs to know to speak TLS as `target` wants it.
pub(crate) fn client(target: &TlsTarget) -> Result<ClientConfig, BoxError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(target.ca.as_deref())?);
    match &target.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
            Ok(builder.with_client_auth_cert(certificates(certificate)?, secret)?)
        }
    }
}

fn roots(ca: Option<&str>) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, error))?;
            }
        }
        // A system may have some that rustls does not take; the others serve.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(file, error))?;
    if found.is_empty() { Err(unusable(file, "it holds no certificate")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorities_of_the_system_are_trusted_unless_told_otherwise() {
        assert!(client(&TlsTarget::default()).is_ok());
    }

    #[test]
    fn a_file_that_is_missing_or_no_certificate_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for file in [empty.to_str().unwrap(), "/nowhere/ca.pem"] {
            let target = TlsTarget { ca: Some(file.to_owned()), ..TlsTarget::default() };
            assert!(client(&target).unwrap_err().to_string().contains(file));
        }
    }
}
