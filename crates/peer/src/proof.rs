//! Proof that a side knows the shared secret, without saying it.
//!
//! HMAC-SHA256 over both Hellos, each with a nonce of 32 bytes, and the role of the prover: a proof that was
//! overheard is good for no other connection and not for the other side. With mTLS the proof is empty, the
//! certificates have said it all.

use aws_lc_rs::{hmac, rand};

use crate::Security;

const NONCE_BYTES: usize = 32;

/// Which side proves.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Dialler,
    Acceptor,
}

/// The shared secret, if there is one.
pub(crate) struct Secret(Option<hmac::Key>);

impl Secret {
    pub(crate) fn of(security: &Security) -> Self {
        match security {
            Security::Secret(secret) => Self(Some(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))),
            Security::Mtls { .. } => Self(None),
        }
    }

    /// The proof of one side; both Hellos as their bytes were on the wire.
    pub(crate) fn prove(&self, role: Role, dialler: &[u8], acceptor: &[u8]) -> Vec<u8> {
        self.0.as_ref().map_or_else(Vec::new, |key| sign(key, role, dialler, acceptor).as_ref().to_vec())
    }

    /// Whether a proof of the other side is right; compares in constant time.
    pub(crate) fn is_proven(&self, proof: &[u8], role: Role, dialler: &[u8], acceptor: &[u8]) -> bool {
        match &self.0 {
            Some(key) => hmac::verify(key, &message(role, dialler, acceptor), proof).is_ok(),
            None => proof.is_empty(),
        }
    }

    /// The actor library's own secret. Its authentication is weak (a challenge of 32 bits), so it never sees ours.
    pub(crate) fn cookie(&self, cluster: &str) -> String {
        let tag = self.0.as_ref().map(|key| hmac::sign(key, b"watershed cookie"));
        tag.map_or_else(|| cluster.to_owned(), |tag| tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn sign(key: &hmac::Key, role: Role, dialler: &[u8], acceptor: &[u8]) -> hmac::Tag {
    hmac::sign(key, &message(role, dialler, acceptor))
}

fn message(role: Role, dialler: &[u8], acceptor: &[u8]) -> Vec<u8> {
    let role = match role {
        Role::Dialler => b"watershed dialler ",
        Role::Acceptor => b"watershed acceptor",
    };
    // The length keeps one Hello's end from being the other's beginning.
    let length = u64::try_from(dialler.len()).expect("invariant: usize fits in u64").to_be_bytes();
    [role.as_slice(), &length, dialler, acceptor].concat()
}

/// Bytes that nobody can guess.
pub(crate) fn nonce() -> Vec<u8> {
    random::<NONCE_BYTES>().to_vec()
}

/// A number that nobody can guess; never 0.
pub(crate) fn token() -> u64 {
    u64::from_be_bytes(random::<8>()).max(1)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("invariant: the system has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::of(&Security::Secret(text.to_owned()))
    }

    #[test]
    fn a_proof_is_good_for_its_hellos_role_and_secret_only() {
        let right = secret("the right secret");
        let proof = right.prove(Role::Dialler, b"one", b"two");
        assert!(right.is_proven(&proof, Role::Dialler, b"one", b"two"));
        assert!(!right.is_proven(&proof, Role::Acceptor, b"one", b"two"));
        assert!(!right.is_proven(&proof, Role::Dialler, b"onet", b"wo"));
        assert!(!right.is_proven(&[], Role::Dialler, b"one", b"two"));
        assert!(!secret("the wrong secret").is_proven(&proof, Role::Dialler, b"one", b"two"));
    }

    #[test]
    fn the_cookie_is_not_the_secret() {
        let cookie = secret("the right secret").cookie("east");
        assert_eq!(cookie.len(), 64);
        assert!(!cookie.contains("right"));
        assert_ne!(nonce(), nonce());
    }
}
