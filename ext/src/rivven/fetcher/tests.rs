//! Fetching from a broker whose log has gaps, and whose answers do not fit.

use rivven_protocol::{MessageData, Request, Response};

use super::*;
use crate::rivven::mock::{broker, error, link, Reply};

/// A fetcher of one partition from offset 0; the log starts at `earliest` and `consume` answers fetches.
fn fetcher(earliest: u64, mut consume: impl FnMut(u64, u32) -> Reply + Send + 'static) -> Fetcher {
    let address = broker(move |request| match request {
        Request::GetOffsetBounds { .. } => Reply::Answer(Response::OffsetBounds { earliest, latest: 100 }),
        Request::Consume { offset, max_messages, .. } => consume(offset, max_messages),
        _ => Reply::Hang,
    });
    let fetcher = Fetcher::new(FetcherConfig {
        link: link(&address, 3),
        connections: 4,
        max_wait_ms: 10,
        max_messages: 64,
        max_buffered_bytes: 1 << 20,
    });
    let fetcher = fetcher.unwrap();
    fetcher.assign(vec![("t".into(), 0, 0)]).unwrap();
    fetcher
}

fn messages(offsets: std::ops::Range<u64>) -> Reply {
    let messages = offsets.map(|offset| MessageData::new(offset, &b"v"[..], 0)).collect();
    Reply::Answer(Response::Messages { messages })
}

fn offsets(fetcher: &Fetcher) -> Vec<i64> {
    let blocks = fetcher.poll(Duration::from_secs(5), usize::MAX).unwrap();
    blocks.iter().flat_map(|block| block.records.iter().map(|record| record.offset)).collect()
}

#[test]
fn only_what_should_be_there_is_a_gap() {
    for (earliest, gaps) in [(0, 1), (4, 1), (5, 0)] {
        let fetcher = fetcher(earliest, |offset, _| messages(if offset == 0 { 5..8 } else { 0..0 }));
        assert_eq!(offsets(&fetcher), [5, 6, 7]);
        assert_eq!(fetcher.stats().gaps.load(Ordering::Relaxed), gaps, "{earliest}");
    }
}

#[test]
fn fewer_messages_are_asked_for_until_they_fit() {
    let fetcher = fetcher(0, |offset, most| match (offset, most) {
        (0, 9..) => error("INTERNAL_ERROR: response send failed"),
        (0, _) => messages(0..3),
        _ => messages(0..0),
    });
    assert_eq!(offsets(&fetcher), [0, 1, 2]);
    assert_eq!(fetcher.stats().shrinks.load(Ordering::Relaxed), 3);
}

#[test]
fn a_record_that_fits_nowhere_is_an_error_at_its_offset() {
    let fetcher = fetcher(0, |_, _| error("INTERNAL_ERROR: response send failed"));
    let error = fetcher.poll(Duration::from_secs(5), 1).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::RecordTooLarge, Some(0)));
}

#[test]
fn failures_are_retried_and_then_reported() {
    let mut asked = 0;
    let fetcher = fetcher(0, move |_, _| {
        asked += 1;
        match asked {
            2 => error("BUFFER_FULL"),
            3 => messages(0..2),
            _ => Reply::Hang,
        }
    });
    assert_eq!(offsets(&fetcher), [0, 1]);
    let error = fetcher.poll(Duration::from_secs(5), 1).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::Connect, Some(2)));
    assert!(error.message.ends_with("(after 3 retries)"), "{error}");
}
