//! Signed tokens (RFC 7515, compact form), as providers ask for them: ES256 and RS256.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use zeroize::Zeroizing;

const SCALAR_BYTES: usize = 32;

/// Something that signs.
pub(super) trait Signs {
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

/// `header.claims.signature`.
pub(super) fn token(header: &impl Serialize, claims: &impl Serialize, key: &impl Signs) -> String {
    let signed = signed_part(header, claims);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

pub(super) fn signed_part(header: &impl Serialize, claims: &impl Serialize) -> String {
    let part = |json: Result<Vec<u8>, _>| URL_SAFE_NO_PAD.encode(json.expect("texts and numbers serialize"));
    format!("{}.{}", part(serde_json::to_vec(header)), part(serde_json::to_vec(claims)))
}

/// A key of P-256 that signs.
pub(super) struct Es256(EcdsaKeyPair);

impl Es256 {
    /// Reads PKCS#8 in PEM.
    pub(super) fn from_pem(pem: &str) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der()).ok().map(Self)
    }

    /// Reads the bare number that a private key is.
    pub(super) fn from_scalar(scalar: &[u8]) -> Option<Self> {
        let public = PrivateKey::from_private_key(&ECDH_P256, scalar).ok()?.compute_public_key().ok()?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, public.as_ref()).ok().map(Self)
    }

    /// A new private key, as [`Es256::from_scalar`] reads it.
    pub(super) fn draw_scalar() -> Result<Zeroizing<[u8; SCALAR_BYTES]>, getrandom::Error> {
        loop {
            let mut scalar = Zeroizing::new([0; SCALAR_BYTES]);
            getrandom::fill(&mut *scalar)?;
            // Of 2^32 numbers, one is none of the curve.
            if Self::from_scalar(&*scalar).is_some() {
                return Ok(scalar);
            }
        }
    }

    /// The public key: a point, not compressed.
    pub(super) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

impl Signs for Es256 {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        signature.expect("a key that was read signs").as_ref().to_vec()
    }
}

/// An RSA key that signs.
pub(super) struct Rs256(RsaKeyPair);

impl Rs256 {
    /// Reads PKCS#8 in PEM; keys of 2048 to 8192 bits.
    pub(super) fn from_pem(pem: &str) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok().map(Self)
    }
}

impl Signs for Rs256 {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let signed = self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.expect("a key that was read signs");
        signature
    }
}

#[cfg(test)]
mod tests;
