//! The material of keys, and checks that refuse weak keys.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use simple_asn1::ASN1Block;
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, KeyType};
use crate::digest::Digest;

const NOT_A_PUBLIC_KEY: &str = "a key is a public key in PEM or DER that fits the algorithm";

/// The material of a key.
pub(super) enum KeyMaterial {
    Ed25519(Vec<u8>),
    MlDsa(Vec<u8>),
    /// An uncompressed point: `04 || x || y`.
    Point(Vec<u8>),
    /// Big-endian integers without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Secret(Zeroizing<Vec<u8>>),
}

impl KeyMaterial {
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let trimmed = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        Self::Rsa { modulus: trimmed(modulus), exponent: trimmed(exponent) }
    }

    pub(super) fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, &'static str> {
        // An algorithm and a bit string. A certificate contains a key too, with restrictions that would not be checked.
        let blocks = simple_asn1::from_der(der).map_err(|_| NOT_A_PUBLIC_KEY)?;
        let [ASN1Block::Sequence(_, fields)] = &*blocks else { return Err(NOT_A_PUBLIC_KEY) };
        let [ASN1Block::Sequence(..), ASN1Block::BitString(..)] = &**fields else { return Err(NOT_A_PUBLIC_KEY) };
        // There is one code path, for PEM, which is the same data in base64.
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        Self::from_pem(algorithm, &pem)
    }

    pub(super) fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, &'static str> {
        // Exactly one, so that no further key is ignored.
        let mut labels = pem.split("-----BEGIN ").skip(1).filter_map(|rest| rest.split("-----").next());
        let (Some("PUBLIC KEY" | "RSA PUBLIC KEY"), None) = (labels.next(), labels.next()) else {
            return Err(NOT_A_PUBLIC_KEY);
        };
        let key = match algorithm.key_type() {
            KeyType::Ec(..) => DecodingKey::from_ec_pem(pem.as_bytes()),
            KeyType::Ed25519 => DecodingKey::from_ed_pem(pem.as_bytes()),
            KeyType::Rsa => DecodingKey::from_rsa_pem(pem.as_bytes()),
            KeyType::Hmac(_) | KeyType::MlDsa(_) => return Err(NOT_A_PUBLIC_KEY),
        };
        let key = key.map_err(|_| NOT_A_PUBLIC_KEY)?;
        let DecodingKeyKind::SecretOrDer(bytes) = key.kind() else { return Err(NOT_A_PUBLIC_KEY) };
        match algorithm.key_type() {
            KeyType::Ed25519 => Ok(Self::Ed25519(bytes.clone())),
            KeyType::Rsa => {
                // RFC 8017 appendix A.1.1: two integers; a private key has more.
                let blocks = simple_asn1::from_der(bytes).map_err(|_| NOT_A_PUBLIC_KEY)?;
                let [ASN1Block::Sequence(_, fields)] = &*blocks else { return Err(NOT_A_PUBLIC_KEY) };
                let [ASN1Block::Integer(_, modulus), ASN1Block::Integer(_, exponent)] = &**fields else {
                    return Err(NOT_A_PUBLIC_KEY);
                };
                Ok(Self::rsa(&modulus.to_bytes_be().1, &exponent.to_bytes_be().1))
            }
            KeyType::Ec(..) | KeyType::Hmac(_) | KeyType::MlDsa(_) => Ok(Self::Point(bytes.clone())),
        }
    }

    /// Checks that the key fits the algorithm and is not weak.
    pub(super) fn check(&self, algorithm: Algorithm) -> Result<(), &'static str> {
        match (self, algorithm.key_type()) {
            (Self::Ed25519(key), KeyType::Ed25519) => check_ed25519(key),
            (Self::MlDsa(key), KeyType::MlDsa(size)) if key.len() == size => Ok(()),
            (Self::Point(point), KeyType::Ec(_, size)) if point.len() == 1 + 2 * size && point[0] == 4 => Ok(()),
            (Self::Rsa { modulus, exponent }, KeyType::Rsa) => check_rsa(modulus, exponent),
            (Self::Secret(secret), KeyType::Hmac(size)) => check_secret(secret, size),
            _ => Err("the key does not fit the algorithm"),
        }
    }

    /// The thumbprint of the JWK (RFC 7638 §3, RFC 8037 §2): a digest of its required members in lexicographic order. For
    /// a secret key, the digest of the secret.
    pub(super) fn thumbprint(&self, algorithm: Algorithm) -> Digest {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = match self {
            Self::Ed25519(key) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(key)),
            Self::MlDsa(key) => format!(r#"{{"alg":"{algorithm}","kty":"AKP","pub":"{}"}}"#, text(key)),
            Self::Point(point) => {
                // `check` refuses a point with any other type of algorithm.
                let curve = if let KeyType::Ec(curve, _) = algorithm.key_type() { curve } else { "" };
                // The first byte is the form of the point.
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
        return Err("a secret key is at least as long as the hash of its algorithm");
    }
    let is_pem = secret.windows(10).any(|window| window == b"-----BEGIN");
    if is_pem { Err("a secret key is not a key in PEM, which may be public") } else { Ok(()) }
}

fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), &'static str> {
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
    // RFC 7518 §3.3 and §3.5: 2048 bits or more.
    if !(2048..=8192).contains(&bits) || !is_odd(modulus) {
        return Err("an RSA key has 2048 to 8192 bits and an odd modulus");
    }
    if !is_odd(exponent) || exponent == [1] || exponent.len() > 4 {
        return Err("the exponent of an RSA key is odd, and from 3 to 2^32");
    }
    if is_roca(modulus) {
        return Err("the RSA key comes from a broken generator (ROCA, CVE-2017-15361) and must be replaced");
    }
    Ok(())
}

/// CVE-2017-15361: such a modulus is a power of 65537 modulo each of these primes, as is one in 2^27 others by chance.
fn is_roca(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * (65537 % prime) % prime));
        powers.take(*prime as usize).any(|power| power == rest)
    })
}

/// Refuses keys of small order, for which signatures can be made without a private key.
fn check_ed25519(key: &[u8]) -> Result<(), &'static str> {
    // y of the points of order eight in little-endian; the sign of x is masked out.
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
    let is_zero_or_one = y[0] <= 1 && y[1..].iter().all(|byte| *byte == 0);
    let is_near_p = (0xec..=0xee).contains(&y[0]) && y[1..31].iter().all(|byte| *byte == 0xff) && y[31] == 0x7f;
    if is_zero_or_one || is_near_p || ORDER_EIGHT.contains(&y) {
        return Err("an Ed25519 key of small order is not accepted");
    }
    Ok(())
}
