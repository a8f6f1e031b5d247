//! Fetching from a broker whose log has gaps, and whose answers do not fit.

use std::sync::atomic::AtomicU64;

use rivven_protocol::{MessageData, Request, Response};

use super::*;
use crate::rivven::mock::{broker, error, link, Reply};

/// A fetcher of one partition from offset 0 that goes on over damage; the log starts at `earliest` and `consume`
/// answers fetches.
fn fetcher(earliest: u64, consume: impl FnMut(u64, u32) -> Reply + Send + 'static) -> Fetcher {
    careful(OnDamage::Continue, earliest, 0, consume)
}

/// The same with a choice, and from `start`.
fn careful(
    on_damage: OnDamage,
    earliest: u64,
    start: i64,
    consume: impl FnMut(u64, u32) -> Reply + Send + 'static,
) -> Fetcher {
    moving(on_damage, move || (earliest, 100), start, consume)
}

/// The same with bounds that change.
fn moving(
    on_damage: OnDamage,
    mut bounds: impl FnMut() -> (u64, u64) + Send + 'static,
    start: i64,
    mut consume: impl FnMut(u64, u32) -> Reply + Send + 'static,
) -> Fetcher {
    let address = broker(move |request| match request {
        Request::GetOffsetBounds { .. } => {
            let (earliest, latest) = bounds();
            Reply::Answer(Response::OffsetBounds { earliest, latest })
        }
        Request::Consume { offset, max_messages, .. } => consume(offset, max_messages),
        _ => Reply::Hang,
    });
    let fetcher = Fetcher::new(FetcherConfig {
        link: link(&address, 3),
        connections: 4,
        max_wait_ms: 10,
        max_messages: 64,
        max_buffered_bytes: 1 << 20,
        on_damage,
    });
    let fetcher = fetcher.unwrap();
    fetcher.assign(vec![("t".into(), 0, start)]).unwrap();
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
        let fetcher = fetcher(earliest, |offset, _| messages(if offset <= 5 { 5..8 } else { 0..0 }));
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

/// What an intact log of 100 records answers.
fn intact(offset: u64) -> Reply {
    messages(offset..100.min(offset + 10))
}

/// The error that ends a fetcher, and the offsets that came out before.
fn end(fetcher: &Fetcher) -> (Vec<i64>, Error) {
    let mut before = Vec::new();
    loop {
        match fetcher.poll(Duration::from_secs(5), usize::MAX) {
            Ok(blocks) => {
                assert!(!blocks.is_empty(), "no error within 5 s");
                before
                    .extend(blocks.iter().flat_map(|block| block.records.iter().map(|record| record.offset)));
            }
            Err(error) => return (before, error),
        }
    }
}

#[track_caller]
fn assert_damage(fetcher: &Fetcher, before: std::ops::Range<i64>, at: i64, seen: &str) {
    let (offsets, error) = end(fetcher);
    assert_eq!(offsets, before.collect::<Vec<_>>());
    assert_eq!((error.kind, error.offset, error.topic.as_deref()), (Kind::LogDamaged, Some(at), Some("t")));
    assert!(error.message.contains(seen), "{error}");
    assert!(error.message.contains("delete <data-dir>/wal/*.wal before it starts again"), "{error}");
}

#[test]
fn an_answer_that_shows_damage_is_not_handed_on() {
    let gap = careful(OnDamage::Fail, 0, 0, |offset, _| match offset {
        20 => messages(25..30),
        _ => intact(offset),
    });
    assert_damage(&gap, 0..20, 20, "an answer starts at 25");
    assert_eq!(gap.stats().gaps.load(Ordering::Relaxed), 1);
    for (again, seen) in
        [(vec![20, 21, 20], "goes back to offset 20"), (vec![20, 0, 0], "goes back to offset 0")]
    {
        let rewind = careful(OnDamage::Fail, 0, 0, move |offset, _| match offset {
            20 => {
                let messages = again.iter().map(|offset| MessageData::new(*offset, &b"v"[..], 0)).collect();
                Reply::Answer(Response::Messages { messages })
            }
            _ => intact(offset),
        });
        assert_damage(&rewind, 0..20, 20, seen);
    }
    let jump = careful(OnDamage::Fail, 0, 0, |offset, _| match offset {
        20 => {
            let messages = [20, 90, 91].map(|offset| MessageData::new(offset, &b"v"[..], 0)).to_vec();
            Reply::Answer(Response::Messages { messages })
        }
        _ => intact(offset),
    });
    assert_damage(&jump, 0..20, 20, "jumps from offset 20 to 90");
    let stall = careful(OnDamage::Fail, 0, 0, |offset, _| match offset {
        20..99 => messages(0..0),
        _ => intact(offset),
    });
    assert_damage(&stall, 0..20, 20, "nothing can be read, although the log ends at 100");
}

#[test]
fn the_end_of_the_log_and_what_was_read_last_are_looked_at_first() {
    let tail = careful(OnDamage::Fail, 0, 0, |offset, _| match offset {
        80.. => messages(0..0),
        _ => intact(offset),
    });
    assert_damage(&tail, 0..0, 99, "nothing can be read");
    let middle = careful(OnDamage::Fail, 0, 30, |offset, _| match offset {
        0..90 => messages(90..100),
        _ => intact(offset),
    });
    assert_damage(&middle, 0..0, 29, "an answer starts at 90");
    let shrunk = careful(OnDamage::Continue, 0, 101, |_, _| messages(0..0));
    assert_damage(&shrunk, 0..0, 101, "the log ends at 100");
    let deleted = careful(OnDamage::Fail, 50, 30, |offset, _| intact(offset.max(50)));
    assert_eq!(offsets(&deleted)[..2], [50, 51], "deleted records are no damage");
}

#[test]
fn a_position_before_the_beginning_of_a_log_is_no_stall() {
    for on_damage in [OnDamage::Fail, OnDamage::Continue] {
        // rivvend answers with nothing below its first segment, and below what was deleted up to the end.
        for earliest in [60, 100] {
            let mut looks = 0;
            let bounds = move || {
                looks += 1;
                (if looks > 1 { earliest } else { 0 }, 100)
            };
            let deleted = moving(on_damage, bounds, 30, move |offset, _| match offset {
                29 | 99 => intact(offset),
                _ if offset < earliest => messages(0..0),
                _ => intact(offset),
            });
            if earliest < 100 {
                assert_eq!(offsets(&deleted)[..2], [60, 61]);
            } else {
                let quiet = deleted.poll(Duration::from_secs(5), usize::MAX).unwrap();
                assert!(quiet.is_empty(), "{:?}", quiet[0].records);
            }
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let stats = deleted.stats();
            assert_eq!((count(&stats.stalls), count(&stats.deletions)), (0, 1), "{earliest}");
        }
    }
    let before = careful(OnDamage::Fail, 60, 30, |offset, _| match offset {
        0..60 => messages(0..0),
        _ => intact(offset),
    });
    assert_eq!(offsets(&before)[..2], [60, 61]);
    assert_eq!(before.stats().deletions.load(Ordering::Relaxed), 0, "known when it was assigned");
}

#[test]
fn an_end_that_is_taken_back_is_no_stall() {
    let mut looks = 0;
    let bounds = move || {
        looks += 1;
        (0, if looks % 3 == 0 { 100 } else { 101 })
    };
    let full = moving(OnDamage::Fail, bounds, 100, |offset, _| match offset {
        99 => messages(99..100),
        _ => messages(0..0),
    });
    assert!(full.poll(Duration::from_secs(7), usize::MAX).unwrap().is_empty());
    assert_eq!(full.stats().stalls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_new_connection_looks_again() {
    let mut came_back = false;
    let fetcher = careful(OnDamage::Fail, 0, 0, move |offset, _| match offset {
        20 if !came_back => {
            came_back = true;
            Reply::Hang
        }
        // What the next question would not show.
        99 if came_back => messages(0..0),
        _ => intact(offset),
    });
    assert_damage(&fetcher, 0..20, 99, "nothing can be read");
}
