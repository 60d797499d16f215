//! Bytes that are encrypted and authenticated in one go.
//!
//! AES-256-GCM-SIV under a fresh random nonce each time; should a nonce ever repeat (a cloned virtual machine),
//! this mode loses nothing but that two equal contents look equal.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{error, rand};
use zeroize::Zeroizing;

/// Nonce, ciphertext and tag. What is associated is authenticated along with it, and not in it.
pub(crate) fn seal(key: &[u8], associated: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, error::Unspecified> {
    let cipher = cipher(key)?;
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce)?;
    // Room for all of it from the start: growing would leave copies of the plaintext behind.
    let length = NONCE_LEN + plaintext.len() + AES_256_GCM_SIV.tag_len();
    let mut sealed = Zeroizing::new(Vec::with_capacity(length));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let tag = cipher.seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(associated),
        &mut sealed[NONCE_LEN..],
    )?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(std::mem::take(&mut *sealed))
}

/// The plaintext of what was sealed with this key and the same associated bytes.
pub(crate) fn open(
    key: &[u8],
    associated: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, error::Unspecified> {
    let (nonce, sealed) = sealed.split_first_chunk().ok_or(error::Unspecified)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = cipher(key)?.open_in_place(nonce, Aad::from(associated), &mut buffer)?.len();
    buffer.truncate(length);
    Ok(buffer)
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, error::Unspecified> {
    UnboundKey::new(&AES_256_GCM_SIV, key).map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn what_was_sealed_is_opened_with_the_same_key_and_associated_bytes_only() {
        for plaintext in [&b""[..], b"hunter2"] {
            let sealed = seal(&KEY, b"file", plaintext).unwrap();
            assert_eq!(sealed.len(), 12 + plaintext.len() + 16);
            assert_eq!(*open(&KEY, b"file", &sealed).unwrap(), plaintext);
            assert!(open(&[8; 32], b"file", &sealed).is_err());
            assert!(open(&KEY, b"another", &sealed).is_err());
        }
    }

    #[test]
    fn every_change_and_truncation_is_noticed() {
        let sealed = seal(&KEY, b"file", b"hunter2").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&KEY, b"file", &changed).is_err(), "byte {at}");
            assert!(open(&KEY, b"file", &sealed[..at]).is_err(), "{at} bytes");
        }
    }
}
