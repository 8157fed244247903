//! Sealing under one key: XChaCha20-Poly1305 with a fresh nonce from the operating system.

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::{Result, error::err, ids};

/// Bytes of a key.
pub(super) const KEY: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;

/// A key in memory that is cleared on drop. On the heap, so that moving it leaves no copy behind.
pub(super) struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Takes over 32 bytes; `None` when there are more or fewer.
    pub(super) fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() == KEY).then_some(Self(bytes))
    }

    pub(super) fn random() -> Result<Self> {
        let mut bytes = Zeroizing::new(vec![0; KEY]);
        ids::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305> {
        XChaCha20Poly1305::new_from_slice(&self.0).map_err(|_| err!(Internal, "a key has the wrong length"))
    }

    /// `head`, nonce, ciphertext, tag. The head is bound too; all heads under one key have the same length.
    pub(super) fn seal(&self, head: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let start = head.len() + NONCE;
        let mut out = Vec::with_capacity(start + plain.len() + TAG);
        out.extend_from_slice(head);
        out.resize(start, 0);
        ids::fill(&mut out[head.len()..])?;
        let nonce = XNonce::try_from(&out[head.len()..]).map_err(|_| err!(Internal, "a nonce has the wrong length"))?;
        out.extend_from_slice(plain);
        // In place: the plaintext is never copied elsewhere.
        let tag = self.cipher()?.encrypt_inout_detached(&nonce, &[head, aad].concat(), (&mut out[start..]).into());
        let tag = tag.map_err(|_| err!(Internal, "a value is too long to be sealed"))?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// What was sealed with a head of this length; `None` when anything differs.
    pub(super) fn unseal(&self, head: usize, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (head, rest) = sealed.split_at_checked(head)?;
        let (nonce, rest) = rest.split_at_checked(NONCE)?;
        let (body, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let (nonce, tag) = (XNonce::try_from(nonce).ok()?, Tag::try_from(tag).ok()?);
        self.cipher().ok()?.decrypt_inout_detached(&nonce, &[head, aad].concat(), plain.as_mut_slice().into(), &tag).ok()?;
        Some(plain)
    }
}
