//! What is written is what is read.

use proptest::prelude::*;

use super::*;

type Owned = Option<Vec<u8>>;
type Input = (i64, Owned, Owned, Vec<(Vec<u8>, Owned)>);

fn bytes() -> impl Strategy<Value = Owned> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200))
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let name = proptest::collection::vec(any::<u8>(), 0..20);
    let headers = proptest::collection::vec((name, bytes()), 0..4);
    proptest::collection::vec((any::<i64>(), bytes(), bytes(), headers), 1..40)
}

fn write(codec: Codec, inputs: &[Input]) -> BatchWriter {
    let mut writer = BatchWriter::new(codec);
    for (timestamp, key, value, headers) in inputs {
        let mut encoded = Vec::new();
        for (name, value) in headers {
            encode_header(&mut encoded, name, value.as_deref());
        }
        let before = writer.len();
        writer
            .append(*timestamp, key.as_deref(), value.as_deref(), headers.len() as u32, &[&encoded])
            .unwrap();
        let sizes = [key, value].map(|bytes| bytes.as_ref().map_or(0, Vec::len));
        assert!(writer.len() - before <= BatchWriter::record_size(sizes[0], sizes[1], encoded.len()));
    }
    writer
}

fn read(data: Vec<u8>) -> Vec<Input> {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let mut out = Vec::new();
    for block in read_all(data, 0).unwrap() {
        for record in block.records.iter() {
            let headers = block
                .headers(record)
                .map(|header| header.map(|(name, value)| (name.to_vec(), owned(value))).unwrap())
                .collect();
            out.push((record.timestamp, owned(block.key(record)), owned(block.value(record)), headers));
        }
    }
    out
}

proptest! {
    #[test]
    fn every_record_comes_back(inputs in inputs(), codec in 0..5_usize) {
        let sealed = write(CODECS[codec], &inputs).seal().unwrap();
        let data = sealed.to_bytes(7, 1, 3, true);
        prop_assert_eq!(data.len(), sealed.len());
        let header = BatchHeader::read(&data, true).unwrap();
        prop_assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 1, 3));
        prop_assert!(header.is_transactional());
        prop_assert_eq!(Some(header.max_timestamp), inputs.iter().map(|input| input.0).max());
        prop_assert_eq!(read(data), inputs);
    }

    #[test]
    fn halves_make_the_whole(inputs in inputs(), codec in 0..5_usize) {
        let sealed = write(CODECS[codec], &inputs).seal().unwrap();
        if inputs.len() == 1 {
            prop_assert!(sealed.split().is_err());
        } else {
            let (first, second) = sealed.split().unwrap();
            let mut halves = read(first.to_bytes(-1, -1, -1, false));
            halves.extend(read(second.to_bytes(-1, -1, -1, false)));
            prop_assert_eq!(halves, inputs);
        }
    }
}

#[test]
fn a_batch_that_does_not_shrink_stays_uncompressed() {
    let mut writer = BatchWriter::new(Codec::Gzip);
    writer.append(0, None, Some(b"x"), 0, &[]).unwrap();
    assert_eq!(writer.len(), 61 + 8);
    let data = writer.seal().unwrap().to_bytes(-1, -1, -1, false);
    assert_eq!(BatchHeader::read(&data, true).unwrap().codec().unwrap(), Codec::None);
}

#[test]
fn an_empty_batch_is_refused_and_a_first_record_always_fits() {
    let writer = BatchWriter::new(Codec::None);
    assert!(writer.fits(1 << 20, 100));
    assert!(writer.seal().is_err());
    let mut writer = BatchWriter::new(Codec::None);
    writer.append(0, None, Some(b"x"), 0, &[]).unwrap();
    assert!(writer.fits(31, 100));
    assert!(!writer.fits(32, 100));
}
