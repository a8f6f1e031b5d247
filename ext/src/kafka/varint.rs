//! Zigzag varints of the Kafka record (protocol guide, "Record"; the encoding of Protocol Buffers).
//!
//! Readers return the value and the bytes used, or None when the input ends early or the number is longer
//! than its type allows.

/// Reads an i32.
#[inline]
pub fn read_i32(input: &[u8]) -> Option<(i32, usize)> {
    // Lengths under 64 are one byte: the common case by far.
    if let Some(&first) = input.first() {
        if first < 0x80 {
            let raw = first as u32;
            return Some((((raw >> 1) as i32) ^ -((raw & 1) as i32), 1));
        }
    }
    let (raw, used) = read_raw(input, 5)?;
    let raw = u32::try_from(raw).ok()?;
    Some((((raw >> 1) as i32) ^ -((raw & 1) as i32), used))
}

/// Reads an i64.
#[inline]
pub fn read_i64(input: &[u8]) -> Option<(i64, usize)> {
    let (raw, used) = read_raw(input, 10)?;
    Some((((raw >> 1) as i64) ^ -((raw & 1) as i64), used))
}

#[inline]
fn read_raw(input: &[u8], most: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in input.iter().take(most).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte of a u64 holds one bit.
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Appends an i32.
#[inline]
pub fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_raw(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends an i64.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_raw(out, ((value << 1) ^ (value >> 63)) as u64);
}

#[inline]
fn write_raw(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that `value` takes.
#[inline]
pub fn len_i64(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes that `value` takes.
#[inline]
pub fn len_i32(value: i32) -> usize {
    len_i64(i64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn i64_round_trips(value: i64) {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            prop_assert_eq!(out.len(), len_i64(value));
            prop_assert_eq!(read_i64(&out), Some((value, out.len())));
            for cut in 0..out.len() {
                prop_assert_eq!(read_i64(&out[..cut]), None);
            }
        }

        #[test]
        fn i32_round_trips(value: i32) {
            let mut out = Vec::new();
            write_i32(&mut out, value);
            prop_assert_eq!(out.len(), len_i32(value));
            prop_assert_eq!(read_i32(&out), Some((value, out.len())));
        }
    }

    #[test]
    fn overlong_numbers_are_refused() {
        assert_eq!(read_i32(&[0xff, 0xff, 0xff, 0xff, 0x7f]), None);
        assert_eq!(read_i64(&[0xff; 11]), None);
        assert_eq!(read_i64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), None);
    }
}
