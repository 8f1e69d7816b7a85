//! Authorities, and certificates that they issue.
#![allow(dead_code, reason = "the tests of tower-warden-tls share this file, and each crate uses a part")]

use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower_warden::{
    Digest,
    certificate::{ChainStatus, PeerCertificate},
};

/// Issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a server on the loopback.
    pub fn server(&self) -> Holder {
        let mut params = named("server");
        params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        self.issue(&params)
    }

    /// A client's certificate with this common name.
    pub fn client(&self, name: &str) -> Holder {
        self.issue(&client(name))
    }

    pub fn issue(&self, params: &CertificateParams) -> Holder {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Holder { certificate: certificate.der().to_vec(), key }
    }

    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.as_ref().der().clone()
    }
}

/// A certificate and its key.
pub struct Holder {
    pub certificate: Vec<u8>,
    pub key: KeyPair,
}

impl Holder {
    /// Nobody vouches for it.
    pub fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap().der().to_vec(), key }
    }

    pub fn thumbprint(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// As the other end of a connection.
    pub fn peer(&self, chain: ChainStatus) -> PeerCertificate {
        PeerCertificate::from_der(&self.certificate, chain).unwrap()
    }

    pub fn pem(&self) -> String {
        use base64::Engine;
        let body = base64::prelude::BASE64_STANDARD.encode(&self.certificate);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    pub fn for_rustls(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        (vec![CertificateDer::from(self.certificate.clone())], key)
    }
}

/// What a client's certificate says.
pub fn client(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
