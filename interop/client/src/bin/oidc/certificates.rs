//! An authority, and the certificates of servers and clients.

use std::{fs, net::Ipv4Addr, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tower_warden::Digest;
use tower_warden_interop::BoxError;

/// The authority that servers and clients trust, and the certificates of clients.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    /// Issued by the authority.
    pub(crate) client: ClientCertificate,
    /// Also issued by the authority, to another client.
    pub(crate) other: ClientCertificate,
    /// Issued by itself.
    pub(crate) self_signed: ClientCertificate,
}

/// A certificate and its key, in PEM.
pub(crate) struct ClientCertificate {
    key: String,
    pem: String,
    public_jwk: serde_json::Value,
}

impl Certificates {
    /// Creates them, and writes those of the servers to a folder: `ca.pem`, `server.pem` and `server.key`.
    pub(crate) fn create(folder: &Path) -> Result<Self, BoxError> {
        let mut authority = named("interop authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut server = named("localhost");
        let address = SanType::IpAddress(Ipv4Addr::LOCALHOST.into());
        server.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?), address];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        fs::write(folder.join("server.pem"), server.signed_by(&key, &authority)?.pem())?;
        fs::write(folder.join("server.key"), key.serialize_pem())?;
        fs::write(folder.join("ca.pem"), authority.as_ref().pem())?;

        let issued = |name: &str| -> Result<_, BoxError> {
            let key = KeyPair::generate()?;
            let pem = client(name)?.signed_by(&key, &authority)?.pem();
            ClientCertificate::new(pem, &key)
        };
        let (first, other) = (issued("mtls.client.example")?, issued("other.client.example")?);
        let key = KeyPair::generate()?;
        let self_signed = ClientCertificate::new(client("self.client.example")?.self_signed(&key)?.pem(), &key)?;
        Ok(Self { authority: authority.as_ref().pem(), client: first, other, self_signed })
    }
}

impl ClientCertificate {
    fn new(pem: String, key: &KeyPair) -> Result<Self, BoxError> {
        // An uncompressed point on P-256.
        let (x, y) = key.public_key_raw()[1..].split_at(32);
        let encode = |bytes| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let der = CertificateDer::from_pem_slice(pem.as_bytes())?;
        let public_jwk = serde_json::json!({
            "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "x5c": [BASE64_STANDARD.encode(&der)],
        });
        Ok(Self { key: key.serialize_pem(), pem, public_jwk })
    }

    /// The key with the certificate, for registration.
    pub(crate) fn public_jwk(&self) -> &serde_json::Value {
        &self.public_jwk
    }

    /// `x5t#S256`.
    pub(crate) fn thumbprint(&self) -> Result<String, BoxError> {
        Ok(Digest::of(&self.der()?).to_base64url())
    }

    /// The configuration of a client that presents it, and trusts the authority.
    pub(crate) fn tls(&self, authority: &str) -> Result<rustls::ClientConfig, BoxError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Ok(rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.der()?], key)?)
    }

    /// A client of reqwest that does the same.
    pub(crate) fn reqwest(&self, authority: &str) -> Result<reqwest::Client, BoxError> {
        Ok(reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes())?])
            .identity(reqwest::Identity::from_pem([&*self.pem, &*self.key].concat().as_bytes())?)
            .redirect(reqwest::redirect::Policy::none())
            .build()?)
    }

    fn der(&self) -> Result<CertificateDer<'static>, BoxError> {
        Ok(CertificateDer::from_pem_slice(self.pem.as_bytes())?)
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn client(name: &str) -> Result<CertificateParams, BoxError> {
    let mut client = named(name);
    client.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(client)
}
