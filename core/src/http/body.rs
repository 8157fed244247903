//! A body as it comes, whole in the end: within a limit, and unpacked where it came packed.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use zeroize::Zeroizing;

/// Why a body is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is larger than the limit.
    TooLarge,
    /// It is not what its encoding says.
    Unreadable,
}

/// What was kept so far: bytes up to a limit, in memory that is cleared. A buffer that grew by itself would leave copies of tokens behind.
pub(super) struct Kept {
    bytes: Zeroizing<Vec<u8>>,
    most: usize,
    /// Tells the one error of a writer apart: it was this limit.
    is_full: bool,
}

impl Write for Kept {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.most - self.bytes.len() {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.bytes.capacity() - self.bytes.len() < piece.len() {
            let mut larger = Zeroizing::new(Vec::with_capacity((self.bytes.len() + piece.len()).max(self.bytes.capacity() * 2)));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body that is being read.
pub(super) enum Body {
    Plain(Kept),
    /// Unpacked (gzip, RFC 1952) a few kilobytes at a time, so that a small body that stands for a huge one is noticed at the limit.
    Packed(Box<GzDecoder<Kept>>),
    /// It is said to be packed, and nothing of it has come yet: some servers say so of a body that is empty.
    Nothing(Kept),
}

impl Body {
    /// At most so many bytes, once unpacked; about this many are expected.
    pub(super) fn new(most: usize, expected: usize, is_packed: bool) -> Self {
        let kept = Kept { bytes: Zeroizing::new(Vec::with_capacity(expected.min(most))), most, is_full: false };
        match is_packed {
            true => Self::Nothing(kept),
            false => Self::Plain(kept),
        }
    }

    fn unfit(&self) -> Unfit {
        let kept = match self {
            Self::Plain(kept) | Self::Nothing(kept) => kept,
            Self::Packed(decoder) => decoder.get_ref(),
        };
        if kept.is_full { Unfit::TooLarge } else { Unfit::Unreadable }
    }

    /// Takes the next piece as it came.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Unfit> {
        if let Self::Nothing(kept) = self
            && !piece.is_empty()
        {
            let none = Kept { bytes: Zeroizing::default(), most: 0, is_full: false };
            *self = Self::Packed(Box::new(GzDecoder::new(std::mem::replace(kept, none))));
        }
        let done = match self {
            Self::Nothing(_) => Ok(()),
            Self::Plain(kept) => kept.write_all(piece),
            // What stands behind its end makes it unreadable.
            Self::Packed(decoder) => decoder.write_all(piece),
        };
        done.map_err(|_| self.unfit())
    }

    /// All of it. A packed body states its length and a check value at its end.
    pub(super) fn end(self) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        match self {
            Self::Plain(kept) | Self::Nothing(kept) => Ok(kept.bytes),
            Self::Packed(mut decoder) => {
                if decoder.try_finish().is_err() {
                    return Err(Self::Packed(decoder).unfit());
                }
                match decoder.finish() {
                    Ok(kept) => Ok(kept.bytes),
                    Err(_) => Err(Unfit::Unreadable),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// In pieces of this size.
    fn read(bytes: &[u8], size: usize, most: usize) -> Result<Vec<u8>, Unfit> {
        let mut body = Body::new(most, 0, true);
        for piece in bytes.chunks(size) {
            body.take(piece)?;
        }
        body.end().map(|bytes| bytes.to_vec())
    }

    #[test]
    fn what_was_packed_comes_out_whole_however_it_is_cut() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(|n| n.to_le_bytes()).collect();
        let bytes = packed(&text);
        for size in [1, 7, 1000, bytes.len()] {
            assert!(read(&bytes, size, text.len()).unwrap() == text);
            assert_eq!(read(&bytes, size, text.len() - 1), Err(Unfit::TooLarge));
        }
        assert_eq!(read(&packed(b""), 3, 0), Ok(Vec::new()));
    }

    #[test]
    fn what_is_cut_changed_or_too_long_is_unreadable() {
        let bytes = packed(b"a body that is long enough to be cut at each of its places");
        assert_eq!(read(b"", 16, 1000), Ok(Vec::new()), "nothing stands for nothing");
        for end in 1..bytes.len() {
            assert_eq!(read(&bytes[..end], 16, 1000), Err(Unfit::Unreadable), "cut at {end}");
        }
        // The check value and the length stand at the end.
        for at in bytes.len() - 8..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(read(&changed, 16, 1000), Err(Unfit::Unreadable), "changed at {at}");
        }
        assert_eq!(read(&[&bytes[..], b"more"].concat(), 16, 1000), Err(Unfit::Unreadable));
        assert_eq!(read(b"{\"plain\": true}", 16, 1000), Err(Unfit::Unreadable));
    }

    /// 64 MiB of zeros in less than 1 MiB: no more than the limit is ever kept.
    #[test]
    fn a_bomb_ends_at_the_limit() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..64).for_each(|_| encoder.write_all(&zeros).unwrap());
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 1 << 20);
        let mut body = Body::new(1 << 20, 0, true);
        let taken: usize = bomb.chunks(1024).map_while(|piece| body.take(piece).is_ok().then_some(piece.len())).sum();
        assert!(taken < bomb.len() / 16, "{taken} of {} bytes", bomb.len());
        let Body::Packed(decoder) = &body else { unreachable!() };
        assert!(decoder.get_ref().bytes.capacity() <= 1 << 20);
        assert_eq!(body.unfit(), Unfit::TooLarge);
    }
}
