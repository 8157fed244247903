//! A gzip member that is small and unpacks to much (RFC 1951, RFC 1952), made by hand: no library of the tests packs.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// How many times 258 spaces stand before the text.
const RUNS: usize = 1 << 16;

/// Bits in the order of DEFLATE.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn bit(&mut self, bit: u32) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        *self.bytes.last_mut().unwrap() |= u8::try_from(bit << (self.used % 8)).unwrap();
        self.used += 1;
    }

    /// A Huffman code: its highest bit comes first.
    fn code(&mut self, code: u32, length: u32) {
        (0..length).rev().for_each(|at| self.bit(code >> at & 1));
    }

    /// A byte of ASCII, in the fixed codes.
    fn literal(&mut self, byte: u8) {
        assert!(byte.is_ascii());
        self.code(0b0011_0000 + u32::from(byte), 8);
    }
}

/// 16 MiB of spaces and then the text, in about 100 KiB. To whoever unpacks it, a good JSON document.
pub fn bomb(text: &str) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, with the fixed codes.
    [1, 1, 0].into_iter().for_each(|bit| bits.bit(bit));
    bits.literal(b' ');
    for _ in 0..RUNS {
        // Length 258, distance 1.
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    text.bytes().for_each(|byte| bits.literal(byte));
    bits.code(0, 7);
    let spaces = 1 + RUNS * 258;
    let sum = text.bytes().fold((0..spaces).fold(u32::MAX, |sum, _| crc(sum, b' ')), crc) ^ u32::MAX;
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    packed.extend(bits.bytes);
    packed.extend(sum.to_le_bytes());
    packed.extend(u32::try_from(spaces + text.len()).unwrap().to_le_bytes());
    packed
}

/// CRC-32, one byte on.
fn crc(sum: u32, byte: u8) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ sum >> 8
}

/// What an unpacker that others wrote makes of it.
#[test]
fn the_bomb_is_one() {
    let packed = bomb("{\"ok\": true}");
    assert!(packed.len() < 128 * 1024, "{} bytes", packed.len());
    let script = "const all = require('zlib').gunzipSync(require('fs').readFileSync(0)); console.log(all.length, JSON.parse(all).ok)";
    let mut node = Command::new("node").args(["-e", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node is there");
    node.stdin.take().unwrap().write_all(&packed).unwrap();
    let said = String::from_utf8(node.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said.trim(), format!("{} true", 1 + RUNS * 258 + 12));
}
