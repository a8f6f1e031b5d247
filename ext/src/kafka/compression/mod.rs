//! The compression codecs of Kafka, with an upper limit on what they may inflate to.
//!
//! The codec is in bits 0-2 of a batch's attributes (protocol guide, "Record Batch"; zstd: KIP-110). No
//! decoder allocates by a length that the input claims unless that length is within the caller's limit and
//! plausible for the size of the input.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::io::Read;

pub use lz4::decompress_magic_0 as decompress_lz4_magic_0;

use crate::error::{Error, Kind, Result};

/// A compression codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not compressed.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, raw or in the framing of the Java library snappy-java ("xerial").
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Codec {
    /// The codec that the attributes of a batch or message name.
    pub fn from_attributes(attributes: i16) -> Result<Self> {
        match attributes & 0x07 {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            id => Err(Error::new(Kind::UnsupportedCodec, format!("compression codec {id} is not known"))),
        }
    }

    /// The codec of that name, as in Kafka's `compression.type`.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Codec::None),
            "gzip" => Ok(Codec::Gzip),
            "snappy" => Ok(Codec::Snappy),
            "lz4" => Ok(Codec::Lz4),
            "zstd" => Ok(Codec::Zstd),
            _ => Err(Error::new(Kind::UnsupportedCodec, format!("compression codec {name:?} is not known"))),
        }
    }

    /// Its bits in the attributes.
    pub fn id(self) -> i16 {
        self as i16
    }

    /// Its name in Kafka's `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// Decompresses `input`, failing with `DecompressionLimit` when the result would exceed `limit` bytes.
pub fn decompress(codec: Codec, input: &[u8], limit: usize) -> Result<Vec<u8>> {
    match codec {
        Codec::None if input.len() > limit => Err(over_limit(codec, limit)),
        Codec::None => Ok(input.to_vec()),
        Codec::Gzip => gzip::decompress(input, limit),
        Codec::Snappy => snappy::decompress(input, limit),
        Codec::Lz4 => lz4::decompress(input, limit),
        Codec::Zstd => zstd::decompress(input, limit),
    }
}

/// Appends the compressed form of `input` to `out`.
pub fn compress(codec: Codec, input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match codec {
        Codec::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Codec::Gzip => gzip::compress(input, out),
        Codec::Snappy => snappy::compress(input, out),
        Codec::Lz4 => lz4::compress(input, out),
        Codec::Zstd => zstd::compress(input, out),
    }
}

fn over_limit(codec: Codec, limit: usize) -> Error {
    Error::new(
        Kind::DecompressionLimit,
        format!("{} data inflates beyond the limit of {limit} bytes", codec.name()),
    )
}

fn broken(codec: Codec, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::CorruptRecord, format!("{} data cannot be decompressed: {cause}", codec.name()))
}

/// Appends what `reader` yields to `out`, never more than one byte beyond `limit` in all.
///
/// `read_to_end` grows the vector by what has really been read, so a small input cannot claim much memory.
fn read_limited(codec: Codec, reader: impl Read, limit: usize, out: &mut Vec<u8>) -> Result<()> {
    let room = limit - out.len().min(limit);
    reader.take((room as u64).saturating_add(1)).read_to_end(out).map_err(|cause| broken(codec, cause))?;
    if out.len() > limit {
        return Err(over_limit(codec, limit));
    }
    Ok(())
}

/// An output buffer for `input`: a guess at the usual ratio, within the limit.
fn output_for(input: &[u8], limit: usize) -> Vec<u8> {
    Vec::with_capacity(input.len().saturating_mul(3).min(limit.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8 ^ (i / 1000) as u8).collect()
    }

    #[test]
    fn every_codec_round_trips() {
        for codec in CODECS {
            assert_eq!(Codec::from_attributes(codec.id()).unwrap(), codec);
            assert_eq!(Codec::from_name(codec.name()).unwrap(), codec);
            for len in [0, 1, 100, 32 * 1024, 32 * 1024 + 1, 300_000] {
                let input = sample(len);
                let mut packed = Vec::new();
                compress(codec, &input, &mut packed).unwrap();
                assert_eq!(decompress(codec, &packed, len).unwrap(), input, "{codec:?} {len}");
            }
        }
        assert_eq!(Codec::from_attributes(5).unwrap_err().kind, Kind::UnsupportedCodec);
        assert_eq!(Codec::from_name("brotli").unwrap_err().kind, Kind::UnsupportedCodec);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0u8; 20 << 20];
        for codec in CODECS {
            let mut packed = Vec::new();
            compress(codec, &zeros, &mut packed).unwrap();
            for limit in [0, 1, 1000, zeros.len() - 1] {
                let error = decompress(codec, &packed, limit).unwrap_err();
                assert_eq!(error.kind, Kind::DecompressionLimit, "{codec:?} {limit} {error}");
            }
            assert_eq!(decompress(codec, &packed, zeros.len()).unwrap().len(), zeros.len());
        }
    }

    #[test]
    fn a_cut_is_an_error_or_shorter() {
        let input = sample(5000);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let mut packed = Vec::new();
            compress(codec, &input, &mut packed).unwrap();
            for cut in 0..packed.len() {
                match decompress(codec, &packed[..cut], 1 << 20) {
                    Ok(output) => assert!(output.len() < input.len(), "{codec:?} {cut}"),
                    Err(error) => assert_eq!(error.kind, Kind::CorruptRecord),
                }
            }
        }
    }
}
