//! JSON strings: where the plain text in them ends, and how the rest is written. Eight bytes are looked at at a time.

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((byte, others)) = special.split_first() else { break };
        rest = others;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.push(b'"');
}

/// How many bytes come before the first that cannot stand in a JSON string as it is: a quote, a backslash, a control
/// character.
#[inline]
pub fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(eight) = bytes[len..].first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*eight));
        if special != 0 {
            return len + special.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    bytes[len..].iter().position(special).map_or(bytes.len(), |at| len + at)
}

/// Marks the first special byte of eight with its highest bit, and perhaps some after it ("Bit Twiddling Hacks",
/// Determine if a word has a byte less than n).
#[inline]
fn special_bytes(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equal = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    (below(eight, 0x20) | equal(b'"') | equal(b'\\')) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(mut bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let special = |byte: &u8| matches!(*byte, 0..=0x1f | b'"' | b'\\');
            let first = |bytes: &[u8]| bytes.iter().position(special).unwrap_or(bytes.len());
            prop_assert_eq!(plain_len(&bytes), first(&bytes));
            let last = bytes.len();
            for byte in &mut bytes {
                *byte |= 0x80;
            }
            prop_assert_eq!(plain_len(&bytes), last);
            for (at, byte) in [(0, b'"'), (last / 2, b'\\'), (last.saturating_sub(1), 0x1f)] {
                let mut bytes = bytes.clone();
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                    prop_assert_eq!(plain_len(&bytes), at);
                }
            }
        }

        #[test]
        fn strings_round_trip(text: String) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
