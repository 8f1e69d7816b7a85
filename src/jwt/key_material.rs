//! What a key is made of, and which keys are good for nothing.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use simple_asn1::ASN1Block;
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Family};
use crate::digest::Digest;

const REFUSED: &str = "not a public key in PEM or DER that fits the algorithm";

/// What a key is made of.
pub(super) enum Material {
    Ed25519(Vec<u8>),
    MlDsa(Vec<u8>),
    /// Not compressed: `04 || x || y`.
    Point(Vec<u8>),
    /// Big-endian, without zeros in front.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Secret(Zeroizing<Vec<u8>>),
}

impl Material {
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let trimmed = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        Self::Rsa { modulus: trimmed(modulus), exponent: trimmed(exponent) }
    }

    pub(super) fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, &'static str> {
        // An algorithm and bits. A certificate holds the same, and limits that nobody would look at.
        let blocks = simple_asn1::from_der(der).map_err(|_| REFUSED)?;
        let [ASN1Block::Sequence(_, fields)] = &*blocks else { return Err(REFUSED) };
        let [ASN1Block::Sequence(..), ASN1Block::BitString(..)] = &**fields else { return Err(REFUSED) };
        // One way to read it, as PEM, which is the same in other letters.
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        Self::from_pem(algorithm, &pem)
    }

    pub(super) fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, &'static str> {
        // One, so that none is passed over.
        let mut labels = pem.split("-----BEGIN ").skip(1).filter_map(|rest| rest.split("-----").next());
        let (Some("PUBLIC KEY" | "RSA PUBLIC KEY"), None) = (labels.next(), labels.next()) else { return Err(REFUSED) };
        let key = match algorithm.family() {
            Family::Ec(..) => DecodingKey::from_ec_pem(pem.as_bytes()),
            Family::Ed25519 => DecodingKey::from_ed_pem(pem.as_bytes()),
            Family::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
            Family::Hmac(_) | Family::MlDsa(_) => return Err(REFUSED),
        };
        let key = key.map_err(|_| REFUSED)?;
        let DecodingKeyKind::SecretOrDer(bytes) = key.kind() else { return Err(REFUSED) };
        match algorithm.family() {
            Family::Ed25519 => Ok(Self::Ed25519(bytes.clone())),
            Family::Rsa => {
                // RFC 8017 appendix A.1.1: two integers; a private key has more.
                let blocks = simple_asn1::from_der(bytes).map_err(|_| REFUSED)?;
                let [ASN1Block::Sequence(_, fields)] = &*blocks else { return Err(REFUSED) };
                let [ASN1Block::Integer(_, modulus), ASN1Block::Integer(_, exponent)] = &**fields else {
                    return Err(REFUSED);
                };
                Ok(Self::rsa(&modulus.to_bytes_be().1, &exponent.to_bytes_be().1))
            }
            Family::Ec(..) | Family::Hmac(_) | Family::MlDsa(_) => Ok(Self::Point(bytes.clone())),
        }
    }

    /// Whether the algorithm is safe with it.
    pub(super) fn check(&self, algorithm: Algorithm) -> Result<(), &'static str> {
        match (self, algorithm.family()) {
            (Self::Ed25519(key), Family::Ed25519) => check_ed25519(key),
            (Self::MlDsa(key), Family::MlDsa(size)) if key.len() == size => Ok(()),
            (Self::Point(point), Family::Ec(_, size)) if point.len() == 1 + 2 * size && point[0] == 4 => Ok(()),
            (Self::Rsa { modulus, exponent }, Family::Rsa) => check_rsa(modulus, exponent),
            (Self::Secret(secret), Family::Hmac(size)) => check_secret(secret, size),
            _ => Err("the key does not fit the algorithm"),
        }
    }

    /// The thumbprint of the JWK, RFC 7638 §3 and RFC 8037 §2: what it must have, in the order of the names. Of a secret,
    /// its digest.
    pub(super) fn thumbprint(&self, algorithm: Algorithm) -> Digest {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = match self {
            Self::Ed25519(key) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(key)),
            Self::MlDsa(key) => format!(r#"{{"alg":"{algorithm}","kty":"AKP","pub":"{}"}}"#, text(key)),
            Self::Point(point) => {
                // Others were refused, for their point does not fit the algorithm.
                let curve = if let Family::Ec(curve, _) = algorithm.family() { curve } else { "" };
                // The first byte tells the form.
                let (x, y) = point[1..].split_at(point.len() / 2);
                format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Self::Rsa { modulus, exponent } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(exponent), text(modulus))
            }
            Self::Secret(secret) => return Digest::of(secret),
        };
        Digest::of(jwk.as_bytes())
    }
}

fn check_secret(secret: &[u8], size: usize) -> Result<(), &'static str> {
    if secret.len() < size {
        // RFC 7518 §3.2.
        return Err("a secret has at least the size of the algorithm's hash");
    }
    let is_pem = secret.windows(10).any(|window| window == b"-----BEGIN");
    if is_pem { Err("a key in PEM is no secret") } else { Ok(()) }
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), &'static str> {
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
    // RFC 7518 §3.3 and §3.5: 2048 bits or more.
    if !(2048..=8192).contains(&bits) || !is_odd(modulus) {
        return Err("an RSA key has 2048 to 8192 bits");
    }
    if !is_odd(exponent) || exponent == [1] || exponent.len() > 4 {
        return Err("the exponent of an RSA key is odd, and from 3 to 2^32");
    }
    if is_roca(modulus) {
        return Err("the RSA key was made by a broken generator (ROCA)");
    }
    Ok(())
}

/// CVE-2017-15361: such a modulus is a power of 65537 modulo each of these primes, by chance one in 2^27.
fn is_roca(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65537 % prime) % prime));
        powers.take(*prime as usize).any(|power| power == rest)
    })
}

/// Keys of small order verify signatures that nobody made.
fn check_ed25519(key: &[u8]) -> Result<(), &'static str> {
    // y of the points whose order divides eight, least byte first, and the same above p; the sign of x does not matter.
    const ORDER_EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Ok(mut y) = <[u8; 32]>::try_from(key) else { return Err("an Ed25519 key has 32 bytes") };
    y[31] &= 0x7f;
    // 0, 1, and p-1, p, p+1 for p = 2^255 - 19.
    let is_tiny = y[0] <= 1 && y[1..].iter().all(|byte| *byte == 0);
    let is_about_p = (0xec..=0xee).contains(&y[0]) && y[1..31].iter().all(|byte| *byte == 0xff) && y[31] == 0x7f;
    if is_tiny || is_about_p || ORDER_EIGHT.contains(&y) {
        return Err("an Ed25519 key of small order verifies anything");
    }
    Ok(())
}
