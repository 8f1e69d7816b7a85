//! An authority, and the certificates that it issues.

use std::{error::Error, fs, net::Ipv4Addr, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// Writes `ca.pem`, and for `server`, `client`, `other` and `self` a certificate and its key: `client.pem`, `client.key`. That of
/// `self` is not issued by the authority.
pub(crate) fn create(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut authority = named("interop authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    fs::write(folder.join("ca.pem"), authority.as_ref().pem())?;

    let mut server = named("server");
    let address = SanType::IpAddress(Ipv4Addr::LOCALHOST.into());
    server.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?), address];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    write(folder, "server", &server, &authority)?;
    for name in ["client", "other"] {
        let mut client = named(name);
        client.subject_alt_names = vec![SanType::DnsName(format!("{name}.example").try_into()?)];
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        write(folder, name, &client, &authority)?;
    }
    // The same name as `client`, which only the authority vouches for.
    let mut own = named("client");
    own.subject_alt_names = vec![SanType::DnsName("client.example".try_into()?)];
    let key = KeyPair::generate()?;
    fs::write(folder.join("self.pem"), own.self_signed(&key)?.pem())?;
    fs::write(folder.join("self.key"), key.serialize_pem())?;
    Ok(())
}

fn write(
    folder: &Path,
    name: &str,
    params: &CertificateParams,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> Result<(), Box<dyn Error>> {
    let key = KeyPair::generate()?;
    fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, authority)?.pem())?;
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    Ok(())
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
