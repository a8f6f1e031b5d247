//! The two requests that carry records, read without copying a record.
//!
//! The layout is that of `Request::PublishBatch` and `Request::IdempotentPublishBatch` in postcard; every length and
//! every number is checked, and the request must end where its bytes do.

use rivven_protocol::{Request, WIRE_HEADER_SIZE};

const PUBLISH_BATCH: u8 = 38;
const IDEMPOTENT_PUBLISH_BATCH: u8 = 39;

/// A batch, less its records.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Correlation id.
    pub id: u32,
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: u32,
    /// Records.
    pub count: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Id, epoch and first sequence of an idempotent batch.
    pub producer: Option<(u64, u16, i32)>,
}

impl<'a> Batch<'a> {
    /// Reads a request; None if it is another one.
    pub fn read(body: &'a [u8]) -> Result<Option<Self>, String> {
        let (Some(&[format, a, b, c, d]), Some(&variant)) =
            (body.first_chunk::<WIRE_HEADER_SIZE>(), body.get(WIRE_HEADER_SIZE))
        else {
            return Err("a request without a head".to_owned());
        };
        if format != 0 || !matches!(variant, PUBLISH_BATCH | IDEMPOTENT_PUBLISH_BATCH) {
            return Ok(None);
        }
        let id = u32::from_be_bytes([a, b, c, d]);
        let mut rest = &body[WIRE_HEADER_SIZE + 1..];
        read(&mut rest, id, variant == IDEMPOTENT_PUBLISH_BATCH)
            .filter(|_| rest.is_empty())
            .map(Some)
            .ok_or_else(|| "a batch that cannot be decoded".to_owned())
    }

    /// Decodes `body` again with the protocol's own crate: both must have read the same.
    pub fn compare(&self, body: &[u8]) -> Result<(), String> {
        let (request, _, id) = Request::from_wire(body).map_err(|error| error.to_string())?;
        let (topic, partition, records, producer) = match request {
            Request::PublishBatch { topic, partition, records, .. } => (topic, partition, records, None),
            Request::IdempotentPublishBatch {
                topic,
                partition,
                records,
                producer_id,
                producer_epoch,
                base_sequence,
                ..
            } => (topic, partition, records, Some((producer_id, producer_epoch, base_sequence))),
            _ => return Err("another request for the crate".to_owned()),
        };
        let bytes = records.iter().map(|each| each.key.as_deref().map_or(0, <[u8]>::len) + each.value.len());
        let other = Batch {
            id,
            topic: &topic,
            partition: partition.ok_or("no partition")?,
            count: records.len() as u64,
            bytes: bytes.sum::<usize>() as u64,
            producer,
        };
        if *self == other {
            Ok(())
        } else {
            Err(format!("{self:?} is {other:?} for the crate"))
        }
    }
}

fn read<'a>(rest: &mut &'a [u8], id: u32, idempotent: bool) -> Option<Batch<'a>> {
    let topic = std::str::from_utf8(bytes(rest)?).ok()?;
    let partition = option(rest)?.then(|| number(rest)).flatten()?;
    let count = number(rest)?;
    let mut size = 0;
    for _ in 0..count {
        if option(rest)? {
            size += bytes(rest)?.len() as u64;
        }
        size += bytes(rest)?.len() as u64;
    }
    let producer = if idempotent {
        let id = number(rest)?;
        let epoch = u16::try_from(number(rest)?).ok()?;
        let zigzag = u32::try_from(number(rest)?).ok()?;
        Some((id, epoch, (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32)))
    } else {
        None
    };
    if option(rest)? {
        number(rest)?; // leader epoch
    }
    Some(Batch { id, topic, partition: u32::try_from(partition).ok()?, count, bytes: size, producer })
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(*first)
}

fn option(rest: &mut &[u8]) -> Option<bool> {
    match byte(rest)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = byte(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (bytes, others) = rest.split_at_checked(length)?;
    *rest = others;
    Some(bytes)
}
