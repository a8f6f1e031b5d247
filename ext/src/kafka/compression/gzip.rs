//! Gzip (RFC 1952), of one member or several.

use std::io::Write;

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::Compression;

use super::{broken, output_for, read_limited, Codec};
use crate::error::Result;

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = output_for(input, limit);
    read_limited(Codec::Gzip, MultiGzDecoder::new(input), limit, &mut out)?;
    Ok(out)
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut encoder = GzEncoder::new(out, Compression::default());
    encoder.write_all(input).and_then(|()| encoder.try_finish()).map_err(|cause| broken(Codec::Gzip, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_joined() {
        let mut packed = Vec::new();
        compress(b"one ", &mut packed).unwrap();
        compress(b"two", &mut packed).unwrap();
        assert_eq!(decompress(&packed, 100).unwrap(), b"one two");
    }
}
